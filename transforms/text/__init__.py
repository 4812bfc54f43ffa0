"""Captions as tokens, a vocabulary, ids and vectors, and labels: what `photobeam text` makes of a dataset."""
