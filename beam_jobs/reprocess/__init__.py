"""What `photobeam reprocess` does, but for its flags."""
