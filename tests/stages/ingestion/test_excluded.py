"""What the list of exclusions names does not come; what it does not find is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from handpose.exclusions import COLUMNS, Exclusion, ExclusionError
from stages import ingest
from stages.ingestion.excluded import matches
from stages.paths import CONTRADICTIONS, REJECTS, SAMPLES
from tests.stages.small_dataset import Dataset, set_params

LIST = Path("labels/exclusions.csv")


@pytest.fixture
def listed(dataset: Dataset, stand_in: Path) -> Dataset:
    """The small data set, whose list is `LIST`."""
    set_params(stand_in, exclusions=str(LIST))
    exclude()
    return dataset


def exclude(*rows: str) -> None:
    LIST.parent.mkdir(exist_ok=True)
    LIST.write_text("".join(f"{row}\n" for row in (",".join(COLUMNS), *rows)), encoding="utf-8")


def counts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("data/ingest/manifest.json").read_text("utf-8"))
    return found["counts"]  # type: ignore[no-any-return]


def samples() -> Counter[tuple[Any, ...]]:
    """How often each place is among the samples of train, and whether it has its fit."""
    names = ("session", "sequence", "frame", "camera", "has_mano")
    table = pq.read_table(SAMPLES, filters=[("source_split", "=", "train")])
    return Counter(zip(*(table[name].to_pylist() for name in names), strict=True))


def test_a_list_without_rows_changes_no_byte(listed: Dataset, stand_in: Path) -> None:
    ingest.main()
    files = [path for path in Path("data/ingest").iterdir() if path.name != "manifest.json"]
    before = {path: path.read_bytes() for path in files}
    set_params(stand_in)  # the shipped list
    ingest.main()
    assert {path: path.read_bytes() for path in files} == before
    assert not [name for name in counts() if name.startswith("excluded")]


def test_one_view_a_frame_and_a_whole_sequence_go(listed: Dataset) -> None:
    ingest.main()
    before = samples()
    exclude(
        "train,0,0003_fake_gun,5,400026,right,second_hand,drop,a sleeve",
        "train,0,0103_fake_gun,112,*,left,swapped_side,drop,",
        "train,1,ROM03_LT_No_Occlusion,*,*,*,dark_photo,drop,",
    )
    ingest.main()
    gone = before - samples()
    assert samples() <= before
    assert sorted(place[:4] for place in gone) == [
        (0, "0003_fake_gun", 5, "400026"),
        (0, "0103_fake_gun", 112, "400026"),
        (0, "0103_fake_gun", 112, "410053"),
        *((1, "ROM03_LT_No_Occlusion", f, c) for f in (205, 212) for c in ("400026", "410053")),
    ]
    assert counts()["excluded_drop"] == {"dark_photo": 4, "second_hand": 1, "swapped_side": 2}
    rejects = pq.read_table(REJECTS)
    own = rejects.filter(pc.equal(rejects["reason"], "excluded"))
    assert f"second_hand, {LIST}:2: a sleeve" in own["detail"].to_pylist()
    assert len(own) == 7


def test_drop_fit_keeps_the_hand(listed: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    ingest.main()
    before = samples()
    exclude("train,0,0003_fake_gun,*,*,right,shape_drift,drop_fit,")
    ingest.main()
    after = samples()
    changed = {place[:4] for place in before - after}
    assert len(changed) == 4
    assert after - before == Counter((*place, False) for place in changed)
    assert counts()["excluded_drop_fit"] == {"shape_drift": 4}
    assert counts()["fit_excluded"] == 4
    assert "used without the MANO fit by labels/exclusions.csv: shape_drift 4" in (
        capsys.readouterr().out
    )
    odd = pq.read_table(CONTRADICTIONS)
    assert odd["reason"].to_pylist().count("fit_excluded") == 4


def test_drop_goes_before_drop_fit_whatever_their_order(listed: Dataset) -> None:
    exclude(
        "train,0,0003_fake_gun,*,*,*,shape_drift,drop_fit,",
        "train,0,0003_fake_gun,5,*,*,cut_off,drop,",
    )
    ingest.main()
    assert counts()["excluded_drop"] == {"cut_off": 2}
    assert counts()["excluded_drop_fit"] == {"shape_drift": 2}


@pytest.mark.parametrize(
    "row",
    [
        "train,0,0003_fake_gun,6,*,*,dark_photo,drop,",
        "train,9,0003_fake_gun,*,*,*,dark_photo,drop,",
        "train,0,0003_fake_gnu,*,*,*,dark_photo,drop,",
        "train,0,0003_fake_gun,5,400027,*,dark_photo,drop,",
        "train,0,0003_fake_gun,5,*,left,dark_photo,drop,",
        "val,0,0003_fake_gun,5,*,*,dark_photo,drop,",
    ],
)
def test_a_row_that_names_nothing_is_refused_with_its_line(listed: Dataset, row: str) -> None:
    exclude("train,0,0003_fake_gun,5,*,*,dark_photo,drop,", row)
    with pytest.raises(ExclusionError) as caught:
        ingest.main()
    assert f"{LIST}:3: {','.join(row.split(',')[:6])}" in str(caught.value)
    assert "1 row names no annotation" in str(caught.value)
    assert not SAMPLES.exists()


def test_an_unknown_split_is_refused_with_the_nearest(listed: Dataset) -> None:
    exclude("trian,0,0003_fake_gun,5,*,*,dark_photo,drop,")
    with pytest.raises(ExclusionError, match=r":2: the data have no split trian; did you mean tra"):
        ingest.main()


def test_what_ingest_rejects_anyway_may_be_named(listed: Dataset) -> None:
    exclude("train,0,0266_dh_pray,*,*,*,second_hand,drop,")
    ingest.main()
    assert "excluded_drop" not in counts()
    assert counts()["rejected"]["two_hands"] > 0


def test_matches_are_those_of_a_plain_loop() -> None:
    rows = [
        (session, folder, frame, camera, hand)
        for session in (0, 1)
        for folder in ("a", "b")
        for frame in (1, 2, None)
        for camera in ("x", "y")
        for hand in ("right", "left", None)
    ]
    names = ("session", "sequence", "frame", "camera", "hand")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    wanted = [
        Exclusion("train", session, folder, frame, camera, hand, "k", "drop")
        for session, folder, frame, camera, hand in (
            (0, "a", 1, "x", "right"),
            (0, "a", None, "x", None),
            (1, "b", 2, None, None),
            (1, "a", None, None, "left"),
            (2, "a", None, None, None),
        )
    ]
    expected = {
        number: own
        for number, row in enumerate(rows)
        if (
            own := [
                one
                for one in wanted
                if all(
                    value is None or value == cell
                    for value, cell in zip(one.target[1:], row, strict=True)
                )
            ]
        )
    }
    found = matches(table, wanted)
    assert {number: sorted(map(str, own)) for number, own in found.items()} == {
        number: sorted(map(str, own)) for number, own in expected.items()
    }
    assert matches(table, []) == {}
