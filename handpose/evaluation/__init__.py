"""Metrics, protocols, statistics and baselines of predictions, with charts and overlays.

Imports `hand`, `nets`, `render` and the top-level modules; never `training` or a data-set reader.
"""
