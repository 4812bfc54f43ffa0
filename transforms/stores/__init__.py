"""Where datasets and a run's own files are kept: local folders and object stores, with one set of promises."""
