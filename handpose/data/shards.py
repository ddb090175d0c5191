"""WebDataset tars of crops: written once with the same bytes for the same input, read as batches.

`index.json` beside the tars lists each with its count, size and SHA-256; it is written last, so
tars without it are an unfinished run. `records.py` describes a sample.

webdataset gives two things: the format, so that its own
`WebDataset("data/shard/tars/train-{000000..000009}.tar").decode("rgb8")` reads the same images and
labels anywhere, and the shuffle within an epoch. The rest is ours: its tar reader and writer take
five times as long (`tar.py`); its shard shuffle repeats the first epoch's order, and each of its
workers would fill a shuffle buffer of its own, so that the order would depend on how many there
are and a run could not be resumed with another number.
"""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as counting
from itertools import islice
from pathlib import Path
from typing import Any

import webdataset as wds

from handpose.data import tar
from handpose.data.augment import Augmentation
from handpose.data.labels import ClassIds
from handpose.data.loading import HERE, Loading
from handpose.data.preprocess import Preprocessor
from handpose.data.records import encode_labels
from handpose.data.tar import EncodedSample, sample_key
from handpose.distributed import SINGLE_PROCESS, Distributed
from handpose.errors import HandPoseError
from handpose.files import digest
from handpose.sample import HandBatch

SHUFFLE_BUFFER = 10_000
"""Samples (as compressed bytes: 60 MB at 128 px) among which an epoch draws the next one.

A smaller split is shuffled uniformly anew every epoch; of a larger one the order of the tars, each
a random part of the split, and what stands together in the buffer change."""


AT_ONCE = 64
"""Samples that are encoded together when a tar is written."""


class ShardError(HandPoseError):
    """The shards are missing, unfinished, damaged, or lack a split."""


@dataclass(frozen=True)
class Tar:
    """One tar as it was written."""

    name: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What `index.json` holds: the geometry of the crops and the tars of each split, in order."""

    crop_px: int  # side of a stored crop
    view_px: int  # side of the network's view in its middle
    splits: dict[str, tuple[Tar, ...]]

    def count(self, split: str) -> int:
        """Number of samples in a split; 0 for one that is not there."""
        return sum(tar.samples for tar in self.splits.get(split, ()))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `index.json`; the counts per split are for people."""
        splits = {
            split: {
                "samples": self.count(split),
                "tars": [dataclasses.asdict(tar) for tar in tars],
            }
            for split, tars in self.splits.items()
        }
        return {"crop_px": self.crop_px, "view_px": self.view_px, "splits": splits}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Index:
        """The inverse of `to_json`."""
        splits = {
            split: tuple(Tar(**tar) for tar in entry["tars"])
            for split, entry in content["splits"].items()
        }
        return cls(content["crop_px"], content["view_px"], splits)


def write_tar(path: Path, samples: Iterable[tuple[bytes, Mapping[str, Any]]]) -> Tar:
    """Write samples (JPEG, label) in their order; the same samples give the same bytes.

    The label has the keys that `records.py` lists.
    """
    with path.open("wb") as stream:
        written = tar.write(stream, _encoded(samples))
    return Tar(path.name, written, path.stat().st_size, digest(path))


def _encoded(samples: Iterable[tuple[bytes, Mapping[str, Any]]]) -> Iterator[EncodedSample]:
    """The samples with their labels as JSON, made for many at once."""
    left = iter(samples)
    while group := list(islice(left, AT_ONCE)):
        jpegs, labels = zip(*group, strict=True)
        for jpeg, label, encoded in zip(jpegs, labels, encode_labels(labels), strict=True):
            yield EncodedSample(sample_key(label["sample_id"]), jpeg, encoded)


