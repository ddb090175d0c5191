"""labels.parquet gives each gesture folder its classes, their names, and what is most frequent."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handpose.data.labels import NO_CLASS, ClassIds, Labels, LabelsError, majority
from handpose.sample import UNLABELLED

ROWS = [
    {"folder": f, "hand": h, "coarse_id": c, "coarse": n, "fine_id": d, "fine": m,
     "twin_coarse_id": t, "twin_fine_id": u, "x": 1}
    for f, h, c, n, d, m, t, u in (
        ("0003_fake_gun", "right", 1, "gun", 0, "gun", 3, 2),
        ("0103_fake_gun", "left", 3, "gun", 2, "gun", 1, 0),
    )
]  # fmt: skip

KINDS = ["gesture"] * 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "labels.parquet")
    return tmp_path / "labels.parquet"


def test_classes_are_read_by_folder(path: Path) -> None:
    labels = Labels.read(path)
    assert labels.ids == {
        "0003_fake_gun": ClassIds(coarse=1, fine=0, twin_coarse=3, twin_fine=2),
        "0103_fake_gun": ClassIds(coarse=3, fine=2, twin_coarse=1, twin_fine=0),
    }
    assert labels.names() == dict.fromkeys(labels.ids, ("gun", "gun"))


def test_names_and_hands_stand_at_their_ids_and_gaps_are_empty(path: Path) -> None:
    labels = Labels.read(path)
    assert labels.coarse == ["", "gun", "", "gun"]
    assert labels.fine == ["gun", "", "gun"]
    assert labels.hands == ["", "right", "", "left"]


def test_each_fine_class_has_its_coarse_one_and_a_gap_none(path: Path) -> None:
    assert Labels.read(path).coarse_of_fine == [1, UNLABELLED, 3]


def test_the_majority_is_the_most_frequent_class_and_of_equals_the_first(path: Path) -> None:
    labels = Labels.read(path)
    right, left = labels.classes(range(2), labels.ids, ["gesture"] * 2)
    assert majority([right, left, left]) == {"coarse": 3, "fine": 2}
    assert majority([left, right]) == {"coarse": 1, "fine": 0}
    assert majority([]) == {"coarse": 0, "fine": 0}


def test_images_may_have_classes_of_their_own_beside_those_of_folders(path: Path) -> None:
    """Rows with a sample_id are of images; rows without one name the classes."""
    right, left = ROWS
    rows = [
        *({**row, "sample_id": None} for row in ROWS),
        {**left, "folder": right["folder"], "sample_id": 7},
        {**right, "sample_id": 8},
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    labels, whole = Labels.read(path), Labels.of(pa.Table.from_pylist(ROWS))
    assert (labels.ids, labels.coarse, labels.hands) == (whole.ids, whole.coarse, whole.hands)
    folder = str(right["folder"])
    assert [ids.coarse for ids in labels.classes([7, 8, 9], [folder] * 3, KINDS)] == [3, 1, -1]
    assert labels.classes([9], [folder], KINDS[:1])[0] is NO_CLASS, (
        "the folder's classes are not this image's"
    )
    assert whole.classes([9], [folder], KINDS[:1]) == [whole.ids[folder]]
    assert labels.coarse_of_fine == whole.coarse_of_fine
    unnamed = [{**row, "folder": "" if row["sample_id"] is None else row["folder"]} for row in rows]
    of_images = Labels.of(pa.Table.from_pylist(unnamed))
    assert not of_images.ids, "as of classes made from the pose"
    assert of_images.coarse_of_fine == whole.coarse_of_fine


def test_one_of_two_hands_has_no_class_in_whatever_folder(path: Path) -> None:
    """Nor one of its own: which of the two performs the gesture is not known."""
    labels = Labels.read(path)
    folders = list(labels.ids)
    assert labels.classes([1, 2], folders, ["interacting"] * 2) == [NO_CLASS] * 2
    own = Labels({}, [], [], [], own={"000000001": labels.ids[folders[0]]})
    assert own.classes([1], folders[:1], ["gesture"]) == [labels.ids[folders[0]]]
    assert own.classes([1], folders[:1], ["interacting"]) == [NO_CLASS]


def test_missing_and_damaged_files_are_refused(path: Path) -> None:
    with pytest.raises(LabelsError, match="nowhere: not found; run `dvc repro label` first"):
        Labels.read(path.with_name("nowhere"))
    pq.write_table(pa.Table.from_pylist(ROWS).drop_columns("fine_id"), path)
    with pytest.raises(LabelsError, match=r"fine_id.*run `dvc repro -f label`"):
        Labels.read(path)
    path.write_bytes(b"not a table")
    with pytest.raises(LabelsError, match=r"cannot be read.*run `dvc repro -f label`"):
        Labels.read(path)
