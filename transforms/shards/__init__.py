"""The files of one shard: written, and read back to be written again."""
