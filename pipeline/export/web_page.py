"""A folder that a browser runs a model from: a page, the model, and ONNX Runtime Web.

Model and runtime are packed by gzip, which the page undoes: nothing else makes the folder small
enough to be sent on, and not every server packs what it sends. Of weights in single precision gzip
finds little as they lie; with their exponents beside each other, see `planes`, it saves a tenth.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.export.web_runtime import BINARY, NOTICE, PACKAGE, SCRIPT, VERSION

TEMPLATE = Path(__file__).parent / "page.html"
INDEX, MODEL, ABOUT, LICENCES = "index.html", "hand.onnx", "hand.json", "LICENCES.txt"
PACKED_MODEL, PACKED_BINARY = f"{MODEL}.planes.gz", f"{BINARY}.gz"
FILES = (INDEX, ABOUT, LICENCES, SCRIPT, PACKED_MODEL, PACKED_BINARY)
"""All that is in the folder."""

FORMER = (f"{MODEL}.gz",)
"""What a page of an earlier version has besides; it may be replaced."""

WORD = 4
"""Bytes of a weight in single precision."""

ORIGIN = f"""{INDEX} is of handpose, under the Apache License, Version 2.0
(https://www.apache.org/licenses/LICENSE-2.0). {PACKED_MODEL} is an exported model: its terms are
those of its weights. {SCRIPT} and {PACKED_BINARY} are parts of what follows.

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
        PACKED_MODEL: gzip.compress(planes(model), mtime=0),
        PACKED_BINARY: gzip.compress(runtime[BINARY], mtime=0),
    }
    for name in FILES:
        (folder / name).write_bytes(contents[name])


def planes(content: bytes) -> bytes:
    """The first byte of every four, then every second, third and fourth; what is left over last.

    Arrays in a file begin at any byte, so that a plane holds the exponents of one array and the
    digits of the next; each is long enough to be packed as what it is.
    """
    whole = len(content) - len(content) % WORD
    columns = np.frombuffer(content, np.uint8, whole).reshape(-1, WORD)
    return columns.T.tobytes() + content[whole:]


def size_line(folder: Path) -> str:
    """Such as `14.4 MB: model 10.7, runtime 3.7`; 1 MB = 1,000,000 bytes."""
    size = {name: (folder / name).stat().st_size / 1e6 for name in FILES}
    runtime = size[SCRIPT] + size[PACKED_BINARY]
    return f"{sum(size.values()):.1f} MB: model {size[PACKED_MODEL]:.1f}, runtime {runtime:.1f}"


def strangers(folder: Path) -> list[str]:
    """Names in a folder that no page has."""
    return sorted({path.name for path in folder.iterdir()} - {*FILES, *FORMER})
