"""The input files: found, recognised, cut into ranges and read."""
