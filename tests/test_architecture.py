"""The shape of the house: what may import what, no cycles, where a name and a library belong."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

from stages.code_digest import ROOT, SourceTree, entry_points

PACKAGES = ("handpose", "stages", "pipeline")
SOURCES = SourceTree()
MODULES = sorted(
    path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
)
NAMED = [file for file in MODULES if file.name != "__init__.py"]
ENTRY_POINTS = {Path("stages") / f"{name}.py" for name in entry_points()}
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))
EXPERIMENTS = yaml.safe_load((ROOT / "experiments" / "dvc.yaml").read_text("utf-8"))

FLOORS: dict[str, set[str]] = {  # package of handpose: the others that it may import
    "hand": set(),
    "fitting": {"hand"},
    "render": set(),
    "data": {"hand"},
    "nets": {"hand"},
    "interhand": {"data", "hand"},
    "folder": {"data", "hand"},
    "freihand": {"data", "hand"},
    "ho3d": {"data", "hand"},
    "dexycb": {"data", "hand"},
    "hint": {"data", "hand"},
    "hagrid": {"data", "hand"},
    "detection": {"data"},
    "training": {"hand", "nets"},
    "evaluation": {"hand", "nets", "render"},
    "imported": {"hand", "fitting", "evaluation"},
    "confidence": {"hand", "training"},
    "other_models": {"data", "hand"},
    "synthetic": {"hand", "render", "interhand"},
    "predict.py": {"confidence", "data", "hand", "nets", "synthetic", "training"},
    "estimator_input.py": {"data"},
    "estimator.py": {"data", "hand", "training", "predict.py", "estimator_input.py"},
}
"""Every package may import the modules beside it (`sample`, `errors`, ...) too, but `render` only
`errors`; of those modules only `USERS` import a package."""

USERS = {"predict.py", "estimator_input.py", "estimator.py"}

STAGE_HELPERS = {"code_digest", "hand_model", "params", "paths"}
"""Modules in stages/ beside the stages themselves; others belong into a sub-package."""

MOST_MODULES = 16
FEWEST_LINES = 60

SMALL = {  # modules under 60 lines, and why each is one of its own
    "handpose/errors.py": "the base class of errors, imported by everything",
    "handpose/counted.py": "singular and plural, for messages of all three",
    "handpose/hand/mirror.py": "the one sign of handedness",
    "handpose/hand/finger_state.py": "when a finger counts as straight or bent",
    "handpose/render/smoothstep.py": "a curve, for shape, motion and skin of a hand",
    "handpose/data/splits.py": "the names of the splits",
    "handpose/interhand/folders.py": "what the names of folders say",
    "handpose/interhand/verify/jpeg_header.py": "a file format",
    "handpose/evaluation/pixel_share.py": "HInt's one score",
    "handpose/evaluation/side_and_facing.py": "side and facing, for validation and evaluation",
    "pipeline/readme_block.py": "markers in README, of make table and of the experiments",
    "pipeline/export/file_hand.py": "what of the hand model an exported file may hold",
    "pipeline/experiment/unique_keys.py": "a loader of YAML",
    "pipeline/experiment/pages/power_table.py": "one of the tables of the results page",
    "pipeline/experiment/pages/variant_pairs.py": "what counts once in p-values over all grids",
    "pipeline/release/drawing.py": "the one picture of a release, for people and not for checks",
    "handpose/nets/gesture_heads.py": "a figure of the paper: a module each",
    "handpose/nets/network_by_name.py": "which network a name means: stages, describe, loading",
    "handpose/training/seeding.py": "every random state, saved and restored",
    "handpose/training/inference.py": "how a network runs over batches, in training and evaluation",
    "stages/ingestion/naming.py": "apart from the readers, which label does not import",
    "stages/hand_model.py": "which joints a data set annotates, for four stages",
    "stages/running/artifacts.py": "JSON and the manifest, for every stage",
    "stages/running/progress.py": "progress lines, for pipeline and bench too",
    "stages/code.py": "a stage",
    "stages/inputs.py": "a stage",
    "stages/shift.py": "a stage",
    "stages/sections/evaluation.py": "a section of params.yaml",
    "stages/training/checkpoint_gc.py": "when a finished checkpoint may go",
    "stages/ingestion/formats.py": "which reader reads which format",
    "stages/ingestion/reject_table.py": "the table of what ingest leaves out",
    "stages/ingestion/tally.py": "where a fault is, for ingest and for verify",
    "handpose/hand/placement.py": "a least-squares problem",
    "pipeline/offline_plots.py": "a program: python -m pipeline.offline_plots",
    "pipeline/data/mixing.py": "a statistic",
    "pipeline/doctor/finding.py": "what every check returns",
}

SAME_BASENAME = {  # modules of one name in two packages, and why nobody mixes them up
    "__init__.py": "every package",
    "commands.py": "arguments and output of commands, as `handpose labels`",
    "predict.py": "a model for crops; `handpose predict`",
    "reader.py": "what a data set's reader must offer, in data/; the reader of each data set",
    "verify.py": "the checks of a download; `handpose data verify`",
}


def libraries(file: Path) -> set[str]:
    """Top-level names that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def package(file: Path) -> str:
    """The package below handpose, stages or pipeline; a module beside them is one of its own."""
    return "/".join(file.parts[:2])


