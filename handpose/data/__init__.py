"""From files to batches: InterHand2.6M, synthesis, crops, augmentation, shards."""
