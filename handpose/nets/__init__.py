"""The networks of the paper; constructors take plain keywords, never a config object.

Imports `hand` and the top-level modules; losses and networks meet in `sample` only. `eanet/` is the
baseline that the paper compares with.
"""