def imported(file: Path) -> set[Path]:
    return {other for other in SOURCES.imported(file) if other.name != "__init__.py"}


def stage_of(name: str) -> dict[str, object]:
    stage: dict[str, object] = (DVC["stages"] | EXPERIMENTS["stages"])[name]
    return stage


# --- what may import what ------------------------------------------------------------------------


@pytest.mark.parametrize("file", MODULES, ids=str)
def test_arrows_point_one_way(file: Path) -> None:
    forbidden = {"handpose": {"stages", "pipeline"}, "stages": {"pipeline"}, "pipeline": set()}
    assert not libraries(file) & forbidden[file.parts[0]]


def test_no_stage_imports_another() -> None:
    for file in ENTRY_POINTS:
        assert not (SOURCES.closure(file) & ENTRY_POINTS) - {file}


def test_pipeline_runs_stages_through_dvc_and_never_imports_an_entry_point() -> None:
    for file in MODULES:
        if file.parts[0] == "pipeline":
            assert not SOURCES.imported(file) & ENTRY_POINTS


def test_nets_and_losses_meet_in_sample_only() -> None:
    nets = {file for file in MODULES if file.parts[:2] == ("handpose", "nets")}
    training = Path("handpose/training")
    losses = {file for file in MODULES if file.parent == training / "loss"}
    losses |= {training / "warm_up" / f"{name}_loss.py" for name in ("instance", "joint")}
    assert len(losses) > 4
    for loss in losses:
        assert not SOURCES.closure(loss) & nets
        assert all(loss not in SOURCES.closure(file) for file in nets)


@pytest.mark.parametrize("file", [file for file in NAMED if file.parts[0] == "handpose"], ids=str)
def test_a_package_of_handpose_imports_the_floors_below_it(file: Path) -> None:
    own = file.parts[1]
    beside = {name.name for name in (ROOT / "handpose").glob("*.py")} - USERS
    allowed = FLOORS.get(own, set()) | {own} | ({"errors.py"} if own == "render" else beside)
    for other in imported(file):
        assert other.parts[1] in allowed, (
            f"{file} imports {other}: {own} may import {sorted(FLOORS.get(own, ()))}; its "
            "docstring and FLOORS say so"
        )


def test_every_package_of_handpose_has_its_floor() -> None:
    folders = {path.parent.name for path in (ROOT / "handpose").glob("*/__init__.py")}
    assert folders == set(FLOORS) - USERS


@pytest.mark.parametrize("file", MODULES, ids=str)
def test_no_import_cycle(file: Path) -> None:
    assert all(file not in SOURCES.closure(other) for other in SOURCES.imported(file))


def test_no_cycle_between_packages() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for file in NAMED:
        graph[package(file)] |= {package(other) for other in imported(file)} - {package(file)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"packages import each other: {' <- '.join(error.args[1])}")


COMMANDS = ("pipeline/__main__.py", *(str(f) for f in MODULES if f.name == "commands.py"))
"""Arguments of commands, and what they print."""


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("smplx", "handpose/hand/mano.py"),
        ("timm", ("handpose/nets/backbone.py", "handpose/other_models/vit.py")),
        ("webdataset", "handpose/data/shards.py"),
        ("pydantic", "stages/"),
        ("prefect", "pipeline/"),
        ("dvc", "pipeline/"),
        ("onnx", "pipeline/export/onnx_file.py"),
        ("onnxruntime", "pipeline/export/onnx_file.py"),
        ("argparse", "pipeline/"),
        ("typer", COMMANDS),
        ("rich", "pipeline/runner/output.py"),
    ],
)
def test_one_library_one_place(library: str, allowed: str | tuple[str, ...]) -> None:
    users = [str(file) for file in MODULES if library in libraries(file)]
    assert all(user.startswith(allowed) for user in users), users


OUTSIDE = {  # what asks the machine or another program, and the one module that may
    r"cpu_count\(|getattr\(os, 'sched_getaffinity'|os\.sched_getaffinity": "handpose/cores.py",
    r"[\[(]'git'[,\]]|(subprocess\.\w+|os\.\w+)\(f?'git ": "pipeline/git.py",
    r"urlopen|build_opener|ProxyHandler|HTTPConnection": "pipeline/live/server.py",
}


@pytest.mark.parametrize(("pattern", "place"), OUTSIDE.items())
def test_one_question_one_place(pattern: str, place: str) -> None:
    """A second place would not know what the first has learned: refusals, quotas, proxies."""
    files = [*MODULES, *(path.relative_to(ROOT) for path in (ROOT / "bench").rglob("*.py"))]
    asking = {
        str(file)
        for file in files
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
        if isinstance(node, ast.Call) and re.search(pattern, ast.unparse(node))
    }
    assert asking == {place}


