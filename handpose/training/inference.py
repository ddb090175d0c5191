"""A network applied to batches without gradients, as validation needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import nn

from handpose.sample import HandBatch

Output = TypeVar("Output")


@torch.no_grad()
def run_inference(
    net: nn.Module,
    batches: Iterable[HandBatch],
    forward: Callable[[nn.Module, HandBatch], Output],
    *,
    bf16: bool = False,
) -> Iterator[tuple[HandBatch, Output]]:
    """Each batch, moved to the network's device, and the network's output for it.

    The network is put into evaluation mode and left there.

    Args:
        net: the network.
        batches: its inputs.
        forward: (net, batch) -> output.
        bf16: run under autocast.
    """
    device = next(net.parameters()).device
    net.eval()
    for batch in batches:
        batch = batch.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            output = forward(net, batch)
        yield batch, output
