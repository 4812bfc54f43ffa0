"""The commands: flags, the graph each one builds, and what it reports."""
