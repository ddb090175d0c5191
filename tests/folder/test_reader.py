"""A folder of one's own recordings in the neutral form."""

from __future__ import annotations

import json
import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handpose.data.annotation_table import REJECT
from handpose.folder.hand_record import FILE
from handpose.folder.reader import FolderError, FolderReader
from tests.folder.plain_line import LINE, MANO
from tests.wrong_files import WRONG, apply_remedy, spoil


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


def test_a_process_reads_the_file_itself(tmp_path: Path) -> None:
    reader = write(tmp_path, *[{}] * 100)
    (train,) = reader.splits()
    sent = pickle.dumps(reader)
    assert len(sent) < 1000
    usable, _ = pickle.loads(sent).read(train)
    assert usable.table.equals(reader.read(train).usable.table)


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


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_of_another_kind_is_called_by_its_name_and_the_remedy_works(
    tmp_path: Path, kind: str
) -> None:
    reader, path = write(tmp_path, {}), tmp_path / FILE
    whole = path.read_bytes()
    spoil(path, kind)
    with pytest.raises(FolderError) as error:
        reader.splits()
    assert f"{path}: {WRONG[kind]}" in str(error.value)
    apply_remedy(str(error.value), path, whole)
    assert len(FolderReader(tmp_path).splits()) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "a JSON list"])
def test_other_forms_of_the_records_are_read_or_converted(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, {}, {})
    path = tmp_path / FILE
    lines = path.read_text("utf-8").splitlines()
    if encoding == "a JSON list":
        path.write_text(json.dumps([json.loads(line) for line in lines], indent=1))
    else:
        path.write_text("\r\n".join(lines), encoding=encoding)
    if encoding != "utf-8-sig":
        with pytest.raises(FolderError) as error:
            FolderReader(tmp_path).splits()
        subprocess.run(str(error.value).partition("it: " if "list" in encoding else "16: ")[2],
                       shell=True, check=True)  # fmt: skip
    reader = FolderReader(tmp_path)
    (train,) = reader.splits()
    assert len(reader.read(train).usable) == 2
