"""The code of a stage: one definition for DVC's cache and for the checkpoints of a training.

It is the module `stages/<name>.py` and every project module that it imports, directly or not,
wherever in a file the import stands, without comments, docstrings, blank lines and trailing blanks;
and the data files inside the packages (tables, templates) whose names stand in that code. A module
of which nothing is left, such as an `__init__.py` that holds only a docstring, does not count.

It does not see: versions of Python and of libraries (manifests record them), modules imported by a
computed name, files outside the packages that no dep of the stage names, environment variables, and
the text of a docstring that a program reads while it runs.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import re
import tokenize
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from handpose.errors import HandPoseError
from handpose.files import atomic_file, is_stray

ROOT = Path(__file__).parent.parent

PACKAGES = ("handpose", "stages")
"""Where the data files of a stage may lie."""

RECORDS = Path("data/code")
"""A record per stage, written by `stages/code.py`; a dep of that stage in `dvc.yaml`."""

_ENTRY_POINT = re.compile(r"^if __name__ == ", re.MULTILINE)
_STRING_STARTS = ("FSTRING_START", "TSTRING_START")  # of Python 3.12 and 3.14
_STRING_ENDS = ("FSTRING_END", "TSTRING_END")
_NEWLINE_IN_STRING = "\0"  # cannot be in Python source


class CodeError(HandPoseError):
    """A module of the project is not valid Python."""


def entry_points(folder: Path = ROOT / "stages") -> list[str]:
    """Names of the modules in this folder that can be run: the stages."""
    files = (path for path in folder.glob("*.py") if not is_stray(Path(path.name)))
    return sorted(path.stem for path in files if _ENTRY_POINT.search(path.read_text("utf-8")))


def stage_record(stage: str, root: Path = ROOT) -> str:
    """What identifies the code of a stage, as JSON: `digest` of all, and of each file in `files`.

    Raises:
        CodeError: a module is not valid Python.
    """
    return record_of(SourceTree(root).stage_files(stage))


def stage_digest(stage: str, root: Path = ROOT) -> str:
    """The `digest` of `stage_record`: SHA-256 in hexadecimal.

    Raises:
        CodeError: a module is not valid Python.
    """
    return _digest_of_all(SourceTree(root).stage_files(stage))


def refresh_record(stage: str) -> None:
    """Record the code that a stage of DVC starts with, if it is not what `stages/code.py` recorded.

    Code may be edited while earlier stages run, and `dvc repro -s` runs a stage without `code`. DVC
    reads a stage's inputs when it has ended, so `dvc.lock` then names the code that really ran.
    """
    path = RECORDS / f"{stage}.json"
    with contextlib.suppress(CodeError, OSError):
        if path.is_file() and path.read_text("utf-8") != (record := stage_record(stage)):
            with atomic_file(path) as partial:
                partial.write_text(record, encoding="utf-8")


def record_of(files: Mapping[str, str]) -> str:
    """The record with these digests by path."""
    return json.dumps({"digest": _digest_of_all(files), "files": dict(files)}, indent=1) + "\n"


class SourceTree:
    """The project's modules, each read and parsed once; paths are relative to `root`."""

    def __init__(self, root: Path = ROOT) -> None:
        """`root` is the folder that holds the packages."""
        self.root = root
        self._modules: dict[Path, _Module] = {}

    def stage_files(self, stage: str) -> dict[str, str]:
        """SHA-256 of the code of each file that makes up a stage, by path, sorted."""
        modules = self.closure(Path("stages") / f"{stage}.py")
        code = {path.as_posix(): self.code(path) for path in modules}
        text = "".join(code.values())
        data = {
            path.as_posix(): unix_text((self.root / path).read_bytes())
            for path in self._data_files
            if path.name in text
        }
        content = code | data
        return {path: digest_of(content[path]) for path in sorted(content) if content[path]}

    def closure(self, file: Path) -> set[Path]:
        """This module and every project module reachable from it by imports."""
        found, todo = {file}, [file]
        while todo:
            new = self.imported(todo.pop()) - found
            found |= new
            todo += new
        return found

    def imported(self, file: Path) -> set[Path]:
        """Project modules that this one imports directly, and the packages that they lie in."""
        return self._read(file).imported

    def code(self, file: Path) -> str:
        """The text of a module without what changes nothing, see `code_only`."""
        return self._read(file).code

    def _read(self, file: Path) -> _Module:
        if file not in self._modules:
            text = unix_text((self.root / file).read_bytes())
            try:
                tree = ast.parse(text)
            except SyntaxError as error:
                raise CodeError(f"{file}:{error.lineno}: not valid Python: {error.msg}") from None
            names = _imported_names(tree, file)
            prefixes = {name[: end.start()] for name in names for end in re.finditer(r"\.|$", name)}
            found = {self._file_of(name) for name in prefixes}
            imported = {path for path in found if path is not None} - {file}
            self._modules[file] = _Module(imported, code_only(text, tree))
        return self._modules[file]

    def _file_of(self, name: str) -> Path | None:
        """The file of a project module; None for a module of a library or another name."""
        path = Path(*name.split("."))
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if (self.root / candidate).is_file():
                return candidate
        return None

    @cached_property
    def _data_files(self) -> list[Path]:
        files = (path for name in PACKAGES for path in (self.root / name).rglob("*"))
        return sorted(
            path.relative_to(self.root)
            for path in files
            if path.suffix != ".py" and path.is_file() and not is_stray(path.relative_to(self.root))
        )


