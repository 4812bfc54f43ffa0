"""A dataset that is there: its records, and its tables to read."""
