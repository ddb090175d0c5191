"""The licence-free stand-in hand and the synthetic data set in InterHand2.6M format.

Imports `hand`, `render`, and `interhand` for the format that it writes.
"""
