"""From annotations of any data set to batches: the neutral form, crops, shards, augmentation.

Imports `hand` and the top-level modules.
"""
