"""Which reader a data set needs: the only module that knows all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from handpose.data.merged.merged_reader import Beside, ReaderWithOthers
from handpose.data.reader import BenchmarkReader, DatasetReader
from handpose.dexycb.reader import DexYcbReader
from handpose.folder.reader import FolderReader
from handpose.freihand.reader import FreiHandReader
from handpose.ho3d.reader import Ho3dReader
from handpose.interhand.reader import InterHandReader
from stages.params import DataParams

READERS: dict[str, Callable[..., DatasetReader]] = {
    "interhand": InterHandReader,
    "folder": FolderReader,
}
"""By `data.format`: a folder; InterHand2.6M's also takes by keyword whether both hands of an
annotation are read."""

BENCHMARKS: dict[str, Callable[..., BenchmarkReader]] = {
    "freihand": FreiHandReader,
    **{f"ho3d_{version}": partial(Ho3dReader, version=version) for version in ("v2", "v3")},
    **{f"dexycb_{setup}": partial(DexYcbReader, setup=setup) for setup in ("s0", "s1", "s2", "s3")},
}
"""By key of `data.benchmarks`: a folder, and by keyword whether the training set is read. HInt has
2D joints alone, so it is scored but not ingested."""


def open_reader(data: DataParams, *, each_hand: bool = False) -> DatasetReader:
    """The reader of the data set in `data.root`, and of those beside it; nothing is read yet.

    With `each_hand`, InterHand2.6M's annotations of both hands are two rows.
    """
    root = Path(data.root)
    main = READERS[data.format](root, **({"each_hand": True} if each_hand else {}))
    others = {
        str(name): Beside(benchmark_root(data, name), open_benchmark(data, name))
        for name in data.benchmarks
        if name in BENCHMARKS
    }
    return ReaderWithOthers(root, main, others) if others else main


def benchmark_root(data: DataParams, name: str) -> Path:
    """The folder of a benchmark; `~` is the user's."""
    folders = {str(key): folder for key, folder in data.benchmarks.items()}
    return Path(folders[name]).expanduser()


def open_benchmark(data: DataParams, name: str) -> BenchmarkReader:
    """The reader of a benchmark that `data.benchmarks` names."""
    return BENCHMARKS[name](benchmark_root(data, name), training=name in data.trained_benchmarks)