class Shards:
    """The shards of a folder, checked against their index."""

    def __init__(self, folder: Path, index: Index) -> None:
        """The tars in `folder`/tars as listed in `index`; `open` reads and checks both."""
        self.folder = folder
        self.index = index
        self._verified: set[str] = set()

    @classmethod
    def open(cls, folder: Path | str) -> Shards:
        """The shards in this folder (`index.json` and `tars/`).

        Raises:
            ShardError: the index is missing or unreadable, or a tar is missing or of another size.
                A tar's SHA-256 is compared when it is first read.
        """
        path = Path(folder) / "index.json"
        try:
            index = Index.from_json(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            raise ShardError(
                f"{path}: not found; no finished shards are here. Run `dvc repro shard`"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ShardError(
                f"{path}: is not an index of shards ({error!r}). Run `dvc repro -f shard`"
            ) from None
        shards = cls(path.parent, index)
        for tars in index.splits.values():
            for entry in tars:
                shards._check_size(entry)
        return shards

    def joined(self, split: str, other: str) -> Shards:
        """These shards with the samples of another split, if there are any, in this one too."""
        tars = (*self.index.splits.get(split, ()), *self.index.splits.get(other, ()))
        splits = {**self.index.splits, split: tars}
        return Shards(self.folder, dataclasses.replace(self.index, splits=splits))

    def batches(
        self,
        split: str,
        *,
        batch: int,
        image_px: int,
        labels: Mapping[str, ClassIds],
        canonical: bool = False,
        seed: int = 0,
        epoch: int | None = None,
        skip: int = 0,
        augmentation: Augmentation | None = None,
        turn_camera: bool = False,
        views: int = 1,
        buffer: int = SHUFFLE_BUFFER,
        part: Sequence[EncodedSample] | None = None,
        loading: Loading = HERE,
        distributed: Distributed = SINGLE_PROCESS,
    ) -> Iterator[HandBatch]:
        """Batches of a split, on the device of `loading`.

        With an `epoch` (training) the order and all augmentation are a pure function of `seed` and
        `epoch`, and the last incomplete batch is dropped. Without one (evaluation) every sample
        comes exactly once, in stored order, and the last batch may be smaller.

        Of several processes, each gets its slice of every training batch; evaluation batches are
        distributed whole, in turn. All read the same bytes, and decode only their own part.

        Args:
            split: train, validation, test, or another that the data set has.
            batch: samples in a batch.
            image_px: side of the images.
            labels: classes by gesture folder, or by image (`Labels.of_images`); images of ROM
                folders stay UNLABELLED.
            canonical: mirror every left hand to a right one; its classes stay as in `labels`.
            seed: of the training run.
            epoch: number of the pass over the data, or None.
            skip: number of batches at the start to skip without decoding them; of evaluation also
                without opening the tars that hold nothing else.
            augmentation: of training; None for none.
            turn_camera: give the labels in the frame of the camera turned onto each view's centre.
            views: so often each sample of a batch comes, each time with another augmentation: all
                first views in their order, then all second ones.
            buffer: samples among which the next one is drawn.
            part: of training: these samples instead of the whole split. An epoch has as many
                batches as without, so they come again and again, each pass in a new order and with
                another augmentation.
            loading: where and how far ahead; order, augmentation and labels are the same for all.
            distributed: the processes that share the batches.

        Raises:
            ShardError: the split is not there or smaller than one training batch; while reading,
                when a tar was changed.
            PreprocessError: while reading, when a gesture folder has no class in `labels`.
        """
        count = self._checked_count(split, 1 if epoch is None else batch)
        end = count // batch * batch  # of training
        start = skip * batch
        if epoch is None:
            tars, passed = _from(self.index.splits[split], start)
            encoded = islice(self._read_tars(tars), start - passed, None)
        else:
            order = random.Random(f"{seed} {epoch}")
            stored = self._shuffled(split, order, buffer) if part is None else _passes(part, order)
            encoded = islice(stored, start, end)
        preprocessor = Preprocessor(
            image_px=image_px,
            view_px=self.index.view_px,
            labels=labels,
            canonical=canonical,
            augmentation=augmentation,
            seeds=(seed, epoch or 0),
            turn_camera=turn_camera,
            views=views,
        )
        tasks = iter(lambda: list(islice(encoded, batch)), [])
        ours = distributed.round_robin(tasks) if epoch is None else map(distributed.slice, tasks)
        return loading.batches(ours, preprocessor)

    def labels(self, split: str, most: int) -> Iterator[dict[str, Any]]:
        """The labels of a split's first samples, as stored; no crop is decoded.

        Raises:
            ShardError: the split is not there or empty; while reading, when a tar was changed.
        """
        self._checked_count(split, 1)
        for sample in islice(self._read_tars(self.index.splits[split]), most):
            yield json.loads(sample.json)

    def stored(self, split: str, sample_ids: Collection[int]) -> list[EncodedSample]:
        """These samples of a split, in stored order, as compressed bytes.

        Raises:
            ShardError: as `labels`.
        """
        self._checked_count(split, 1)
        keys = {sample_key(number) for number in sample_ids}
        found = self._read_tars(self.index.splits[split])
        return [sample for sample in found if sample.key in keys]

    def _checked_count(self, split: str, least: int) -> int:
        count = self.index.count(split)
        if count < least:
            known = ", ".join(f"{name} {self.index.count(name)}" for name in self.index.splits)
            raise ShardError(
                f"{self.folder}: split {split!r} holds {count} samples, but one batch needs "
                f"{least}; samples per split: {known}"
            )
        return count

    def _shuffled(self, split: str, order: random.Random, buffer: int) -> Iterator[EncodedSample]:
        """Undecoded samples of a split in a new order.

        The order is made here, anew for each call: webdataset's own shard shuffling repeats the
        first epoch's order for ever.
        """
        tars = list(self.index.splits[split])
        order.shuffle(tars)
        shuffle = wds.shuffle(buffer, initial=buffer, rng=order)
        shuffled: Iterator[EncodedSample] = shuffle(self._read_tars(tars))
        return shuffled

    def _read_tars(self, tars: Iterable[Tar]) -> Iterator[EncodedSample]:
        """The samples of these tars; the content of each tar is verified first."""
        for entry in tars:
            path = self._check_size(entry)
            if entry.name not in self._verified:
                if digest(path) != entry.sha256:
                    raise _damaged(path, "its SHA-256 is not the one in index.json")
                self._verified.add(entry.name)
            yield from tar.read(path)

    def _check_size(self, entry: Tar) -> Path:
        path = self.folder / "tars" / entry.name
        if not path.is_file():
            raise _damaged(path, "not found, but index.json lists it")
        if path.stat().st_size != entry.bytes:
            raise _damaged(path, f"{path.stat().st_size} bytes; index.json says {entry.bytes}")
        return path


def _from(tars: Sequence[Tar], start: int) -> tuple[Sequence[Tar], int]:
    """The tars from the one on that holds sample number `start`, and the samples before it."""
    passed = 0
    for number, entry in enumerate(tars):
        if start < passed + entry.samples:
            return tars[number:], passed
        passed += entry.samples
    return (), start


def _passes(part: Sequence[EncodedSample], order: random.Random) -> Iterator[EncodedSample]:
    """These samples for ever, each pass in a new order."""
    for number in counting():
        for sample in order.sample(part, len(part)):
            yield sample._replace(repeat=number)


def _damaged(path: Path, what: str) -> ShardError:
    return ShardError(
        f"{path}: {what}. Fetch the shards again with `dvc checkout --force`, or make them anew "
        "with `dvc repro -f shard`"
    )
