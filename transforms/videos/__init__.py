"""Videos of YFCC100M: fetched, written, checked and carried over beside the photos of their shards."""
