"""The licence-free stand-in hand and the synthetic data set in InterHand2.6M format.

Imports `hand`, `render`, `interhand` for the format that it writes, and the top-level modules;
`gallery`, the picture of all gestures, also `evaluation.tiles`, which lays out a page.
"""