# --- rooms and names -----------------------------------------------------------------------------

ARTEFACT = re.compile(r"^(data|models|results|work)/")

OWN_PATHS = {  # modules that may spell a path of an artefact, and why
    "stages/paths.py": "the list",
    "stages/code_digest.py": "data/code, which pipeline/stage.py knows without an import",
    "pipeline/stage.py": "the same, from the other side",
    "pipeline/live/reporter.py": "what a run shows in Prefect, by its path in dvc.yaml",
    "pipeline/__main__.py": "defaults of --out",
    "pipeline/data/commands.py": "defaults of --out",
    "pipeline/fit_hands/commands.py": "defaults of --out",
    "pipeline/predict/commands.py": "defaults of --out",
    "stages/sections/dataset.py": "defaults of params.yaml",
}


def test_a_path_of_an_artefact_is_spelled_once() -> None:
    spelled = {
        str(file)
        for file in MODULES
        if file.parts[0] != "handpose"
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and ARTEFACT.match(node.value)
    }
    assert spelled == set(OWN_PATHS), "take it from stages/paths.py"


def test_the_listing_of_stages_is_the_pipeline() -> None:
    stages = {"synthesize", "inputs", "ingest", "label", "shard", "pretrain", "pose", "evaluate"}
    beside = {"code", "shift", "score"}  # the record of code; the stages of experiments/dvc.yaml
    assert set(entry_points()) == stages | beside
    listed = {file.stem for file in NAMED if file.parent == Path("stages")}
    assert listed - stages - beside == STAGE_HELPERS, "helpers belong into a sub-package"


def test_no_folder_is_crowded() -> None:
    folders: dict[Path, list[str]] = defaultdict(list)
    for file in NAMED:
        folders[file.parent].append(file.name)
    crowded = {str(folder): len(names) for folder, names in folders.items()}
    assert {folder: n for folder, n in crowded.items() if n > MOST_MODULES} == {}


def test_a_small_module_has_a_reason() -> None:
    lines = {str(file): len((ROOT / file).read_text("utf-8").splitlines()) for file in NAMED}
    small = {
        file: n
        for file, n in lines.items()
        if n < FEWEST_LINES and file not in SMALL and file not in COMMANDS
    }
    assert small == {}, "merge it with what it serves, or say in SMALL why it is one of its own"
    assert {file for file in SMALL if lines.get(file, FEWEST_LINES) >= FEWEST_LINES} == set(), (
        "a module that is gone, or is small no longer"
    )


def test_no_class_name_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in NAMED:
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(file))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_no_basename_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in MODULES:
        places[file.name].append(str(file))
    twice = {name for name, files in places.items() if len(files) > 1}
    assert {name: places[name] for name in twice - set(SAME_BASENAME)} == {}
    assert set(SAME_BASENAME) <= twice, "a pair that is none any more"


@pytest.mark.parametrize("folder", sorted({file.parent for file in MODULES}), ids=str)
def test_a_package_says_what_lives_there(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text("utf-8")))


# --- dvc.yaml ------------------------------------------------------------------------------------


OTHER_RUNS = {"pose": {"pose_scratch"}}
"""Sections that a stage's module reads for another run alone."""


@pytest.mark.parametrize("name", [*DVC["stages"], *EXPERIMENTS["stages"]])
def test_params_that_a_stage_reads_are_declared(name: str) -> None:
    stage = stage_of(name)
    entry_point = str(stage["cmd"]).split()[3]
    tree = ast.parse((ROOT / "stages" / f"{entry_point}.py").read_text("utf-8"))
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "params"
    }
    params: list[object] = stage.get("params", [])  # type: ignore[assignment]
    declared = {str(param).split(".")[0] for param in params}
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text("utf-8")))
    assert read & sections - OTHER_RUNS.get(name, set()) <= declared
    assert declared <= sections, "DVC refuses to run a stage with a parameter that is missing"


def test_every_command_in_dvc_yaml_runs_a_stage_through_the_runner() -> None:
    for name in [*DVC["stages"], *EXPERIMENTS["stages"]]:
        words = str(stage_of(name)["cmd"]).split()
        assert words[:3] == ["python", "-m", "pipeline.stage"]
        assert words[3] in entry_points()


def test_dvc_yaml_is_read_in_a_screen_and_a_half() -> None:
    assert len((ROOT / "dvc.yaml").read_text("utf-8").splitlines()) < 200


def test_pretraining_depends_on_its_own_network_and_on_no_key_of_stage_2() -> None:
    declared = {str(param).split(".")[0] for param in DVC["stages"]["pretrain"]["params"]}
    assert "encoder" in declared
    assert not declared & {"pose_net", "pose"}
    closure = SOURCES.closure(Path("stages/pretrain.py")) - {Path("handpose/nets/__init__.py")}
    nets = {file.name for file in closure if file.parts[1] == "nets"}
    assert nets == {"backbone.py", "gesture_heads.py", "gesture_net.py", "vit_pyramid.py"}
