"""Files on this machine, whole or not there at all: digests, names given last, Parquet, members of archives."""
