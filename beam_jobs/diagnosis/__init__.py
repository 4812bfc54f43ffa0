"""What `photobeam doctor` looks at."""
