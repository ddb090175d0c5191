"""WebDataset tars of crops: written once with the same bytes for the same input, read as batches.

`index.json` beside the tars lists each with its count, size and SHA-256; it is written last, so
tars without it are an unfinished run. What one sample holds is told in `stored.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import webdataset as wds

from handpose.data.augment import Augmentation, Move, apply
from handpose.data.stored import NO_CLASS, ClassIds, decode, encode_label
from handpose.errors import HandPoseError
from handpose.sample import HandBatch, HandSample, collate

SHUFFLE_BUFFER = 10_000
"""Samples (as compressed bytes: 60 MB at 128 px) among which an epoch draws the next one.

A smaller split is shuffled uniformly anew every epoch; of a larger one the order of the tars, each
a random part of the split, and what stands together in the buffer change."""


class ShardError(HandPoseError):
    """The shards are missing, unfinished, damaged, or do not hold what is asked of them."""


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

    stored_px: int  # side of a stored crop
    view_px: int  # side of the network's view in its middle
    splits: dict[str, tuple[Tar, ...]]

    def count(self, split: str) -> int:
        """Number of samples in a split; 0 for one that is not there."""
        return sum(tar.samples for tar in self.splits.get(split, ()))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `index.json`; the counts per split are for the reader's eye."""
        splits = {
            split: {
                "samples": self.count(split),
                "tars": [dataclasses.asdict(tar) for tar in tars],
            }
            for split, tars in self.splits.items()
        }
        return {"stored_px": self.stored_px, "view_px": self.view_px, "splits": splits}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Index:
        """The inverse of `to_json`."""
        splits = {
            split: tuple(Tar(**tar) for tar in entry["tars"])
            for split, entry in content["splits"].items()
        }
        return cls(content["stored_px"], content["view_px"], splits)


def write_tar(path: Path, samples: Iterable[tuple[bytes, Mapping[str, Any]]]) -> Tar:
    """Write samples (JPEG, label) in their order; the same samples give the same bytes.

    The label holds what `stored.py` lists. Time, user and group in the tar are fixed.
    """
    written = 0
    with path.open("wb") as stream, wds.TarWriter(stream, encoder=False, mtime=0) as tar:
        for jpeg, label in samples:
            key = f"{label['sample_id']:09d}"
            tar.write({"__key__": key, "jpg": jpeg, "json": encode_label(label)})
            written += 1
    return Tar(path.name, written, path.stat().st_size, _sha256(path))


