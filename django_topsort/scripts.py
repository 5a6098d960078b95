"""The script tag that makes a browser report."""
