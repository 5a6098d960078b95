"""The attributes from which a browser reports what was seen and clicked."""
