"""What counts as the code of a stage, on small sources and on the project's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from stages.code_digest import (
    PACKAGES,
    RECORDS,
    ROOT,
    CodeError,
    SourceTree,
    code_only,
    entry_points,
    refresh_record,
    stage_digest,
    stage_record,
    unix_text,
)
from tests.stray_files import leave_strays

STAGES = [name for name in entry_points() if name != "code"]

SOURCE = '''\
#!/usr/bin/env python
"""Docstring of "the module"
on two lines."""

import os  # why

HASH = "# not a comment"   # é, and a comment
"""What HASH is."""
PAGE = """first   # not a comment

third """
ACCENT, NAME = "né", f"{HASH!r} # {os.sep}"  # cut
LONG = f"""
  {HASH:>{len(NAME)}}   # in the string

"""
PARTS = (
    "a"  # one
    # two

    "b"
)


class Thing:
    "joined" \\
        " docstring"

    def method(self): "one line"; return f'{f"{1}"}#'  # end

    def other(self) -> str:
        r"""Raw."""
        return """

"""
'''
CODE = '''\
import os
HASH = "# not a comment"
PAGE = """first   # not a comment

third """
ACCENT, NAME = "né", f"{HASH!r} # {os.sep}"
LONG = f"""
  {HASH:>{len(NAME)}}   # in the string

"""
PARTS = (
    "a"
    "b"
)
class Thing:
    def method(self): ; return f'{f"{1}"}#'
    def other(self) -> str:
        return """

