"""Messages: what is sent is received, whatever is in it, and an end is an end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from handpose.data.processes.tensor_message import LARGE, ConnectionEnded, Received, receive, send

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def through(pair: Pair, value: object) -> Received:
    """The value as received; another thread sends it, since a socket holds little."""
    sender = threading.Thread(target=send, args=(pair[0], value))
    sender.start()
    received = receive(pair[1])
    sender.join()
    return received


TENSORS = [
    torch.arange(7, dtype=torch.uint8),
    torch.tensor([True, False, True]),
    torch.randn(2, 3, dtype=torch.float64),
    torch.tensor(3.5),
    torch.empty(4, 3, 0, 0, dtype=torch.uint8),
    torch.arange(LARGE // 4, dtype=torch.float32),  # just large
    torch.arange(LARGE // 8 - 1),  # just not
    torch.randn(5, 4).t(),  # not contiguous
]


@pytest.mark.parametrize(
    "value", [None, {"a": [1, "b", b"c"]}, [], TENSORS[:1], TENSORS, TENSORS[::-1]]
)
def test_what_is_sent_is_received(pair: Pair, value: Any) -> None:
    found = through(pair, {"value": value, "after": 1}).on("cpu")
    assert found["after"] == 1
    if not value or isinstance(value, dict):
        assert found["value"] == value
        return
    for one, other in zip(found["value"], value, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def test_a_tensor_that_comes_twice_is_received_twice_and_messages_do_not_mix(pair: Pair) -> None:
    for number in range(3):
        tensor = torch.full((3,), number)
        one, other = through(pair, [tensor, tensor]).on("cpu")
        assert torch.equal(one, tensor) and torch.equal(other, tensor)


def test_a_small_tensor_that_is_kept_does_not_keep_a_large_one(pair: Pair) -> None:
    small, large = through(pair, (torch.ones(3), torch.zeros(LARGE))).on("cpu")
    assert small.untyped_storage().nbytes() < 1000
    assert small.untyped_storage().data_ptr() != large.untyped_storage().data_ptr()


def test_few_copies_bring_a_message_to_a_device(pair: Pair) -> None:
    received = through(pair, TENSORS)
    assert len(received.large) == 1
    assert [tensor.device.type for tensor in received.on("meta")] == ["meta"] * len(TENSORS)


@pytest.mark.parametrize("part", [0, 4, 40])
def test_an_end_is_an_end_wherever_it_comes(pair: Pair, part: int) -> None:
    whole = socket.socketpair()
    send(whole[0], list(range(100)))
    pair[0].sendall(whole[1].recv(part) if part else b"")
    pair[0].close()
    with pytest.raises(ConnectionEnded):
        receive(pair[1])
    for one in whole:
        one.close()


def test_nobody_receives(pair: Pair) -> None:
    pair[1].close()
    with pytest.raises(ConnectionEnded):
        send(pair[0], 1)
