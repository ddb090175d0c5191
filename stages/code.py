"""The code of every stage: `python -m stages.code`.

Reads the modules of the stages and what they import. Writes `data/code/`: <stage>.json for each
stage, its digest and that of each of its files (`stages/code_digest.py` defines what counts), and
manifest.json. In `dvc.yaml` each stage depends on its own record, so it runs again when its code
changed, but not when a comment or a docstring did.
"""

from __future__ import annotations

import json
import sys
import time

from handpose.files import atomic_file
from stages.code_digest import RECORDS, SourceTree, entry_points, record_of
from stages.running.artifacts import write_manifest
from stages.running.command import stage_command


def main() -> None:
    """Write the record of every stage."""
    started = time.monotonic()
    tree, counts, outputs = SourceTree(), {}, []
    for stage in entry_points():
        if stage == "code":
            continue
        record = record_of(tree.stage_files(stage))
        with atomic_file(RECORDS / f"{stage}.json") as partial:
            partial.write_text(record, encoding="utf-8")
        counts[stage] = len(json.loads(record)["files"])
        outputs.append(RECORDS / f"{stage}.json")
    print(f"code: files of each stage: {counts}")
    write_manifest(RECORDS / "manifest.json", started=started, counts=counts, outputs=outputs)


if __name__ == "__main__":
    sys.exit(stage_command(main, "code"))
