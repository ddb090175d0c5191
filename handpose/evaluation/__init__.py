"""Metrics, protocols, statistics, baselines and pictures of what a model predicts.

Imports `hand`, `nets`, `render` and the top-level modules; never `training` or a data-set reader.
"""
