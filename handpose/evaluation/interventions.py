"""What the gesture tokens do: a trained network's predictions with its tokens replaced.

The network, the image and everything else stay the same, so a difference in error is the tokens'
own, free of the noise between two trainings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from handpose.nets.pose_net import Encoded, PoseNet
from handpose.sample import UNLABELLED, HandBatch, PoseOutput

GATES_CLOSED = "gates_closed"
OTHER_LOGITS = "other_logits"
TRUE_CLASS = "true_class"

INTERVENTIONS = {
    GATES_CLOSED: "both gates closed",
    OTHER_LOGITS: "another image's logits",
    TRUE_CLASS: "the true class on top",
}
"""What is done, by key."""


class TokenInterventions:
    """The interventions on one network, over the batches of a split in order.

    An image's "other image" is the one before it; the first of a split has none. Shards hold each
    split in random order (`stages/shard.py`), so neighbours have no more in common than any two.
    """

    def __init__(self, net: PoseNet) -> None:
        """Interventions on this network.

        Raises:
            ValueError: it has no gesture tokens.
        """
        if net.gesture_tokens is None:
            raise ValueError("a network without gesture tokens has none to replace")
        self._net = net
        self._closed = torch.zeros_like(net.gesture_tokens.gates)
        self._last: tuple[Tensor, ...] | None = None  # logits of the image before the batch

    def outputs(
        self, encoded: Encoded, batch: HandBatch
    ) -> Iterator[tuple[str, PoseOutput, Tensor]]:
        """Key, output, and (B,) bool: the images on which the intervention is possible.

        Args:
            encoded: what the encoder made of the batch.
            batch: the images, and their true classes.
        """
        everywhere = torch.ones_like(batch.is_left)
        gesture = encoded.gesture
        logits = gesture.coarse_logits, gesture.fine_logits
        last = self._last or tuple(x[:1] for x in logits)
        other = [torch.cat([one, x[:-1]]) for one, x in zip(last, logits, strict=True)]
        true = map(true_class_on_top, logits, (batch.coarse, batch.fine))
        possible = {
            GATES_CLOSED: everywhere,
            OTHER_LOGITS: everywhere.clone(),
            TRUE_CLASS: batch.coarse != UNLABELLED,
        }
        if self._last is None:
            possible[OTHER_LOGITS][0] = False
        self._last = tuple(x[-1:] for x in logits)

        gates = {GATES_CLOSED: self._closed}
        tokens = {GATES_CLOSED: logits, OTHER_LOGITS: other, TRUE_CLASS: true}
        for key, (coarse, fine) in tokens.items():
            replaced = dataclasses.replace(gesture, coarse_logits=coarse, fine_logits=fine)
            changed = encoded._replace(gesture=replaced)
            output = self._net.decode(changed, batch.is_left, gates.get(key))
            yield key, output, possible[key]


def true_class_on_top(logits: Tensor, classes: Tensor) -> Tensor:
    """Logits (B, K) whose largest value and that of the true class (B,) have changed places.

    Their distribution stays as it was; rows without a class stay as they are.
    """
    rows = torch.arange(len(logits), device=logits.device)
    top = logits.argmax(-1)
    true = torch.where(classes == UNLABELLED, top, classes)
    swapped = logits.clone()
    swapped[rows, top], swapped[rows, true] = logits[rows, true], logits[rows, top]
    return swapped
