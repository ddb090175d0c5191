"""The licence-free stand-in hand and the synthetic data set in InterHand2.6M format.

May import `hand`, `render`, `interhand` for the format that it writes, and the top-level modules.
"""
