"""Two datasets photo by photo."""
