"""What a step asks of the host, found without a GPU: tensors on `meta` stand for those on a device.

A tensor on `meta` has a shape and no content, so that an operation that mixes it with a CPU tensor,
or wants to know what it holds, is one that would make a GPU wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from handpose.sample import HandBatch
from tests.toy_batch import toy_batch

READS = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "repeat_interleave.Tensor")
"""Parts of the names of operations whose result, or its shape, depends on a tensor's content."""


class HostWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation that has a CPU tensor, moves one, or reads a tensor's content."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[str] = set()
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = str(func).removeprefix("aten.")
        taken = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        self.operations += 1
        if any(part in name for part in READS):
            self.found.add(f"reads: {name}")
        if name.startswith("index.") and any(
            isinstance(t, Tensor) and t.dtype in (torch.bool, torch.uint8) for t in args[1]
        ):
            self.found.add(f"reads: {name} with a mask")
        if any(t.is_cpu for t in taken):
            self.found.add(f"host tensor: {name}")
        result = func(*args, **kwargs)
        if any(t.is_cpu for t in tree_leaves(result) if isinstance(t, Tensor)):
            self.found.add(f"host tensor: {name}")
        return result


def on_meta(module: nn.Module) -> nn.Module:
    """The module with its parameters and buffers, and nothing else of it, on `meta`, in place."""
    return module.to("meta")


def meta_batch(size: int, side: int) -> HandBatch:
    """A batch that lies on the device."""
    batch = toy_batch(0, size).to("meta")
    image = torch.empty(size, 3, side, side, dtype=torch.uint8, device="meta")
    return HandBatch(**vars(batch) | {"image": image})


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Let autocast and the fused AdamW, which know no `meta`, pass for those of a GPU."""
    with (
        mock.patch.object(torch, "autocast", lambda *_, **__: nullcontext()),
        mock.patch("torch.optim.adam._device_dtype_check_for_fused", lambda *_, **__: None),
        mock.patch.object(torch, "_fused_adamw_", _fused_adamw),
    ):
        yield


def _fused_adamw(*args: Any, lr: Tensor, **options: Any) -> None:
    """The kernel, which takes rates and step counts from the device; torch has none for `meta`."""
    assert all(t.is_meta for t in tree_leaves((args, lr, options)) if isinstance(t, Tensor))
