"""Which reader a data set needs: the only module that knows all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from handpose.data.reader import DatasetReader
from handpose.folder.reader import FolderReader
from handpose.interhand.reader import InterHandReader
from stages.params import DataParams

READERS: dict[str, Callable[[Path], DatasetReader]] = {
    "interhand": InterHandReader,
    "folder": FolderReader,
}
"""By `data.format`."""


def open_reader(data: DataParams) -> DatasetReader:
    """The reader of the data set in `data.root`; nothing is read yet."""
    return READERS[data.format](Path(data.root))
