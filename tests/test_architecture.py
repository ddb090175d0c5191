"""The shape of the house: arrows, doors, no cycles, and an honest cache."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from pipeline.imports import ROOT, closure, code_deps, imported, is_code
from pipeline.stage import stage_names

MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("handpose", "stages", "pipeline")
    for path in (ROOT / package).rglob("*.py")
)
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))


def libraries(file: Path) -> set[str]:
    """Top-level names that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def stage_of(name: str) -> dict[str, object]:
    stage: dict[str, object] = DVC["stages"][name]
    return stage.get("do", stage)  # type: ignore[return-value]


@pytest.mark.parametrize("file", MODULES, ids=str)
def test_arrows_point_one_way(file: Path) -> None:
    forbidden = {"handpose": {"stages", "pipeline"}, "stages": {"pipeline"}, "pipeline": set()}
    assert not libraries(file) & forbidden[file.parts[0]]


def test_no_stage_imports_another() -> None:
    files = {Path("stages") / f"{door}.py" for door in stage_names()}
    for file in files:
        assert not (closure(file) & files) - {file}


def test_pipeline_runs_stages_through_dvc_and_never_imports_a_door() -> None:
    files = {Path("stages") / f"{door}.py" for door in stage_names()}
    for file in MODULES:
        if file.parts[0] == "pipeline":
            assert not imported(file) & files


def test_nets_and_losses_meet_in_sample_only() -> None:
    losses = Path("handpose/training/losses.py")
    nets = {file for file in MODULES if file.parts[:2] == ("handpose", "nets")}
    assert not closure(losses) & nets
    assert all(losses not in closure(file) for file in nets)


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("smplx", "handpose/hand/mano.py"),
        ("timm", "handpose/nets/backbone.py"),
        ("webdataset", "handpose/data/shards.py"),
        ("pydantic", "stages/"),
        ("prefect", "pipeline/"),
        ("dvc", "pipeline/"),
        ("argparse", "pipeline/"),
        ("typer", "pipeline/__main__.py"),
        ("rich", "pipeline/runner/output.py"),
    ],
)
def test_one_library_one_door(library: str, allowed: str) -> None:
    users = [str(file) for file in MODULES if library in libraries(file)]
    assert all(user.startswith(allowed) for user in users), users


@pytest.mark.parametrize("file", MODULES, ids=str)
def test_no_import_cycle(file: Path) -> None:
    assert all(file not in closure(other) for other in imported(file))


@pytest.mark.parametrize("name", DVC["stages"])
def test_code_deps_are_the_import_closure(name: str) -> None:
    stage = stage_of(name)
    door = str(stage["cmd"]).split()[3]
    listed = [dep for dep in stage["deps"] if is_code(dep)]  # type: ignore[attr-defined]
    assert listed == code_deps(door), "run python -m pipeline.imports"


@pytest.mark.parametrize("name", DVC["stages"])
def test_params_that_a_door_reads_are_declared(name: str) -> None:
    stage = stage_of(name)
    door = str(stage["cmd"]).split()[3]
    tree = ast.parse((ROOT / "stages" / f"{door}.py").read_text("utf-8"))
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "params"
    }
    declared = {str(param).split(".")[0] for param in stage["params"]}  # type: ignore[attr-defined]
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text("utf-8")))
    assert read & sections <= declared


def test_every_command_in_dvc_yaml_opens_a_door_through_the_runner() -> None:
    for name in DVC["stages"]:
        assert str(stage_of(name)["cmd"]).startswith("python -m pipeline.stage ")


def test_pretraining_depends_on_its_own_network_and_on_no_key_of_stage_2() -> None:
    declared = {str(param).split(".")[0] for param in DVC["stages"]["pretrain"]["params"]}
    assert "encoder" in declared
    assert not declared & {"pose_net", "pose"}
    nets = {file.name for file in closure(Path("stages/pretrain.py")) if file.parts[1] == "nets"}
    assert nets == {"backbone.py", "gesture_heads.py", "gesture_net.py"}
