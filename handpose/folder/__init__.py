"""A plain folder of one's own recordings: images/ and annotations/hands.jsonl, a line per hand.

The format is described in docs/own-data.md. Imports `data`, `hand` and the top-level modules.
"""
