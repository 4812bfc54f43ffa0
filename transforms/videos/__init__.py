"""Videos of YFCC100M, beside the photos of their shards: fetched, checked as they come, and carried over."""
