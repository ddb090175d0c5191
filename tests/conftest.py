"""Fixtures for the whole suite: one torch thread, and the stand-in hand built once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from handpose.hand.mano import Mano


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    yield


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the stand-in's MANO_RIGHT.npz and MANO_LEFT.npz."""
    from handpose.hand.stand_in import write_stand_in

    folder = tmp_path_factory.mktemp("stand_in")
    write_stand_in(folder)
    return folder


@pytest.fixture(scope="session")
def mano(stand_in: Path) -> Mano:
    from handpose.hand.mano import Mano

    return Mano.load(stand_in)
