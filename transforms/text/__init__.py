"""Captions as tokens, a vocabulary and token ids: what `photobeam text` makes of a dataset."""
