"""The work of `photobeam export`."""
