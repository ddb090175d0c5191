from __future__ import annotations

import contextlib
import difflib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from handpose.hand.joint_definition import INTERHAND_REGRESSOR
from pipeline.__main__ import main
from pipeline.experiment.grid import read_grids, resolve
from pipeline.profiles.configure import ProfileError, configure, profiles, values_of
from stages.params import ParamsError, load_params

ROOT = Path(__file__).parents[3]


def download(folder: Path) -> Path:
    """An empty InterHand2.6M."""
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    return folder


@pytest.mark.parametrize("profile", profiles())
def test_every_profile_gives_valid_parameters_and_keeps_comments(
    tmp_path: Path, profile: str
) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    changed = configure(profile, path)
    assert changed or profile == "demo"
    load_params(path)
    comments = [line.count("#") for line in (ROOT / "params.yaml").read_text("utf-8").splitlines()]
    assert sum(line.count("#") for line in path.read_text("utf-8").splitlines()) == sum(comments)
    assert configure(profile, path) == []


def test_best_has_the_recipes_of_its_grids(tmp_path: Path) -> None:
    """That of `best_full`, and of `best` without pretraining; the rest is the demo's."""
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    configure("best", path)
    grids = read_grids(ROOT)
    full, neither = resolve(ROOT, grids, ["best_full", "best"])
    best = load_params(path)
    assert best == full.params.model_copy(update={"pose_scratch": neither.params.pose_scratch})


@pytest.mark.parametrize("profile", profiles())
def test_demo_undoes_every_profile(tmp_path: Path, stand_in: Path, profile: str) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    root = download(tmp_path / "download")
    configure(profile, path, data_root=root, mano=stand_in)
    params = load_params(path)
    assert (str(params.data.root), str(params.hand.mano)) == (str(root), str(stand_in))
    configure("demo", path)
    assert load_params(path) == load_params(ROOT / "params.yaml")
    assert configure("demo", path) == []


@pytest.mark.parametrize("profile", profiles())
def test_a_profile_touches_only_the_lines_of_its_values_and_demo_gives_back_the_bytes(
    tmp_path: Path, profile: str
) -> None:
    path, shipped = tmp_path / "params.yaml", (ROOT / "params.yaml").read_bytes()
    path.write_bytes(shipped)
    changed = configure(profile, path)
    before, after = (text.decode().splitlines() for text in (shipped, path.read_bytes()))
    touched = [line for line in difflib.ndiff(before, after) if line.startswith("+ ")]
    assert len(touched) <= len(changed)
    assert all(line == line.rstrip() for line in after)
    configure("demo", path)
    assert path.read_bytes() == shipped


def test_a_file_that_has_every_value_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    own = (ROOT / "params.yaml").read_text("utf-8").replace("hand:  ", "hand:     ", 1)
    path.write_text(own.replace("occlude: 0.0}", "occlude:   0.0}"), "utf-8")
    before = path.stat()
    assert configure("demo", path) == []
    assert path.stat().st_ino == before.st_ino and path.stat().st_mtime_ns == before.st_mtime_ns


def test_demo_undoes_what_the_docs_say_to_set() -> None:
    pages = (ROOT / "docs" / f"{page}.md" for page in ("interhand", "many-gpus"))
    docs = "".join(page.read_text("utf-8") for page in pages)
    named = set(re.findall(r"\b((?:ingest|shard|pretrain|pose)\.[a-z_]+): ", docs))
    named |= {f"{stage}.{key}" for stage in ("pretrain", "pose") for key in ("processes", "batch")}
    assert {"ingest.check_images", "ingest.trim_ends"} <= named
    demo = values_of("demo")
    params = YAML().load(ROOT / "params.yaml")
    for section, key in (name.split(".") for name in sorted(named)):
        assert demo[section][key] == params[section][key], f"{section}.{key}"


@pytest.mark.parametrize("before", profiles())
@pytest.mark.parametrize("profile", profiles())
def test_it_does_not_matter_which_profile_was_there(
    tmp_path: Path, profile: str, before: str
) -> None:
    direct, path = tmp_path / "direct.yaml", tmp_path / "params.yaml"
    for copy in (direct, path):
        shutil.copy(ROOT / "params.yaml", copy)
    configure(before, path)
    configure(profile, path)
    configure(profile, direct)
    assert path.read_text("utf-8") == direct.read_text("utf-8")


def test_where_the_data_are_is_kept_by_the_profile_for_real_data(
    tmp_path: Path, stand_in: Path
) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    configure("interhand26m", path, data_root=download(tmp_path / "data"), mano=stand_in)
    assert configure("interhand26m", path) == []
    assert any("data.root" in line for line in configure("tiny", path)), "its hands are synthetic"


