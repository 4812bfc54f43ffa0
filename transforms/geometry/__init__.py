"""Annotations from the sources' copies of a photo to the image that was written of it."""
