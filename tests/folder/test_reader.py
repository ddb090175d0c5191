"""A folder of one's own recordings in the neutral form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.data.annotation_table import REJECT
from handpose.folder.hand_record import FILE
from handpose.folder.reader import FolderError, FolderReader
from tests.folder.plain_line import LINE, MANO


def write(root: Path, *lines: dict[str, Any] | str) -> FolderReader:
    (root / FILE).parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(LINE | line) for line in lines]
    (root / FILE).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return FolderReader(root)


def test_a_record_is_a_row(tmp_path: Path) -> None:
    reader = write(
        tmp_path,
        {"gesture": "wave", "mano": MANO},
        "",
        {"side": "left", "sequence": "walk", "joint_valid": [False] + [True] * 20},
    )
    (train,) = reader.splits()
    usable, rejected = reader.read(train)
    assert rejected.schema == REJECT and len(rejected) == 0
    assert usable.table["annotation_id"].to_pylist() == [1, 3]  # numbers of lines
    assert usable.table["kind"].to_pylist() == ["gesture", "rom"]
    assert usable.table["sequence"].to_pylist() == ["wave", "walk"]
    hands = usable.hands()
    assert hands.is_left.tolist() == [False, True]
    assert hands.has_mano.tolist() == [True, False]
    np.testing.assert_array_equal(hands.joints[0], LINE["joints"])
    assert hands.joint_valid.sum(1).tolist() == [21, 20]
    assert hands.visible.all()
    assert hands.size.tolist() == [[64, 48]] * 2
    assert hands.fit.betas[0].tolist() == MANO["betas"]


def test_other_splits_are_evaluated_whole(tmp_path: Path) -> None:
    reader = write(tmp_path, {"split": "outdoors"}, {}, {"split": "outdoors"})
    train, outdoors = reader.splits()
    assert (train.name, train.evaluated_as) == ("train", "")
    assert (outdoors.name, outdoors.evaluated_as) == ("outdoors", "outdoors")
    assert [len(reader.read(split).usable) for split in (train, outdoors)] == [1, 2]
    with pytest.raises(FolderError, match="no line is of the training data: all have a key split"):
        write(tmp_path, {"split": "outdoors"}).splits()


def test_faults_are_listed_with_file_and_line(tmp_path: Path) -> None:
    reader = write(tmp_path, {}, {"side": "up"}, "oops", {})
    with pytest.raises(FolderError) as error:
        reader.splits()
    file = tmp_path / FILE
    head, *lines = str(error.value).split("\n  ")
    assert head == f"{file} has 2 faults:"
    assert lines[0] == f'{file}:2: side: expected right or left, found "up"'
    assert lines[1].startswith(f"{file}:3: is not JSON")
    many = write(tmp_path, *[{"side": "up"}] * 30)
    with pytest.raises(FolderError, match=r"has 30 faults:(.|\n)*and 10 more$"):
        many.splits()


def test_a_sequence_called_like_a_gesture_is_refused(tmp_path: Path) -> None:
    reader = write(tmp_path, {"sequence": "wave"}, {"gesture": "wave"}, {"sequence": "wave"})
    with pytest.raises(FolderError, match=r"1 fault:\n  .*:1: sequence: wave is a gesture in oth"):
        reader.splits()


def test_a_file_that_is_not_there_is_named_with_the_parameters(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"hands\.jsonl: not found\. data\.format .* is folder"):
        FolderReader(tmp_path).splits()
