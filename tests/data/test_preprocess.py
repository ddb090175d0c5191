"""Buffers: memory is used again, but never while anybody can still see it."""

from __future__ import annotations

import gc
import threading

import numpy as np
import torch

from handpose.data.preprocess import Buffers


def test_what_nobody_holds_is_used_again() -> None:
    buffers = Buffers()
    place = buffers.take(2, 3).ctypes.data
    assert buffers.take(2, 3).ctypes.data == place


def test_what_a_tensor_or_a_view_of_it_holds_is_not() -> None:
    buffers = Buffers()
    array = buffers.take(4, 3)
    array[:] = 7
    row = torch.from_numpy(array)[1]
    del array
    gc.collect()
    buffers.take(4, 3)[:] = 9
    assert row.tolist() == [7, 7, 7]
    planes = buffers.take(4, 3)[2:]
    planes[:] = 5
    buffers.take(4, 3)[:] = 1
    assert (planes == 5).all()


def test_another_shape_is_another_array() -> None:
    buffers = Buffers()
    assert buffers.take(4, 3).shape == (4, 3)
    assert buffers.take(2, 3).shape == (2, 3)
    assert buffers.take(4, 3).shape == (4, 3)


def test_two_threads_never_share_one() -> None:
    buffers, wrong = Buffers(), []

    def use(number: int) -> None:
        for _ in range(300):
            array = buffers.take(1000)
            array[:] = number
            if not (array == number).all():
                wrong.append(number)
            del array

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert np.shape(buffers.take(1000)) == (1000,)
