"""Photos over HTTP: one polite, bounded client for a process."""
