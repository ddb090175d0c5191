"""Losses, the training loop, schedules, checkpoints, and trained models on disk.

Imports `hand`, `nets` and the top-level modules; never a data-set reader or `evaluation`.
"""
