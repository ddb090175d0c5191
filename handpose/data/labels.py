"""The classes of the gesture folders, as the stage `label` writes them to labels.parquet.

All images of a folder have its classes, unless the table has a column `sample_id` (`label.shuffle`,
`label.source`): then each image has classes of its own, in a row of its own, and the rows without a
`sample_id` name the classes: those of a folder, or of none (''), whose ids images may have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from handpose.data.annotation_table import INTERACTING
from handpose.data.tar import sample_key
from handpose.errors import HandPoseError
from handpose.sample import UNLABELLED


class LabelsError(HandPoseError):
    """labels.parquet is missing or damaged."""


class ClassIds(NamedTuple):
    """The classes of a gesture folder, and those of its twin: the same gesture, other hand."""

    coarse: int
    fine: int
    twin_coarse: int
    twin_fine: int


NO_CLASS = ClassIds(UNLABELLED, UNLABELLED, UNLABELLED, UNLABELLED)


def class_of(labels: Mapping[str, ClassIds], key: str, folder: str, kind: str) -> ClassIds:
    """The classes of an image of this key (`tar.sample_key`) and folder; or `NO_CLASS` itself.

    `labels` are those of folders or of images: no folder is called like an image. One of two hands
    has no class in any folder: nobody knows which of them performs the gesture.
    """
    if kind == INTERACTING:
        return NO_CLASS
    return labels.get(key) or labels.get(folder, NO_CLASS)


@dataclass(frozen=True)
class Labels:
    """The classes of every gesture folder, or of every image, and their names."""

    ids: Mapping[str, ClassIds]  # by gesture folder; empty where folders have no class
    coarse: list[str]  # class names by id; both hands' classes of a gesture have the same name
    fine: list[str]
    hands: list[str]  # right or left, by coarse id
    own: Mapping[str, ClassIds] = field(default_factory=dict)
    """By `tar.sample_key` of an image with a gesture, where each has its own; else empty."""

    @property
    def of_images(self) -> Mapping[str, ClassIds]:
        """What `class_of` reads: by image where each has its own classes, else by folder."""
        return self.own or self.ids

    @classmethod
    def read(cls, path: Path) -> Labels:
        """The labels in this file.

        Raises:
            LabelsError: the file is missing, is not Parquet, or lacks a column.
        """
        if not path.is_file():
            raise LabelsError(f"{path}: not found; run `dvc repro label` first")
        try:
            return cls.of(pq.read_table(path))
        except (pa.ArrowInvalid, KeyError) as error:
            raise LabelsError(
                f"{path}: cannot be read ({error}); run `dvc repro -f label`"
            ) from None

    @classmethod
    def of(cls, table: pa.Table) -> Labels:
        """The labels in a table with the columns of labels.parquet.

        Raises:
            KeyError: a column is missing.
        """
        column = {
            name: table[name].to_pylist()
            for name in ("folder", "hand", "coarse", "fine", *(f"{f}_id" for f in ClassIds._fields))
        }
        rows = zip(*(column[f"{name}_id"] for name in ClassIds._fields), strict=True)
        distinct: dict[ClassIds, ClassIds] = {}  # one object of equal ones, of a million images
        ids = [distinct.setdefault(one, one) for one in map(ClassIds._make, rows)]
        numbers: list[int | None] = [None] * len(ids)
        if "sample_id" in table.column_names:
            numbers = table["sample_id"].to_pylist()
        named = list(zip(numbers, column["folder"], ids, strict=True))
        return cls(
            ids={folder: one for number, folder, one in named if number is None and folder},
            own={sample_key(number): one for number, _, one in named if number is not None},
            coarse=_names_by_id(column["coarse_id"], column["coarse"]),
            fine=_names_by_id(column["fine_id"], column["fine"]),
            hands=_names_by_id(column["coarse_id"], column["hand"]),
        )

    @property
    def coarse_of_fine(self) -> list[int]:
        """The coarse id of each fine one, by fine id; UNLABELLED for an id that nothing has.

        A fine class lies inside one coarse class: the gesture map is held to that.
        """
        parents = {ids.fine: ids.coarse for ids in (*self.ids.values(), *self.own.values())}
        return [parents.get(number, UNLABELLED) for number in range(len(self.fine))]

    def names(self) -> dict[str, tuple[str, str]]:
        """Coarse and fine class name of each gesture folder."""
        return {f: (self.coarse[ids.coarse], self.fine[ids.fine]) for f, ids in self.ids.items()}

    def classes(
        self, sample_ids: Iterable[int], folders: Iterable[str], kinds: Iterable[str]
    ) -> list[ClassIds]:
        """The classes of these images, `NO_CLASS` for one without."""
        labels, keys = self.of_images, map(sample_key, sample_ids)
        return [class_of(labels, *one) for one in zip(keys, folders, kinds, strict=True)]


def majority(classes: Collection[ClassIds]) -> dict[str, int]:
    """The most frequent coarse and fine id of images with these classes.

    Of equally frequent ids the smallest; 0 without any image.
    """
    return {
        "coarse": _most_frequent([ids.coarse for ids in classes]),
        "fine": _most_frequent([ids.fine for ids in classes]),
    }


def _names_by_id(ids: Sequence[int], names: Sequence[str]) -> list[str]:
    """Names in the order of their ids; '' for an id without one, the first where there are two."""
    named = dict(zip(reversed(ids), reversed(names), strict=True))
    return [named.get(number, "") for number in range(max(ids, default=-1) + 1)]


def _most_frequent(ids: list[int]) -> int:
    return Counter(sorted(ids)).most_common(1)[0][0] if ids else 0
