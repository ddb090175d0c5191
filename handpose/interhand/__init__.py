"""InterHand2.6M: its files, units and frames, read into neutral annotations.

Imports `data`, `hand` and the top-level modules. Another data set is a sibling of this package.
"""
