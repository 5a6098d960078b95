"""The browser's door: the endpoint for its events, and what an API adds to its answers."""
