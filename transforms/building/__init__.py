"""Phase 2: rows become shards."""
