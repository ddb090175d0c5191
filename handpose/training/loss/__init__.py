"""What training minimises, a module for each loss.

A loss is called with a network's output and the batch, and returns its weighted terms by name;
their sum is the loss. Supervised terms are means over the samples of a batch that carry the
annotation, so their size does not depend on how many do; a batch with none gives 0. Call losses
outside autocast: bf16 is too coarse for pixels and millimetres.

`count` gives the number that a mean divides by. Several processes that share a batch pass
`DistributedGroup.count`, which sums the masks of all slices: the mean of their losses is then that
of the whole batch.
"""
