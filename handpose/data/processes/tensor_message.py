"""Objects over a socket, the memory of their tensors as it is.

A message is the object's pickle without its tensors, then the small tensors in one block, then the
large ones one by one. The receiver reads block and large tensors straight into memory of its own,
pinned where a GPU reads it. Shared memory would save one copy per batch, but a container has 64 MB
of it by default, and what a killed process leaves in it stays.
"""

from __future__ import annotations

import io
import math
import pickle
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

SIZE = struct.Struct("!Q")
ALIGNMENT = 64  # bytes; a multiple of every item's size
LARGE = 1 << 20
"""Bytes from which a tensor is received on its own, so that a small one that is kept does not keep
the images of its batch."""

Table: TypeAlias = Sequence[tuple[torch.dtype, tuple[int, ...]]]


class ConnectionEnded(Exception):  # it is not always an error
    """The other side is gone."""


@dataclass(frozen=True)
class Received:
    """An object as it was received, its tensors still bytes: few copies bring it to a GPU."""

    skeleton: bytes  # the object's pickle without its tensors
    table: Table  # dtype and shape of each tensor
    block: Tensor  # (bytes,) uint8, the small tensors
    large: list[Tensor]  # (bytes,) uint8 each

    def on(self, device: torch.device | str) -> Any:
        """The object, its tensors on this device; asynchronous if they were received pinned."""
        block, large = (
            self.block.to(device, non_blocking=True),
            iter([one.to(device, non_blocking=True) for one in self.large]),
        )
        tensors = []
        for (dtype, shape), offset in zip(self.table, _offsets(self.table)[0], strict=True):
            size = _bytes(dtype, shape)
            flat = next(large) if size >= LARGE else block[offset : offset + size]
            tensors.append(flat.view(dtype).view(shape))
        return _Unpickler(self.skeleton, tensors).load()


def send(connection: socket.socket, value: object) -> None:
    """Send an object whose tensors, if it has any, are on the CPU.

    Raises:
        ConnectionEnded: the other side is gone.
    """
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(value)
    arrays = [np.ascontiguousarray(tensor.numpy()) for tensor in pickler.tensors]
    table = [(tensor.dtype, tuple(tensor.shape)) for tensor in pickler.tensors]
    head = pickle.dumps((stream.getvalue(), table))
    offsets, total = _offsets(table)
    block = bytearray(total)
    for array, offset in zip(arrays, offsets, strict=True):
        if array.nbytes < LARGE:
            block[offset : offset + array.nbytes] = array.tobytes()
    try:
        connection.sendall(b"".join((SIZE.pack(len(head)), head, block)))
        for array in arrays:
            if array.nbytes >= LARGE:
                connection.sendall(array.reshape(-1).view(np.uint8).data)
    except OSError:
        raise ConnectionEnded from None


def receive(connection: socket.socket, *, pinned: bool = False) -> Received:
    """The next object; with `pinned` its tensors lie in pinned memory.

    Raises:
        ConnectionEnded: the other side is gone.
    """
    (size,) = SIZE.unpack(_fill(connection, bytearray(SIZE.size)))
    skeleton, table = pickle.loads(_fill(connection, bytearray(size)))

    def received(count: int) -> Tensor:
        tensor = torch.empty(count, dtype=torch.uint8, pin_memory=pinned)
        _fill(connection, tensor.numpy())
        return tensor

    block = received(_offsets(table)[1])
    sizes = [_bytes(dtype, shape) for dtype, shape in table]
    return Received(skeleton, table, block, [received(size) for size in sizes if size >= LARGE])


def _fill(connection: socket.socket, target: Any) -> Any:
    """The target, a writable buffer, full of received bytes; waits without Python's lock."""
    view = memoryview(target)
    try:
        while len(view):
            count = connection.recv_into(view, len(view), socket.MSG_WAITALL)
            if not count:
                raise ConnectionEnded
            view = view[count:]
    except OSError as error:
        raise ConnectionEnded from error
    return target


def _bytes(dtype: torch.dtype, shape: tuple[int, ...]) -> int:
    return dtype.itemsize * math.prod(shape)


def _offsets(table: Table) -> tuple[list[int], int]:
    """Where in the block each small tensor lies, and the block's size; large ones take no room."""
    offsets, end = [], 0
    for dtype, shape in table:
        offsets.append(end)
        size = _bytes(dtype, shape)
        end += 0 if size >= LARGE else math.ceil(size / ALIGNMENT) * ALIGNMENT
    return offsets, end


class _Pickler(pickle.Pickler):
    """Leaves the tensors out and lists them."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self.tensors: list[Tensor] = []

    def persistent_id(self, value: object) -> int | None:
        if not isinstance(value, Tensor):
            return None
        self.tensors.append(value)
        return len(self.tensors) - 1


class _Unpickler(pickle.Unpickler):
    """Puts them back."""

    def __init__(self, skeleton: bytes, tensors: list[Tensor]) -> None:
        super().__init__(io.BytesIO(skeleton))
        self._tensors = tensors

    def persistent_load(self, number: int) -> Tensor:
        return self._tensors[number]