def test_the_data_root_decides_the_format(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    own, interhand = download(tmp_path / "own"), download(tmp_path / "interhand")
    (own / "annotations/hands.jsonl").touch()
    assert "data.format: interhand -> folder" in configure("interhand26m", path, data_root=own)
    assert load_params(path).data.format == "folder"
    changed = configure("interhand26m", path, data_root=interhand)
    assert "data.format: folder -> interhand" in changed
    assert configure("interhand26m", path) == []


def test_interhands_joint_regressor_is_found_beside_mano(tmp_path: Path, stand_in: Path) -> None:
    path, mano = tmp_path / "params.yaml", tmp_path / "mano"
    shutil.copy(ROOT / "params.yaml", path)
    shutil.copytree(stand_in, mano)
    (mano / INTERHAND_REGRESSOR).touch()
    own, interhand = download(tmp_path / "own"), download(tmp_path / "interhand")
    (own / "annotations/hands.jsonl").touch()
    configure("interhand26m", path, data_root=interhand, mano=mano)
    assert load_params(path).hand.joint_regressor == INTERHAND_REGRESSOR
    assert configure("interhand26m", path) == [], "it is kept with the folder"
    configure("interhand26m", path, data_root=own, mano=mano)
    assert load_params(path).hand.joint_regressor == "", "own recordings have no use for it"
    configure("interhand26m", path, data_root=interhand, mano=mano)
    configure("interhand26m", path, mano=stand_in)
    assert load_params(path).hand.joint_regressor == "", "it is not there"
    configure("interhand26m", path, mano=mano)
    configure("demo", path)
    assert load_params(path) == load_params(ROOT / "params.yaml")


def test_folders_are_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    with pytest.raises(ProfileError, match="has no folder images and no folder annotations"):
        configure("interhand26m", path, data_root=tmp_path)
    with pytest.raises(ProfileError, match="handpose mano import"):
        configure("interhand26m", path, mano=tmp_path)
    with pytest.raises(ProfileError, match="none: is not a folder; expected one with a MANO_RIGHT"):
        configure("interhand26m", path, mano=tmp_path / "none")
    with pytest.raises(ProfileError, match=r"images: cannot be read \(File name too long\)"):
        configure("interhand26m", path, data_root=tmp_path / ("x" * 300))
    assert path.read_text("utf-8") == (ROOT / "params.yaml").read_text("utf-8")


def test_unknown_profile_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"'papre'; there are: .*interhand26m"):
        configure("papre", tmp_path / "params.yaml")


def test_a_data_set_that_git_would_commit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    shutil.copy(ROOT / ".gitignore", clone)
    with pytest.raises(ProfileError, match=r"to data/InterHand2.6M, which git ignores"):
        configure("interhand26m", path, data_root=download(clone / "ih2"))
    configure("interhand26m", path, data_root=download(clone / "data" / "InterHand2.6M"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not found; run from the folder that holds params.yaml"),
        (b"a: [1", "is not readable YAML"),
        (b"\xff", "is not readable YAML"),
        (b"", r"\(whole file\): Input should be a valid dictionary"),
    ],
)
def test_parameters_that_cannot_be_read_are_reported_as_by_the_stages(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParamsError, match=message):
        configure("demo", path)


def test_what_a_profile_contradicts_is_reported_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text("utf-8")
    for old, new in (
        ("handedness: handed", "handedness: canonical"),
        ("side_input: true", "side_input: false"),
    ):
        assert old in text
        text = text.replace(old, new)
    text = re.sub(r"flip: [0-9.]+", "flip: 0.0", text)
    path.write_text(text, "utf-8")
    load_params(path)
    message = r"params\.yaml with profile interhand26m.*(.|\n)*flip is 0\.5(.|\n)*file is unchanged"
    with pytest.raises(ProfileError, match=message):
        configure("interhand26m", path)
    assert path.read_text("utf-8") == text
    assert [p.name for p in tmp_path.iterdir()] == ["params.yaml"]


def clone(folder: Path) -> Path:
    """Enough of one to determine what its stages make."""
    (folder / "pipeline").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", "pipeline/stage.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_a_download_where_a_stage_writes_is_refused(tmp_path: Path) -> None:
    here = clone(tmp_path)
    path = here / "params.yaml"
    for place in ("data/synthetic", "data/synthetic/InterHand2.6M"):
        root = download(here / place)
        with pytest.raises(ProfileError, match="what stage synthesize makes, and `dvc repro`"):
            configure("interhand26m", path, data_root=root)
    (here / "data/synthetic/annotations/synthetic.json").touch()
    configure("interhand26m", path, data_root=here / "data/synthetic")  # drawn, so drawn again


def test_a_hand_where_a_stage_writes_is_refused(tmp_path: Path, stand_in: Path) -> None:
    here = clone(tmp_path)
    path, place = here / "params.yaml", here / "data" / "stand_in"
    shutil.copytree(stand_in, place)
    configure("interhand26m", path, mano=place)
    with np.load(place / "MANO_RIGHT.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files if name != "model_name"}
    np.savez(place / "MANO_RIGHT.npz", **kept)
    with pytest.raises(ProfileError, match="`dvc push` would publish it"):
        configure("interhand26m", path, mano=place)


def test_parameters_that_only_keeping_comments_cannot_read_are_reported(tmp_path: Path) -> None:
    path, committed = tmp_path / "params.yaml", (ROOT / "params.yaml").read_text("utf-8")
    path.write_text(committed + "hand: {mano: twice, joint_regressor: ''}\n", "utf-8")
    with pytest.raises(ProfileError, match=r"cannot be read: (.|\n)*found duplicate key"):
        configure("demo", path)
    path.write_text(re.sub(r"hand:.*\n(?: .*\n)+", "hand: 3\n", committed, count=1), "utf-8")
    with pytest.raises(ProfileError, match=r"hand in params.yaml: expected keys .* found 3"):
        configure("demo", path)


def test_the_help_names_every_profile(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        main(["configure", "--help"])
    said = capsys.readouterr().out
    assert [name for name in profiles() if name not in said] == []
