"""`handpose doctor`: one line for each thing that a run needs, with the remedy of a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from handpose.errors import HandPoseError
from pipeline.doctor import clone as doctor_clone
from pipeline.doctor import dvc_state as doctor_dvc
from pipeline.doctor import machine as doctor_machine
from pipeline.doctor import remotes as doctor_remotes
from pipeline.doctor import repository as doctor_repository
from pipeline.doctor.finding import Finding

Check = Callable[[Path], Iterator[Finding]]


def examine(root: Path, *, cache: bool = False, log: Callable[[str], None] = print) -> int:
    """Log every finding; the exit code is 2 if one of them is a FAIL, else 0.

    `cache` reads and hashes all of DVC's cache as well.
    """
    failed = 0
    for name, check in checks(cache=cache).items():
        for finding in findings(check, root):
            log(f"{finding.state:<5} {name:<9} {finding.text}")
            failed += finding.state == "FAIL"
    log(f"{failed or 'nothing'} to fix")
    return 2 if failed else 0


def findings(check: Check, root: Path) -> Iterator[Finding]:
    """Results of a check; a check that fails is itself a finding."""
    try:
        yield from check(root)
    except HandPoseError as error:
        yield Finding("FAIL", str(error))
    except OSError as error:
        yield Finding(
            "FAIL",
            f"cannot be checked: {error.filename or root}: {error.strerror or error}; give "
            "yourself access to it",
        )
    except Exception as error:  # the doctor runs where things are broken, so it must not break
        yield Finding(
            "FAIL", f"this check itself failed: {type(error).__name__}: {error}; please report it"
        )


def checks(*, cache: bool = False) -> dict[str, Check]:
    """All checks by name, in the order of their lines."""
    return {
        "python": doctor_machine.python,
        "path": doctor_machine.path,
        "cores": doctor_machine.cores,
        "packages": doctor_machine.packages,
        "gpu": doctor_machine.gpu,
        "disk": doctor_machine.disk,
        "prefect": doctor_machine.prefect,
        "git": doctor_repository.repository,
        "files": doctor_repository.files,
        "params": doctor_clone.parameters,
        "data": doctor_clone.data,
        "hand": doctor_clone.hand,
        "licence": doctor_clone.licence,
        "stages": doctor_dvc.stages,
        "dvc.lock": doctor_dvc.lock_file,
        "cache": partial(doctor_dvc.cache, deep=cache),
        "locks": doctor_dvc.locks,
        "work": doctor_dvc.work,
        "plots": doctor_dvc.plots,
        "remotes": doctor_remotes.remotes,
    }
