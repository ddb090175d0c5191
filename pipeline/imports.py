"""What each module of the project imports: `python -m pipeline.imports` lists every stage's deps.

DVC re-runs a stage when one of its `deps` changed. For the cache to be honest these must hold all
project files that the stage's door imports, at any depth; a test compares `dvc.yaml` with this.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("handpose", "stages", "pipeline")


def module_file(module: str) -> Path | None:
    """The file of a project module, relative to the repository; None if it is no project module."""
    if module.split(".")[0] not in PACKAGES:
        return None
    path = Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate
    return None


def imported(file: Path) -> set[Path]:
    """Project files that this file imports directly, wherever in the file the import stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    found = (module_file(name) for name in names)
    return {path for path in found if path is not None and path.name != "__init__.py"} - {file}


def closure(file: Path) -> set[Path]:
    """This file and every project file reachable from it by imports."""
    seen, todo = {file}, [file]
    while todo:
        new = imported(todo.pop()) - seen
        seen |= new
        todo += new
    return seen


def main() -> None:
    """Print the code deps of every door, ready for `dvc.yaml`."""
    from pipeline.stage import doors

    for door in doors():
        print(f"{door}:")
        for path in sorted(closure(Path("stages") / f"{door}.py")):
            print(f"      - {path}")


if __name__ == "__main__":
    main()
