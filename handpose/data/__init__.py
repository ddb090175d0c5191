"""From records to batches, of any data set: crops, shards, augmentation, loading.

Imports the top-level modules and no other package.
"""
