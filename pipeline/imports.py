"""What each module imports: `python -m pipeline.imports` writes every stage's deps to dvc.yaml.

DVC re-runs a stage when one of its `deps` changed. For the cache to be honest these must hold all
project files that the stage's door imports, at any depth; a test compares `dvc.yaml` with this.
"""

from __future__ import annotations

import ast
from pathlib import Path

from ruamel.yaml import YAML

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


def data_files(file: Path) -> set[Path]:
    """Tables and templates inside the packages that this module names: it reads them."""
    text = (ROOT / file).read_text("utf-8")
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*"))
    return {
        path.relative_to(ROOT)
        for path in files
        if path.suffix in {".csv", ".j2"} and path.name in text
    }


def code_deps(door: str) -> list[str]:
    """What a door's result depends on besides its inputs: project files, sorted."""
    modules = closure(Path("stages") / f"{door}.py")
    return sorted(str(path) for path in modules.union(*map(data_files, modules)))


def main() -> None:
    """Write every stage's code deps into `dvc.yaml`, before its other deps."""
    yaml = YAML()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = ROOT / "dvc.yaml"
    dvc = yaml.load(path)
    for stage in dvc["stages"].values():
        code = code_deps(stage["cmd"].split()[3])
        data = [dep for dep in stage["deps"] if not is_code(dep)]
        stage["deps"] = [*code, *data]
    yaml.dump(dvc, path)


def is_code(dep: str) -> bool:
    """Whether a dep is a file of the project's packages."""
    return dep.split("/")[0] in PACKAGES


if __name__ == "__main__":
    main()
