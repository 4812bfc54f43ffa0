"""Datasets in the formats of other tools: one module for each format, and what they have in common."""
