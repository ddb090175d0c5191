"""HO-3D, versions 2 and 3: its frames and lists, read into neutral annotations.

Imports `data`, `hand` and the top-level modules. Facts are those of shreyashampali/ho3d.
"""
