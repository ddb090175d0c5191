"""A clone to run commands in, to hold their processes at a chosen call, and to kill them there."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

HOLD = Path(__file__).parent / "hold"
PATIENCE_S = 900.0
GONE_S = 20.0
"""Within which every process of a killed command has ended."""


@dataclass(frozen=True)
class Breakpoint:
    """A call before which a process is held, see `hold/sitecustomize.py`."""

    inside: str  # word of the process's command line
    call: str
    count: int = 1
    text: str = ""


@dataclass
class Lab:
    """The clone and the environment of its commands."""

    folder: Path
    environ: dict[str, str]
    _started: list[Started] = field(default_factory=list)

    def configure(self, **changes: Any) -> None:
        """Write parameters: `pretrain={"epochs": 2}`."""
        yaml, path = YAML(), self.folder / "params.yaml"
        params = yaml.load(path)
        for section, values in changes.items():
            params[section].update(values)
        yaml.dump(params, path)

    def start(self, line: str, at: Breakpoint | None = None, **environ: str) -> Started:
        """Run a command in its own process group, as a terminal does; hold it at a breakpoint."""
        mark = uuid.uuid4().hex
        log, held = (self.folder.parent / f"{name}-{mark}" for name in ("log", "held"))
        hold = {}
        if at:
            hold = {
                "PYTHONPATH": f"{HOLD}:{self.environ['PYTHONPATH']}",
                "HANDPOSE_HOLD_IN": at.inside,
                "HOLD_CALL": at.call,
                "HOLD_COUNT": str(at.count),
                "HOLD_TEXT": at.text,
                "HOLD_FILE": str(held),
            }
        with log.open("w") as stream:
            process = subprocess.Popen(
                shlex.split(line),
                cwd=self.folder,
                env={**self.environ, **hold, **environ, "HANDPOSE_TEST": mark},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(Started(process, mark, log, held))
        return self._started[-1]

    def do(self, line: str, expect: int = 0, **environ: str) -> str:
        """All output of a command that runs undisturbed."""
        started = self.start(line, None, **environ)
        code = started.process.wait(PATIENCE_S)
        assert code == expect, f"{line}: {code}\n{started.output()}"
        return started.output()

    def close(self) -> None:
        """Leave no process behind, whatever happened."""
        for started in self._started:
            for pid in started.processes():
                os.kill(pid, signal.SIGKILL)


@dataclass
class Started:
    """A command that runs, and how to find all its processes."""

    process: subprocess.Popen[bytes]
    mark: str
    log: Path
    held: Path

    def output(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    def processes(self) -> dict[int, str]:
        """Command lines of everything that this command started and that lives."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self.mark.encode() in (entry / "environ").read_bytes():
                        words = (entry / "cmdline").read_bytes().split(b"\0")
                        found[int(entry.name)] = b" ".join(words).decode()
                except OSError:  # it ended meanwhile, or is somebody else's
                    continue
        return found

    def wait_held(self) -> int:
        """The number of the process that is held."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.held.exists():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.02)
        return int(self.held.read_text())

    def kill(self, who: str, number: signal.Signals) -> None:
        """Send a signal to `dvc`, the `runner`, the `stage`, or `all` that a terminal reaches."""
        if who == "all":
            os.killpg(self.process.pid, number)
        elif who == "dvc":
            os.kill(self.process.pid, number)
        else:
            module = {"stage": "-m stages.", "runner": "-m pipeline.stage "}[who]
            (pid,) = [  # a shell that DVC runs a stage in may stand above it, with the same words
                p
                for p, line in self.processes().items()
                if "python" in line.partition(" ")[0] and module in line
            ]
            os.kill(pid, number)

    def wait_gone(self) -> float:
        """Seconds until no process is left."""
        begun = time.monotonic()
        self.process.wait(PATIENCE_S)
        while left := self.processes():
            assert time.monotonic() < begun + GONE_S, f"orphans: {left}\n{self.output()}"
            time.sleep(0.02)
        return time.monotonic() - begun
