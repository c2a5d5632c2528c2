"""The History tab, and what a browser tab remembers."""