class Shards:
    """The shards of a folder, held against their index."""

    def __init__(self, folder: Path, index: Index) -> None:
        """The tars in `folder`/tars as told by `index`; `open` reads and checks both."""
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
                f"{path}: is no index of shards ({error!r}). Run `dvc repro -f shard`"
            ) from None
        shards = cls(path.parent, index)
        for tars in index.splits.values():
            for tar in tars:
                shards._check_size(tar)
        return shards

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
        buffer: int = SHUFFLE_BUFFER,
    ) -> Iterator[HandBatch]:
        """Batches of a split, on the CPU.

        With an `epoch` (training) the order and every random move are a pure function of `seed` and
        `epoch`, and the last incomplete batch is dropped. Without one (evaluation) every sample
        comes exactly once, in stored order, and the last batch may be smaller.

        Args:
            split: train, validation, test, official_val or official_test.
            batch: samples in a batch.
            image_px: side of the images.
            labels: classes per gesture folder (`read_labels`); ROM folders stay UNLABELLED.
            canonical: mirror every left hand to a right one; its classes stay as in `labels`.
            seed: of the training run.
            epoch: number of the pass over the data, or None.
            skip: so many batches at the start are passed over without decoding them, to resume.
            augmentation: what training does to a sample; None is nothing.
            buffer: samples among which the next one is drawn.

        Raises:
            ShardError: the split is not there or smaller than one training batch; while reading,
                when a tar was changed or a gesture folder has no class in `labels`.
        """
        count = self._checked_count(split, 1 if epoch is None else batch)
        end = count if epoch is None else count // batch * batch
        order = None if epoch is None else random.Random(f"{seed} {epoch}")
        raws = islice(self._raw_samples(split, order, buffer), skip * batch, end)
        view = _View(
            image_px=image_px,
            view_px=self.index.view_px,
            labels=labels,
            canonical=canonical,
            augmentation=augmentation,
            seeds=(seed, epoch or 0),
        )
        return view.batches(raws, batch)

    def _checked_count(self, split: str, least: int) -> int:
        count = self.index.count(split)
        if count < least:
            known = ", ".join(f"{name} {self.index.count(name)}" for name in self.index.splits)
            raise ShardError(
                f"{self.folder}: split {split!r} holds {count} samples, but one batch needs "
                f"{least}; samples per split: {known}"
            )
        return count

    def _raw_samples(
        self, split: str, order: random.Random | None, buffer: int
    ) -> Iterator[dict[str, Any]]:
        """Undecoded samples of a split, shuffled by `order` if there is one.

        The order is made here, anew for each call: webdataset's own shard shuffling repeats the
        first epoch's order for ever.
        """
        tars = list(self.index.splits[split])
        stages = [lambda: self._sources(tars), wds.tarfile_to_samples()]
        if order is not None:
            order.shuffle(tars)
            stages.append(wds.shuffle(buffer, initial=buffer, rng=order))
        return iter(wds.DataPipeline(*stages))

    def _sources(self, tars: list[Tar]) -> Iterator[dict[str, str]]:
        """What webdataset opens: each tar, once its content is known to be whole."""
        for tar in tars:
            path = self._check_size(tar)
            if tar.name not in self._verified:
                if _sha256(path) != tar.sha256:
                    raise _damaged(path, "its SHA-256 is not the one in index.json")
                self._verified.add(tar.name)
            yield {"url": str(path)}

    def _check_size(self, tar: Tar) -> Path:
        path = self.folder / "tars" / tar.name
        if not path.is_file():
            raise _damaged(path, "not found, but index.json lists it")
        if path.stat().st_size != tar.bytes:
            raise _damaged(path, f"{path.stat().st_size} bytes; index.json says {tar.bytes}")
        return path


def _damaged(path: Path, what: str) -> ShardError:
    return ShardError(
        f"{path}: {what}. Fetch the shards again with `dvc checkout --force`, or make them anew "
        "with `dvc repro -f shard`"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class _View:
    """How stored samples become what the network sees."""

    image_px: int
    view_px: int
    labels: Mapping[str, ClassIds]
    canonical: bool
    augmentation: Augmentation | None
    seeds: tuple[int, int]  # seed and epoch

    def batches(self, raws: Iterator[dict[str, Any]], batch: int) -> Iterator[HandBatch]:
        """Batches of the samples, in their order."""
        while samples := [self.sample(raw) for raw in islice(raws, batch)]:
            yield collate(samples)

    def sample(self, raw: Mapping[str, Any]) -> HandSample:
        """Decode, join the classes, augment."""
        label = json.loads(raw["json"])
        ids = self._classes(label)
        stored = decode(raw["jpg"], label, ids)
        move, twin = Move(), (ids.twin_coarse, ids.twin_fine)
        if self.augmentation is not None:
            # seeded by the sample, so that neither a resume nor a worker process changes the draw
            move = self.augmentation.draw(np.random.default_rng((*self.seeds, stored.sample_id)))
        if self.canonical:
            move, twin = move._replace(mirrored=stored.is_left), (ids.coarse, ids.fine)
        return apply(move, stored, view_px=self.view_px, out_px=self.image_px, twin=twin)

    def _classes(self, label: Mapping[str, Any]) -> ClassIds:
        folder = label["seq_name"]
        if folder not in self.labels and label["kind"] == "gesture":
            raise ShardError(
                f"gesture folder {folder!r} (sample {label['sample_id']}) is in the shards but has "
                "no class in the labels; run `dvc repro` so that both come from the same map"
            )
        return self.labels.get(folder, NO_CLASS)
