"""A folder that a browser runs a model from: a page, the model, and ONNX Runtime Web.

Model and runtime are packed by gzip, which the page undoes: nothing else makes the folder small
enough to be sent on, and not every server packs what it sends.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from pipeline.export.web_runtime import BINARY, NOTICE, PACKAGE, SCRIPT, VERSION

TEMPLATE = Path(__file__).parent / "page.html"
INDEX, MODEL, ABOUT, LICENCES = "index.html", "hand.onnx", "hand.json", "LICENCES.txt"
PACKED = (MODEL, BINARY)
"""Stored with `.gz` behind their names."""

FILES = (INDEX, ABOUT, LICENCES, SCRIPT, *(f"{name}.gz" for name in PACKED))
"""All that is in the folder."""

ORIGIN = f"""{INDEX} is of handpose, under the Apache License, Version 2.0
(https://www.apache.org/licenses/LICENSE-2.0). {MODEL}.gz is an exported model: its terms are those
of its weights. {SCRIPT} and {BINARY}.gz are parts of what follows.

"""


def write_page(
    folder: Path, model: bytes, about: dict[str, Any], runtime: dict[str, bytes]
) -> None:
    """Write every file of `FILES`.

    Args:
        folder: an empty one.
        model: the ONNX file.
        about: its description, with what a page needs besides, see `interface.py`.
        runtime: see `web_runtime.py`.
    """
    contents = {
        INDEX: TEMPLATE.read_bytes(),
        ABOUT: (json.dumps({**about, "runtime": f"{PACKAGE} {VERSION}"}) + "\n").encode(),
        LICENCES: (ORIGIN + NOTICE).encode(),
        SCRIPT: runtime[SCRIPT],
        f"{MODEL}.gz": gzip.compress(model, mtime=0),
        f"{BINARY}.gz": gzip.compress(runtime[BINARY], mtime=0),
    }
    for name in FILES:
        (folder / name).write_bytes(contents[name])


def strangers(folder: Path) -> list[str]:
    """Names in a folder that no page has."""
    return sorted({path.name for path in folder.iterdir()} - set(FILES))
