"""One image's bytes to pixels and to written images. No I/O."""
