"""A clone of the repository in which a training runs with other parameters.

It is the current commit in a folder of its own below `work/`, with a few parameters set, such as
`pretrain.seed` and `pose.seed`. It shares DVC's cache with the clone above it, so the data stages
are restored, not run. DVC decides there what is left to do; therefore a run that was stopped goes
on, and a finished one is left as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from handpose.errors import HandPoseError
from pipeline import dvc_internals, git
from pipeline.clones.machine_record import Machine
from pipeline.dag import Stage, parents, read_dag
from pipeline.profiles.overrides import override
from pipeline.runner.dvc_repro import run_repro
from stages.params import load_params
from stages.paths import METRICS, STAND_IN, SYNTHETIC, WORK, is_same_path

LOCK = "dvc.lock"
MACHINE = WORK / "machine.json"
"""In a clone: what it was trained on."""

SHOWN = 5
"""Changed files that a message names."""

SEEDED = ("pretrain", "pose")
"""Sections of `params.yaml` that have the training seed, and entry points that read it."""

UPLOAD_PACK = "git -c uploadpack.allowAnySHA1InWant=true upload-pack"
HINTS = (
    "Updating lock file",
    "Generating lock file",
    "To track the changes",
    "git add",
    "To enable auto staging",
    "dvc config core.autostage",
    "Use `dvc push`",
)
"""What DVC says of a clone that nobody works in."""

OFF = {"PREFECT_API_URL": ""}
"""A clone's run is not reported to Prefect: the server belongs to the clone above."""


class CloneError(HandPoseError):
    """A clone cannot be trained here, or its training failed."""


@dataclass(frozen=True)
class Source:
    """The clone that training clones are made of."""

    root: Path
    commit: str
    changed: list[str]  # paths with changes that are not committed
    cache: Path  # DVC's

    @classmethod
    def of(cls, root: Path, except_for: tuple[Path, ...]) -> Source:
        """The clone at `root` as it is now; changes in `except_for` and in dvc.lock do not count.

        Raises:
            GitError: it is no repository with a commit, or git cannot be asked.
            CloneError: it is not the folder of the clone.
            DvcError: DVC's settings cannot be read.
        """
        top = git.text(root, "rev-parse", "--show-toplevel").rstrip("\n")
        if Path(top).resolve() != root.resolve():
            own = (root / "dvc.yaml").is_file()
            raise CloneError(
                f"{root}: is a folder of the repository {top}, and each training has a clone "
                "of its own; run this in a repository that holds this project alone"
                if own
                else f"{root}: run this in the folder of the clone, {top}"
            )
        others = [f":(exclude){path}" for path in (*except_for, LOCK)]
        status = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
        lines = git.text(root, *status, "--", ".", *others).split("\0")
        settings = dvc_internals.config(root).get("cache", {})
        cache = Path(settings.get("dir") or root / ".dvc" / "cache").resolve()
        commit = git.text(root, "rev-parse", "HEAD").strip()
        return cls(root, commit, [line[3:] for line in lines if line], cache)

    def some_changes(self) -> str:
        """`a.py is` or `a.py, b.py and 7 more are`, for a message."""
        more = len(self.changed) - SHOWN
        rest = f" and {more} more are" if more > 0 else None
        return ", ".join(self.changed[:SHOWN]) + (
            rest or (" is" if len(self.changed) == 1 else " are")
        )