class _Module(NamedTuple):
    """What a source file imports of the project, and its code."""

    imported: set[Path]
    code: str


def code_only(source: str, tree: ast.Module | None = None) -> str:
    r"""Python source without comments, docstrings, blank lines and trailing blanks.

    Strings that are statements of their own count as docstrings, below an assignment too. Other
    strings keep all their lines. The result is the same in every version of Python that can parse
    the source, which is why it is not printed from the syntax tree. It need not be valid Python.

    Args:
        source: text of a module, its lines ended by `\n`.
        tree: the parsed source, where the caller has it.
    """
    lines = source.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    docstrings = _docstrings(tree or ast.parse(source), lines, starts)
    cuts = [(start, -end, "") for start, end in docstrings]
    for start, end, is_comment in _comments_and_strings(source, starts):
        text = "" if is_comment else source[start:end].replace("\n", _NEWLINE_IN_STRING)
        cuts.append((start, -end, text))
    pieces, position = [], 0
    for start, minus_end, text in sorted(cuts):  # a docstring before the strings that it is made of
        if start >= position:
            pieces += [source[position:start], text]
            position = -minus_end
    pieces.append(source[position:])
    kept = (line.rstrip() for line in "".join(pieces).split("\n"))
    return "".join(f"{line}\n" for line in kept if line).replace(_NEWLINE_IN_STRING, "\n")


def _docstrings(tree: ast.Module, lines: list[str], starts: list[int]) -> Iterator[tuple[int, int]]:
    """Offsets of the strings that are statements of their own."""

    def offset(row: int, byte: int) -> int:
        return starts[row - 1] + len(lines[row - 1].encode()[:byte].decode())

    for node in _statements(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            end_row, end_byte = node.value.end_lineno, node.value.end_col_offset
            assert end_row is not None and end_byte is not None
            yield offset(node.value.lineno, node.value.col_offset), offset(end_row, end_byte)


def _comments_and_strings(source: str, starts: list[int]) -> Iterator[tuple[int, int, bool]]:
    """Offsets of each comment (True) and each string (False).

    Since Python 3.12 an f-string is several tokens; it counts from its first to its last, as it
    was one token before.
    """
    depth, begin = 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        start, end = (starts[row - 1] + column for row, column in (token.start, token.end))
        if name in _STRING_STARTS:
            begin = begin if depth else start
            depth += 1
        elif name in _STRING_ENDS:
            depth -= 1
            if depth == 0:
                yield begin, end, False
        elif depth == 0 and name in ("COMMENT", "STRING"):
            yield start, end, name == "COMMENT"


def _imported_names(tree: ast.Module, file: Path) -> Iterator[str]:
    """Dotted names of what a module imports, modules and the things in them alike."""
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = file.parts[: len(file.parts) - node.level] if node.level else ()
            package = ".".join([*above, *filter(None, [node.module])])
            yield package
            yield from (f"{package}.{alias.name}" for alias in node.names)


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement of a module, at any depth; far fewer than its nodes."""
    todo: list[Any] = [tree]
    while todo:
        node = todo.pop()
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            todo += getattr(node, block, ())
        if isinstance(node, ast.stmt):
            yield node


def _digest_of_all(files: Mapping[str, str]) -> str:
    return digest_of("".join(f"{path} {files[path]}\n" for path in sorted(files)))


def digest_of(text: str) -> str:
    """SHA-256 of a text from `code_only` or `unix_text`, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def unix_text(content: bytes) -> str:
    r"""Text of a file with lines that end in `\n`; bytes that are not UTF-8 survive `digest_of`."""
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")
