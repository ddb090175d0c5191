from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.profiles.comments import WIDTH, meaning, render, rewrite
from stages.params import Params, ParamsError, load_params
from stages.sections.section import Section, defaults, section_of

ROOT = Path(__file__).parents[3]
SHIPPED = (ROOT / "params.yaml").read_text("utf-8")


def keys(schema: type[Section]) -> Iterator[tuple[type[Section], str]]:
    """Every key that holds a value, with its section."""
    for key in schema.model_fields:
        if section := section_of(schema, key):
            yield from keys(section)
        else:
            yield schema, key


def test_the_shipped_file_has_the_defaults_and_comments_of_the_fields() -> None:
    assert render(defaults(Params)) == SHIPPED, (
        "params.yaml is not what the fields in stages/sections/ say: run "
        "`python -m pipeline.profiles.comments`, which rewrites its comments and keeps its values"
    )
    assert all(len(line) <= WIDTH for line in SHIPPED.splitlines())


@pytest.mark.parametrize(("section", "key"), keys(Params))
def test_every_key_is_explained(section: type[Section], key: str) -> None:
    assert meaning(section, key)[1]


def test_values_are_kept_and_a_missing_key_comes_in(tmp_path: Path) -> None:
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    text = SHIPPED.replace(
        "mano: data/stand_in", "mano: /a/rather/long/path/to/somebodys/own/mano/models"
    )
    text = text.replace("  lr: 0.001 ", "  lr: 0.0005 ").replace("  tsne_samples: 1080 ", "  # ")
    path.write_text(text.replace("ours", "theirs"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.profiles.comments", str(path)], cwd=ROOT, check=True
    )
    assert done.returncode == 0
    params = load_params(path)
    assert params.hand.mano == "/a/rather/long/path/to/somebodys/own/mano/models"
    assert (params.pretrain.lr, params.evaluate.tsne_samples) == (0.0005, 1080)
    again = path.read_text("utf-8")
    assert "theirs" not in again
    assert all(len(line) <= WIDTH for line in again.splitlines())
    assert render(yaml.safe_load(again)) == again


def test_an_unknown_key_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    path.write_text(SHIPPED + "  picture: 3\n", "utf-8")
    with pytest.raises(ParamsError, match=r"did you mean evaluate\.pictures\?"):
        rewrite(path)
    assert path.read_text("utf-8") == SHIPPED + "  picture: 3\n"