class TrainingClone:
    """A clone with a seed and other parameters of its own; nothing is written before `prepare`."""

    def __init__(
        self, source: Source, folder: Path, name: str, seed: int, settings: Sequence[str] = ()
    ) -> None:
        """It may be there already, from an earlier run.

        Args:
            source: what it is a clone of.
            folder: where it lies, relative to the source's.
            name: in messages, such as `seed 0`.
            seed: of both trainings.
            settings: `section.key=value` that its `params.yaml` has besides.
        """
        self.source, self.folder = source, source.root / folder
        self.name, self.seed, self.settings = name, seed, settings

    def prepare(self, machine: Machine) -> list[str]:
        """Bring the clone to the source's commit and changes; returns the parameters it sets.

        What is trained there stays: DVC runs again what no longer fits.

        Raises:
            GitError: git fails.
            CloneError: it was trained on another machine.
            HandPoseError: `params.yaml` cannot be used.
        """
        self._check_machine(machine)
        self.folder.mkdir(parents=True, exist_ok=True)
        git.text(self.folder, "init", "--quiet")
        fetch = ("fetch", "--quiet", "--depth=1", f"--upload-pack={UPLOAD_PACK}")
        git.text(self.folder, *fetch, str(self.source.root), self.source.commit)
        lock = self.folder / LOCK
        done = lock.read_text("utf-8") if lock.is_file() else None
        git.text(self.folder, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
        git.text(self.folder, "clean", "--quiet", "--force", "-d")
        for path in self.source.changed:
            _copy(self.source.root / path, self.folder / path)
        lock.write_text(done or self._first_lock(), encoding="utf-8")  # committed or not
        self._share_cache()
        (self.folder / MACHINE).parent.mkdir(exist_ok=True)
        (self.folder / MACHINE).write_text(json.dumps(asdict(machine)), encoding="utf-8")
        return override(self._overrides(), self.folder / "params.yaml")

    def train(
        self, on_line: Callable[[str], None], environ: Mapping[str, str] | None = None
    ) -> None:
        """Run `dvc repro`: data from the cache, training here whatever the cache has.

        `environ` is added to the environment of the training.

        Raises:
            CloneError: it failed.
        """
        self.make_data(on_line)
        self.repro(["--no-run-cache"], on_line, environ)

    def make_data(self, on_line: Callable[[str], None]) -> None:
        """Run the data stages, or take what they make from the cache.

        Raises:
            CloneError: one failed.
        """
        self.repro(sorted(data_stages(read_dag(self.folder))), on_line)

    def repro(
        self,
        words: Sequence[str],
        on_line: Callable[[str], None],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Run `dvc repro WORDS` here; `environ` is added to the environment.

        Raises:
            CloneError: it failed.
        """

        def without_hints(text: str) -> None:
            if not text.strip().startswith(HINTS):
                on_line(text)

        code = run_repro(self.folder, words, without_hints, {**OFF, **(environ or {})})
        if code:
            raise CloneError(
                f"{self.name}: `dvc repro` in {self.folder} ended with exit code {code}, for the "
                "reason that its lines above give; the same command again resumes it"
            )

    def metrics(self) -> dict[str, Any]:
        """What evaluation measured.

        Raises:
            CloneError: the file is missing or is not JSON.
        """
        path = self.folder / METRICS
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CloneError(f"{path}: cannot be read ({error}); delete {self.folder}") from None
        return found

    def _check_machine(self, machine: Machine) -> None:
        path = self.folder / MACHINE
        if not path.is_file():
            return
        try:
            record = json.loads(path.read_text("utf-8"))
        except ValueError:
            return  # killed while it was written, before anything was trained
        if found := machine.differences(record):
            raise CloneError(
                f"{self.folder} was started with {', '.join(found)}, which changes the results; "
                "continue with the same --jobs and OMP_NUM_THREADS on the same machine, or delete "
                f"that folder to train {self.name} here"
            )

    def _first_lock(self) -> str:
        """The data stages' entries of the clone above: training is done here, data are not."""
        path = self.source.root / LOCK
        try:
            content = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}
        except yaml.YAMLError:  # a git conflict is left in it
            content = {}
        stages = (content.get("stages") if isinstance(content, dict) else None) or {}
        data = {name: stages[name] for name in data_stages(read_dag(self.folder)) if name in stages}
        return yaml.safe_dump({"schema": "2.0", "stages": data}, sort_keys=False)

    def _share_cache(self) -> None:
        kinds = dvc_internals.config(self.source.root).get("cache", {}).get("type") or []
        with dvc_internals.config(self.folder).edit("local") as settings:
            cache = settings.setdefault("cache", {})
            cache["dir"] = str(self.source.cache)
            if kinds:
                cache["type"] = kinds if isinstance(kinds, str) else ",".join(kinds)

    def _overrides(self) -> list[str]:
        """Seed, settings, and absolute paths of data and hand model that no stage makes."""
        params = load_params(self.folder / "params.yaml")
        given = {
            key: self.source.root / path
            for key, path, made in (
                ("data.root", params.data.root, SYNTHETIC),
                ("hand.mano", params.hand.mano, STAND_IN),
            )
            if not is_same_path(path, made)
        }
        weights = self.source.root / params.encoder.weights
        if params.encoder.weights and weights.is_file():
            given["encoder.weights"] = weights
        return [
            *self.settings,
            *(f"{section}.seed={self.seed}" for section in SEEDED),
            *(f"{key}={json.dumps(str(path))}" for key, path in given.items()),
        ]


@contextlib.contextmanager
def alone(folder: Path, command: str) -> Iterator[None]:
    """Hold the lock of the clones in this folder, for one command at a time.

    Raises:
        CloneError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CloneError(
                f"{folder}: another `{command}` (process {lock.read().strip()}) runs here; "
                "wait for it, or stop it with Ctrl-C and start it again, which loses nothing"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def data_stages(dag: Mapping[str, Stage]) -> set[str]:
    """The stages before the first that reads a training seed: the same for every seed."""
    found: set[str] = set()
    left = [name for name, stage in dag.items() if stage.entry_point in SEEDED]
    while left:
        for parent in parents(dag, left.pop()) - found:
            if dag[parent].entry_point not in SEEDED:
                found.add(parent)
                left.append(parent)
    return found


def _copy(source: Path, target: Path) -> None:
    """Copy a changed or new file; delete what is deleted at its source."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    else:
        target.unlink(missing_ok=True)
