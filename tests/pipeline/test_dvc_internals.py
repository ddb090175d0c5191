"""DVC still has what `pipeline/dvc_internals.py` uses of it, under the same names.

Red after an update of DVC: adapt that file, and nothing else, or keep the pin in constraints.txt.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import dvc
import pytest
from dvc.repo import Repo

from pipeline import dvc_internals

ROOT = Path(__file__).parents[2]
FILE = ROOT / "pipeline" / "dvc_internals.py"
PUBLIC = {"dvc.api"}

USED = [  # module, name in it, names of the arguments that are passed by keyword or position
    ("dvc.config", "Config", ["dvc_dir"]),
    ("dvc.config", "Config.read", ["level"]),
    ("dvc.config", "Config.edit", ["level"]),
    ("dvc.config", "Config.files", None),
    ("dvc.dependency", "ParamsDependency", None),
    ("dvc.dependency", "ParamsDependency.PARAM_PARAMS", None),
    ("dvc.dependency", "ParamsDependency.read_params", []),
    ("dvc.exceptions", "DvcException", None),
    ("dvc.fs", "get_cloud_fs", ["repo_config"]),
    ("dvc.output", "Output._build", []),
    ("dvc.output", "Output.changed_cache", []),
    ("dvc.output", "Output.exists", None),
    ("dvc.output", "Output.get_obj", ["filter_info"]),
    ("dvc.output", "Output.local_cache", None),
    ("dvc.output", "Output.dvcignore", None),
    ("dvc.output", "Output.status", []),
    ("dvc.repo", "Repo", ["root_dir"]),
    ("dvc.repo", "Repo.index", None),
    ("dvc.repo.index", "Index.graph", None),
    ("dvc.repo.reproduce", "collect_stages", ["repo", "targets"]),
    ("dvc.repo.reproduce", "get_active_graph", ["graph"]),
    ("dvc.repo.reproduce", "plan_repro", ["graph", "stages"]),
    ("dvc.stage", "PipelineStage", None),
    ("dvc.stage", "PipelineStage.is_callback", None),
    ("dvc.stage.cache", "StageCache._create_stage", ["cache", "wdir"]),
    ("dvc.stage.cache", "StageCache._get_cache_dir", ["key"]),
    ("dvc.stage.cache", "StageCache._load_cache", ["key", "value"]),
    ("dvc.stage.cache", "_get_cache_hash", ["cache", "key"]),
    ("dvc.stage.serialize", "to_single_stage_lockfile", ["stage"]),
    ("dvc_data.hashfile.build", "build", ["odb", "path", "fs", "name", "ignore", "dry_run"]),
    ("dvc_data.hashfile.hash_info", "HashInfo", ["name", "value"]),
    ("dvc_data.hashfile.hash_info", "HashInfo.isdir", None),
    ("dvc_data.hashfile.meta", "Meta", ["size"]),
    ("dvc_objects.db", "ObjectDB.oid_to_path", ["oid"]),
]

STAGE = (
    *("always_changed", "cmd", "cmd_changed", "deps", "frozen", "is_callback", "meta", "name"),
    *("outs", "repo", "wdir"),
)
OUTPUT = ("def_path", "exists", "fs", "fs_path", "hash_info", "meta")


def hint(what: str) -> str:
    return (
        f"DVC {dvc.__version__}: {what}, which {FILE.relative_to(ROOT)} uses. Adapt that file to "
        "this release, or keep the version of constraints.txt"
    )


@pytest.mark.parametrize(("module", "name", "arguments"), USED, ids=lambda value: str(value))
def test_dvc_has_it_under_this_name(module: str, name: str, arguments: list[str] | None) -> None:
    try:
        found: Any = importlib.import_module(module)
    except ImportError:
        pytest.fail(hint(f"there is no module {module}"))
    for part in name.split("."):
        if not hasattr(found, part):
            pytest.fail(hint(f"{module} has no {name}"))
        found = getattr(found, part)
    if arguments is None:
        return
    takes = inspect.signature(found).parameters
    missing = [argument for argument in arguments if argument not in takes]
    if missing:
        pytest.fail(hint(f"{module}.{name}{inspect.signature(found)} takes no {missing}"))


def test_stages_and_outputs_have_their_attributes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(str(tmp_path), no_scm=True)
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: b, deps: [c], outs: [d]}}\n")
    (stage,) = dvc_internals.stages_of_repro(tmp_path, [])
    for kind, names, thing in (
        ("a stage", STAGE, stage),
        ("an output", OUTPUT, stage.outs[0]),
        ("a dependency", OUTPUT, stage.deps[0]),
    ):
        missing = [name for name in names if not hasattr(thing, name)]
        assert not missing, hint(f"{kind} has no {missing}")
    assert hasattr(stage.outs[0], "persist"), hint("an output has no persist")
    assert hasattr(stage.repo, "stage_cache"), hint("a repository has no stage_cache")
    local = stage.repo.cache.local
    assert hasattr(local, "oid_to_path"), hint("repo.cache.local has no oid_to_path")


def dvc_imports(file: Path) -> set[tuple[str, str]]:
    """(module, name) of all that a file imports of DVC."""
    return {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if node.module.split(".")[0].startswith("dvc")
    }


def test_one_file_uses_what_is_not_public() -> None:
    for file in (ROOT / "pipeline").rglob("*.py"):
        if file != FILE:
            assert {module for module, _ in dvc_imports(file)} <= PUBLIC, file


def test_the_table_above_has_all_that_the_file_imports() -> None:
    assert dvc_imports(FILE) <= {(module, name) for module, name, _ in USED}


def test_a_private_name_of_dvc_is_in_the_table() -> None:
    own = {
        node.name
        for node in ast.walk(ast.parse(FILE.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    used = {
        node.attr
        for node in ast.walk(ast.parse(FILE.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr)
    }
    assert used - own <= {name.rpartition(".")[2] for _, name, _ in USED}
