"""ONNX Runtime Web, which runs a model in a browser: an npm package, and not part of this one.

Of its many builds the page needs the one for WebAssembly alone: a script and a binary. Both are
pinned, so that what is served as "ONNX Runtime" is what was tested.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from handpose.errors import HandPoseError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"
"""As `npm pack` names it."""

SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
DIGESTS = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""SHA-256 of each file that is taken, below `dist/` in the package."""

REMEDY = (
    f"run `npm pack {PACKAGE}@{VERSION}` (npm comes with Node.js) and name its file by --runtime "
    f"{ARCHIVE}"
)

NOTICE = f"""ONNX Runtime Web {VERSION}, of the npm package {PACKAGE}

MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


class RuntimeFilesError(HandPoseError):
    """The npm package is missing, or is not the one that is pinned."""


def read_runtime(package: Path | None) -> dict[str, bytes]:
    """The files of `DIGESTS` by name.

    Args:
        package: what `npm pack` wrote, or a folder that it was unpacked or installed to.

    Raises:
        RuntimeFilesError: no package is named, it cannot be read, or it is of another version.
    """
    if package is None:
        raise RuntimeFilesError(
            f"--format web needs {PACKAGE} {VERSION}, which runs the model in the browser: {REMEDY}"
        )
    if not package.exists():
        raise RuntimeFilesError(f"{package}: not found; {REMEDY}")
    found = _of_folder(package) if package.is_dir() else _of_archive(package)
    for name, digest in DIGESTS.items():
        if name not in found:
            raise RuntimeFilesError(f"{package}: has no dist/{name}; {REMEDY}")
        if hashlib.sha256(found[name]).hexdigest() != digest:
            raise RuntimeFilesError(
                f"{package}: dist/{name} is not that of {PACKAGE} {VERSION}; {REMEDY}"
            )
    return found


def _of_folder(folder: Path) -> dict[str, bytes]:
    """From an installed or unpacked package, or from its `dist` itself."""
    dist = folder / "dist" if (folder / "dist").is_dir() else folder
    return {name: (dist / name).read_bytes() for name in DIGESTS if (dist / name).is_file()}


def _of_archive(path: Path) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                top, _, name = member.name.partition("/dist/")
                if top == "package" and name in DIGESTS and (file := archive.extractfile(member)):
                    found[name] = file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RuntimeFilesError(
            f"{path}: cannot be read as npm's archive ({error}); {REMEDY}"
        ) from None
    return found
