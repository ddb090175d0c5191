"""What intervals resample: from a reader to the file that every table reads it from."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from handpose.data.merged.interval_units import KEY, PEOPLE, IntervalUnits, Units
from handpose.data.splits import TRAIN
from stages.code_digest import ROOT
from stages.ingestion.formats import BENCHMARKS

WAVES = Units("wave", "waves", "nobody is named")
SPLITS = [("a_train", "", PEOPLE), ("b_test", "b", WAVES), ("b_train", TRAIN, WAVES)]


def test_units_are_kept_beside_a_schema(tmp_path: Path) -> None:
    units = IntervalUnits.of_splits(SPLITS)
    table = pa.table({"subject": [1, 2]}).replace_schema_metadata(
        {"source_digest": "0"} | units.metadata()
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = IntervalUnits.of_metadata(pq.read_schema(tmp_path / "a.parquet").metadata)
    assert found == units
    assert found.of("b") == WAVES and found.of("test") == PEOPLE
    assert found.of_source("b_train") == WAVES and found.of_source("a_train") == PEOPLE


def test_a_data_set_of_people_changes_no_byte(tmp_path: Path) -> None:
    units = IntervalUnits.of_splits(SPLITS[:1])
    assert units.metadata() == {} and units == IntervalUnits()
    assert IntervalUnits.of_metadata(None) == units == IntervalUnits.of_metadata({b"a": b"b"})


def test_they_are_reported_with_their_number_and_reason() -> None:
    assert (PEOPLE.counted(1), PEOPLE.counted(8)) == ("1 person", "8 people")
    assert PEOPLE.explained() == "people" and PEOPLE.explained(8) == "8 people"
    assert WAVES.explained(2) == "2 waves (nobody is named)"
    assert PEOPLE.to_json(8) == {"what": "people", "count": 8}
    assert WAVES.to_json(8) == {"what": "waves", "count": 8, "why": "nobody is named"}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_says_why_it_resamples_no_people(name: str, tmp_path: Path) -> None:
    reader = BENCHMARKS[name](tmp_path, training=True)
    assert {split.units for split in reader.splits()} == {reader.units}
    assert (reader.units == PEOPLE) == (not reader.units.why)
    assert (reader.units == PEOPLE) == name.startswith("dexycb"), "DexYCB alone names people"


def test_what_describes_intervals_knows_no_data_set() -> None:
    """The word comes from the data: `KEY` of samples.parquet."""
    files = [
        *(ROOT / "stages" / "evaluation").glob("*.*"),
        ROOT / "stages" / "evaluate.py",
        *(ROOT / "pipeline" / "publish").glob("*.py"),
        ROOT / "pipeline" / "imported" / "side_by_side.py",
    ]
    assert len(files) > 10 and KEY
    for path in files:
        text = path.read_text("utf-8").lower()
        assert not any(name.partition("_")[0] in text for name in BENCHMARKS), path