"""
'''


def test_comments_docstrings_and_blank_lines_are_cut_and_strings_are_not() -> None:
    assert code_only(SOURCE) == CODE


def test_a_module_of_comments_is_empty() -> None:
    assert code_only('"""Only words."""\n# and more\n') == ""
    assert code_only("") == ""


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("# why", "# because"),
        SOURCE.replace("Raw.", "Raw and more."),
        SOURCE.replace("import os  # why", "import os   \n\n\n"),
        unix_text(SOURCE.replace("\n", "\r\n").encode()),
        unix_text(b"\xef\xbb\xbf" + SOURCE.encode()),
        SOURCE.replace("    # two\n\n", ""),
        SOURCE.removesuffix("\n"),
    ],
    ids=["comment", "docstring", "blanks", "CRLF", "byte order mark", "between strings", "end"],
)
def test_what_changes_nothing_does_not_count(other: str) -> None:
    assert code_only(other) == CODE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("third ", "third"),
        ("\n\nthird", "\nthird"),
        ("# in the string", "# in a string"),
        ("# not a comment", "# no comment"),
        ("{1}", "{2}"),
    ],
)
def test_what_is_in_a_string_counts(old: str, new: str) -> None:
    assert old in SOURCE
    assert code_only(SOURCE.replace(old, new)) != CODE


# --- a small tree --------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two stages, one of which uses a leaf and a table."""
    for name, text in {
        "stages/__init__.py": '"""Docstring."""\n',
        "stages/a.py": "def main():\n    from handpose.room.leaf import X\n",
        "stages/b.py": "from stages import shared\n",
        "stages/shared.py": "Y = 1\n",
        "handpose/__init__.py": "",
        "handpose/room/__init__.py": '"""Docstring."""\n',
        "handpose/room/leaf.py": "from . import near\nfrom .near import Z\nX = open('table.csv')\n",
        "handpose/room/near.py": "import os.path\nZ = 1\n",
        "handpose/room/table.csv": "a,b\n",
        "handpose/room/other.csv": "a,b\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_files_are_the_import_closure_and_the_data_it_names(small: Path) -> None:
    assert list(SourceTree(small).stage_files("a")) == [
        "handpose/room/leaf.py",
        "handpose/room/near.py",
        "handpose/room/table.csv",
        "stages/a.py",
    ]
    assert list(SourceTree(small).stage_files("b")) == ["stages/b.py", "stages/shared.py"]


def test_a_package_with_code_in_its_init_counts(small: Path) -> None:
    before = stage_digest("a", small), stage_digest("b", small)
    (small / "handpose/room/__init__.py").write_text("import handpose.new\n")
    (small / "handpose/new.py").write_text("W = 1\n")
    files = SourceTree(small).stage_files("a")
    assert {"handpose/room/__init__.py", "handpose/new.py"} <= set(files)
    assert stage_digest("a", small) != before[0]
    assert stage_digest("b", small) == before[1]


def test_bytes_of_a_data_file_count_but_not_its_line_ends(small: Path) -> None:
    before = stage_digest("a", small)
    (small / "handpose/room/table.csv").write_bytes(b"a,b\r\n")
    assert stage_digest("a", small) == before
    (small / "handpose/room/table.csv").write_bytes(b"a,\xff\n")
    assert stage_digest("a", small) != before


def test_a_file_that_is_not_python_is_reported_with_its_line(small: Path) -> None:
    (small / "handpose/room/near.py").write_text("Z = 1\nZ = = 2\n")
    with pytest.raises(CodeError, match=r"handpose/room/near\.py:2: not valid Python"):
        stage_record("a", small)


def test_files_that_nobody_reads_change_no_record(small: Path) -> None:
    """Beside every module and table: backups, locks and what systems leave."""
    before = stage_record("a", small), stage_record("b", small)
    (small / "stages/a.py").write_text((small / "stages/a.py").read_text() + NAMES_STRAYS)
    named = stage_record("a", small)
    leave_strays(small / "stages")
    leave_strays(small / "handpose")
    assert (stage_record("a", small), stage_record("b", small)) == (named, before[1])
    assert set(entry_points(small / "stages")) == set()


NAMES_STRAYS = """GLOB = ["table.csv~", ".table.csv.swp", "table.csv.bak", ".DS_Store"]\n"""


def test_a_module_moved_is_other_code(small: Path) -> None:
    before = stage_digest("b", small)
    (small / "stages/shared.py").rename(small / "stages/common.py")
    (small / "stages/b.py").write_text("from stages import common\n")
    assert stage_digest("b", small) != before


# --- the project's own tree ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages, to be put back as it was."""
    folder = tmp_path_factory.mktemp("tree")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def before(tree: Path) -> dict[str, str]:
    return digests(tree)


def digests(root: Path) -> dict[str, str]:
    sources = SourceTree(root)
    return {stage: json.dumps(sources.stage_files(stage)) for stage in STAGES}


def modules(root: Path) -> Iterator[Path]:
    return (path for name in PACKAGES for path in (root / name).rglob("*.py"))


LEAVES = {
    "handpose/errors.py": set(STAGES),
    "handpose/hand/mirror.py": {
        *("synthesize", "inputs", "ingest", "pose", "evaluate", "shift", "score"),
    },
    "handpose/training/ema.py": {"pretrain", "pose"},
    "handpose/synthetic/skin.py": {"synthesize", "shift", "score"},
    "handpose/evaluation/statistics.py": {"evaluate", "score"},
    "handpose/synthetic/gallery.py": set(),
    "handpose/synthetic/gesture_poses.csv": {"synthesize", "shift", "score"},
    "stages/evaluation/report.html.j2": {"evaluate"},
}


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_change_in_a_leaf_reaches_exactly_the_stages_that_import_it(
    tree: Path, before: dict[str, str], leaf: str
) -> None:
    text = (tree / leaf).read_text("utf-8")
    try:
        (tree / leaf).write_text(text + "ADDED = 1\n", encoding="utf-8")
        now = digests(tree)
    finally:
        (tree / leaf).write_text(text, encoding="utf-8")
    assert {stage for stage in STAGES if now[stage] != before[stage]} == LEAVES[leaf]


def test_comments_docstrings_and_line_ends_of_all_modules_reach_none(
    tree: Path, before: dict[str, str]
) -> None:
    old = {path: path.read_bytes() for path in modules(tree)}
    try:
        for path, content in old.items():
            lines = content.decode().splitlines()
            text = "\r\n".join(["# a comment", *lines, "   ", '"""A docstring."""', ""])
            path.write_bytes(text.encode())
        assert digests(tree) == before
    finally:
        for path, content in old.items():
            path.write_bytes(content)


def test_the_project_has_code_in_every_file_but_docstrings_in_every_init() -> None:
    sources = SourceTree()
    with_code = (
        Path("stages/__init__.py"),  # Ctrl-C must be handled before a stage's own imports
        Path("handpose/__init__.py"),  # from handpose import HandEstimator
    )
    for path in modules(ROOT):
        own = path.relative_to(ROOT)
        assert (sources.code(own) == "") == (path.name == "__init__.py" and own not in with_code), (
            path
        )


def test_every_stage_of_dvc_depends_on_its_own_record() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    stages |= yaml.safe_load((ROOT / "experiments" / "dvc.yaml").read_text("utf-8"))["stages"]
    code = stages.pop("code")
    used = set()
    for name, stage in stages.items():
        record = str(RECORDS / f"{stage['cmd'].split()[3]}.json")
        assert [dep for dep in stage["deps"] if str(RECORDS) in dep] == [record], name
        used.add(record)
    assert {str(RECORDS / f"{stage}.json") for stage in STAGES} == used
    assert set(code["outs"]) == used | {str(RECORDS / "manifest.json")}
    assert code["deps"] == list(PACKAGES)


def test_the_record_follows_the_code_that_a_stage_starts_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refresh_record("label")
    assert list(tmp_path.iterdir()) == [], "without `code` there is no record to keep"
    path = RECORDS / "label.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    refresh_record("label")
    assert path.read_text() == stage_record("label")
    when = path.stat().st_mtime_ns
    refresh_record("label")
    assert path.stat().st_mtime_ns == when
