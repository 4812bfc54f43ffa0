"""Child processes and threads that do the work, and what they count."""
