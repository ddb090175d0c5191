"""The live checkpoint of a training run: written atomically, resumed exactly, locked.

A checkpoint is in `<folder>/<key>/`, where the key is a hash of the run's identity (parameters,
digests of labels, shards and code). A run of another identity therefore starts anew beside it, and
going back to the old parameters finds the old state again. A finished run keeps its last state too,
with a mark beside it, until the stage removes it (`stages/training/checkpoint_gc.py`).
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from handpose.errors import HandPoseError
from handpose.files import write_durably

MAX_DIFFERENCES = 5
"""Differences that a message lists when two records do not match."""

MARK = "finished"
"""File beside the checkpoint of a run whose results are written; it identifies these results."""


class CheckpointError(HandPoseError):
    """A checkpoint or a trained model is missing, damaged, in use, or of another run."""


class Checkpoint:
    """The checkpoint of a run, and the lock that keeps every other process out of its folder.

    Use it as a context: the lock is held inside, and released however the process ends.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, writable: bool = True) -> None:
        """The checkpoint of the run with this identity (plain JSON values) in `folder`.

        Of several processes of a run, one is `writable`; the others neither lock nor save.
        """
        self._writable = writable
        text = json.dumps(identity, sort_keys=True)
        self.identity: dict[str, Any] = json.loads(text)
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        self.folder = folder
        self.path = folder / self.digest[:16] / "checkpoint.pt"
        self.mark = self.path.with_name(MARK)

    def __enter__(self) -> Checkpoint:
        """Take the lock.

        Raises:
            CheckpointError: another process holds it.
        """
        self._saved = time.monotonic()
        if not self._writable:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise CheckpointError(
                f"{self.folder}: another run (process {holder}) is training here; wait for it or "
                f"stop it with `kill {holder}`, which keeps its checkpoint"
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        if self._writable:
            self._lock.close()

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint by this state of tensors and plain values."""
        if not self._writable:
            return
        buffer = io.BytesIO()  # a full disk shows as an OSError only where Python itself writes
        torch.save({"identity": self.identity, "state": dict(state)}, buffer)
        write_durably(self.path, buffer.getbuffer())
        self._saved = time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the last `save`, or since the start; -1 if not writable: never due."""
        return time.monotonic() - self._saved if self._writable else -1.0

    def load(self) -> dict[str, Any] | None:
        """The last saved state, on the CPU; None if there is none.

        Raises:
            CheckpointError: the file is damaged, or is the checkpoint of another run.
        """
        remedy = f"delete {self.path.parent} to train from the start"
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            identity, state = saved["identity"], saved["state"]
        except FileNotFoundError:
            return None
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__} {error}".splitlines()[0]
            raise CheckpointError(f"{self.path}: cannot be read ({reason}); {remedy}") from None
        if wrong := differences(self.identity, identity):
            raise CheckpointError(
                f"{self.path}: belongs to another run: {'; '.join(wrong)}; {remedy}"
            )
        return dict(state)

    def finish(self, results: str) -> None:
        """Mark the run as finished: its results, identified by this text, are written."""
        write_durably(self.mark, results.encode())


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What differs between two nested records, a text per dotted key, at most `MAX_DIFFERENCES`."""
    ours, theirs = _flat(expected), _flat(found)
    texts = [
        f"{key} is {_brief(theirs.get(key))}, expected {_brief(ours.get(key))}"
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]
    if len(texts) <= MAX_DIFFERENCES:
        return texts
    return [*texts[:MAX_DIFFERENCES], f"and {len(texts)} in all"]


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The record with a dotted key per value; a list adds an entry for its length."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, list | tuple):
            flat[f"number of {prefix}{key}"] = len(value)
            value = {str(i): item for i, item in enumerate(value)}
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _brief(value: Any) -> str:
    """A value shortened for a message: the start of a digest."""
    text = "missing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
