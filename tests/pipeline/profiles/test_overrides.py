from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.profiles.overrides import OverrideError, override
from stages.params import load_params

ROOT = Path(__file__).parents[3]


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def test_values_are_written_and_comments_kept(params: Path) -> None:
    before = params.read_text("utf-8")
    out = override(["pose.lr=0.0005", "pose.augment.flip=0.5", "ingest.test_subjects=[3]"], params)
    loaded = load_params(params)
    assert (loaded.pose.lr, loaded.pose.augment.flip) == (0.0005, 0.5)
    assert out[0] == "params.yaml: pose.lr 0.001 -> 0.0005"
    assert len(out) == 3
    assert params.read_text("utf-8").count("#") == before.count("#")
    assert override(["pose.lr=0.0005"], params) == []


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("pose.lr", "expected section.key=value"),
        ("pose.learning_rate=1", "no such key"),
        ("evaluate.tsne_sample=60", "did you mean evaluate.tsne_samples"),
        ("pose=1", "no such key"),
        ("pose.lr=-1", "should be greater than 0"),
        ("pose.lr=[", "is not a YAML value"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    params: Path, pair: str, message: str
) -> None:
    before = params.read_text("utf-8")
    with pytest.raises(OverrideError, match=message) as error:
        override(["pose.epochs=9", pair], params)
    assert ".partial" not in str(error.value)
    assert params.read_text("utf-8") == before
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]
