"""Shifted test sets for experiments: `python -m stages.shift`.

Reads the hand model and the parameters. Writes `data/shifted/`: shards/, a split for each test set
of `evaluate.shift.severities` (none by default), and manifest.json. It is a stage of
`experiments/dvc.yaml`; `handpose evaluate shifted` makes its own sets by the same functions.
"""

from __future__ import annotations

import sys
import time

from stages.params import load_params
from stages.paths import SHIFT_MANIFEST, SHIFTED
from stages.running.artifacts import write_manifest
from stages.running.command import stage_command
from stages.shifting.shifted_shards import write_shifted_shards


def main() -> None:
    """Render the sets that the parameters name, and write the manifest."""
    started = time.monotonic()
    params = load_params()
    severities = params.evaluate.shift.severities
    counts = write_shifted_shards(SHIFTED, params, severities)
    print(f"shift: {counts or 'no set: evaluate.shift.severities is empty'}", flush=True)
    write_manifest(SHIFT_MANIFEST, started=started, counts=counts, outputs=[SHIFTED / "index.json"])


if __name__ == "__main__":
    sys.exit(stage_command(main, "shift"))
