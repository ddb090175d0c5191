"""FreiHAND: its JSON lists and photos, read into neutral annotations.

Imports `data`, `hand` and the top-level modules. Facts are those of lmb-freiburg/freihand.
"""
