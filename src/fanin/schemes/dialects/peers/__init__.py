"""One file a system: its layout, and its functions as data."""
