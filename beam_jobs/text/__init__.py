"""The products of `photobeam text`, and their flags."""
