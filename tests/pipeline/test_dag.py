from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.dag import DagError, nearest, parents, read_dag, readers

ROOT = Path(__file__).parents[2]


def test_edges_are_those_that_dvc_draws() -> None:
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        graph = repo.index.graph
        of_file = [stage for stage in graph if Path(stage.path) == ROOT / "dvc.yaml"]
        theirs = {stage.name: {other.name for other in graph[stage]} for stage in of_file}
        outs = {
            stage.name: {str(Path(out.fs_path).relative_to(ROOT)) for out in stage.outs}
            for stage in of_file
        }
    dag = read_dag(ROOT)
    assert {name: parents(dag, name) for name in dag} == theirs
    assert {name: set(stage.outs) for name, stage in dag.items()} == outs


def test_every_stage_names_its_entry_point() -> None:
    assert read_dag(ROOT)["pose_scratch"].entry_point == "pose"


def test_nearest_steps_over_stages_that_did_not_run() -> None:
    dag = read_dag(ROOT)
    assert nearest(dag, "pretrain", {"ingest", "label"}) == {"ingest", "label"}
    assert nearest(dag, "evaluate", {"pretrain"}) == {"pretrain"}
    assert nearest(dag, "evaluate", set()) == set()


def test_readers_of_a_file_are_all_that_follow_from_it() -> None:
    dag = read_dag(ROOT)
    trained = ["pretrain", "pose", "pose_scratch", "evaluate"]
    assert readers(dag, "data/labels/labels.parquet") == trained
    assert readers(dag, "data/labels/membership.txt") == ["shard", *trained]
    assert readers(dag, "labels/gesture_map.csv") == ["label", "shard", *trained]
    assert readers(dag, "results/metrics.json") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "not found"),
        ("stages:\n<<<<<<< HEAD\n  a: {cmd: b}\n", "line 3"),
        ("just words", "expected keys and values"),
        ("stages:\n  a: {cmd: python -m pipeline.stage a, deps: ['${no.such}']}", "no.such"),
    ],
)
def test_what_cannot_be_read_is_reported(tmp_path: Path, text: str | None, message: str) -> None:
    (tmp_path / "params.yaml").write_text("data: {root: data}\n")
    if text is not None:
        (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(DagError, match=message):
        read_dag(tmp_path)
