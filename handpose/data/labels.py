"""The classes of the gesture folders, as the stage `label` writes them to labels.parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

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


@dataclass(frozen=True)
class Labels:
    """The classes of every gesture folder, and their names."""

    ids: Mapping[str, ClassIds]  # by gesture folder
    coarse: list[str]  # class names by id; both hands' classes of a gesture have the same name
    fine: list[str]
    hands: list[str]  # right or left, by coarse id

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
        ids = zip(*(column[f"{field}_id"] for field in ClassIds._fields), strict=True)
        return cls(
            ids=dict(zip(column["folder"], map(ClassIds._make, ids), strict=True)),
            coarse=_names_by_id(column["coarse_id"], column["coarse"]),
            fine=_names_by_id(column["fine_id"], column["fine"]),
            hands=_names_by_id(column["coarse_id"], column["hand"]),
        )

    @property
    def coarse_of_fine(self) -> list[int]:
        """The coarse id of each fine one, by fine id; UNLABELLED for an id without a folder.

        A fine class lies inside one coarse class: the gesture map is held to that.
        """
        parents = {ids.fine: ids.coarse for ids in self.ids.values()}
        return [parents.get(number, UNLABELLED) for number in range(len(self.fine))]

    def names(self) -> dict[str, tuple[str, str]]:
        """Coarse and fine class name of each gesture folder."""
        return {f: (self.coarse[ids.coarse], self.fine[ids.fine]) for f, ids in self.ids.items()}

    def majority(self, folders: Iterable[str]) -> dict[str, int]:
        """The most frequent coarse and fine id of samples, given the gesture folder of each.

        Of equally frequent ids the smallest; 0 without any sample.
        """
        own = [self.ids[folder] for folder in folders]
        return {
            "coarse": _most_frequent([ids.coarse for ids in own]),
            "fine": _most_frequent([ids.fine for ids in own]),
        }


def _names_by_id(ids: Sequence[int], names: Sequence[str]) -> list[str]:
    """Names in the order of their ids; '' for an id without one, the first where there are two."""
    named = dict(zip(reversed(ids), reversed(names), strict=True))
    return [named.get(number, "") for number in range(max(ids, default=-1) + 1)]


def _most_frequent(ids: list[int]) -> int:
    return Counter(sorted(ids)).most_common(1)[0][0] if ids else 0
