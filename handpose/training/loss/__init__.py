"""The losses of both stages, a module each; those of warm-ups without gestures are in `warm_up/`.

A loss is called with a network's output and the batch, and returns its weighted terms by name;
their sum is the loss. Supervised terms are means over the samples of a batch that carry the
annotation (EANet's are over all), so their size does not depend on how many do; a batch with none
gives 0. Call losses outside autocast: bf16 is too coarse for pixels and millimetres.

`count` gives the number that a mean divides by. Several processes that share a batch pass
`DistributedGroup.count`, which sums the masks of all slices: the mean of their losses is then that
of the whole batch.
"""
