"""How sure a trained, frozen Stage 2 network is of its hands: a small head, and its calibration.

Imports `hand`, `training` and the top-level modules; the networks themselves are not known here.
"""
