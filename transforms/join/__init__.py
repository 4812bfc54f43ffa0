"""Phase 1: what the sources say of each photo becomes rows, in order of the hash of its id."""
