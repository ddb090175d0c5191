from __future__ import annotations

from collections import Counter

import pyarrow as pa

from handpose.interhand.verify.photo_sample import sample_rows

FOLDERS = {"a/cam1": 5, "a/cam2": 1, "b/cam1": 3}
NAMES = [f"{folder}/image{i}.jpg" for folder, count in FOLDERS.items() for i in range(count)]


def test_every_folder_gives_as_many_as_it_can() -> None:
    column = pa.chunked_array([NAMES[::2], NAMES[1::2]])
    for each in (0, 1, 2, 9):
        rows = sample_rows(column, each, seed=0)
        found = Counter(column[row].as_py().rpartition("/")[0] for row in rows.tolist())
        assert found == Counter({f: min(n, each) for f, n in FOLDERS.items() if each})
        assert len(set(rows.tolist())) == len(rows)


def test_a_seed_chooses_the_same_again_and_another_other_ones() -> None:
    column = pa.chunked_array([[f"a/image{i}.jpg" for i in range(1000)]])
    first, again, other = (sample_rows(column, 20, seed).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first == sorted(first)
