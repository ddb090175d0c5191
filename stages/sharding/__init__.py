"""Parts of the stage `shard`: crops, tar files, workers."""
