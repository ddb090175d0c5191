"""A record of the files that are read from outside: `python -m stages.inputs`.

Reads the annotation files in `data.root` and the hand model of `hand.mano`. Writes `data/inputs/`:
annotations.json and hand.json, the SHA-256 of each file that a stage reads, and manifest.json. In
`dvc.yaml` the stages depend on these records, not on the folders: what else lies there (.DS_Store,
Thumbs.db, an editor's backup) runs none of them again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from handpose.data.merged.merged_reader import names_of
from handpose.files import digest
from stages.hand_model import hand_files, load_hand_model
from stages.ingestion.formats import open_reader
from stages.params import load_params
from stages.paths import ANNOTATIONS_RECORD, HAND_RECORD, INPUTS
from stages.running.artifacts import write_json, write_manifest
from stages.running.command import stage_command


def main() -> None:
    """Write the record of each."""
    started = time.monotonic()
    params = load_params()
    annotations = open_reader(params.data).files()
    hand = hand_files(params.hand)
    if not all(file.is_file() for file in hand):
        load_hand_model(params.hand, params.data)  # says what is missing, and where to get it
    write_json(ANNOTATIONS_RECORD, record(annotations, Path(params.data.root)))
    write_json(HAND_RECORD, record(hand, Path(params.hand.mano)))
    counts = {"annotation_files": len(annotations), "hand_files": len(hand)}
    print(f"inputs: {counts}")
    write_manifest(
        INPUTS / "manifest.json",
        started=started,
        counts=counts,
        outputs=[ANNOTATIONS_RECORD, HAND_RECORD],
    )


def record(files: Sequence[Path], root: Path) -> dict[str, str]:
    """SHA-256 of each file by its name, or by its path from `root` if several share the name."""
    return {name: digest(file) for name, file in sorted(names_of(files, root).items())}


if __name__ == "__main__":
    sys.exit(stage_command(main, "inputs"))
