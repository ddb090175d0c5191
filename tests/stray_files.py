"""Files that systems and editors leave in every folder, and no reader reads."""

from __future__ import annotations

from pathlib import Path

NAMES = (
    ".DS_Store",
    "._{name}",
    "Thumbs.db",
    "desktop.ini",
    ".directory",
    ".nfs00000000a1",
    "{name}~",
    ".{name}.swp",
    "#{name}#",
    "{name}.bak",
    "{name}.orig",
    "__pycache__/x.cpython-311.pyc",
    ".ipynb_checkpoints/x.json",
)


def leave_strays(root: Path, *, locks: bool = True) -> None:
    """In this folder and all below, a stray of each kind beside a file that is there.

    `locks`: Emacs' too, links to nothing. Outside of the clone DVC stops at these, and names them.
    """
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        names = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
        for pattern in NAMES:
            path = folder / pattern.format(name=names[0] if names else "x")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"\xff\x00 no text, no Python = =")
        lock = folder / f".#{names[0] if names else 'x'}"  # of Emacs: a link to nothing
        if locks and not lock.is_symlink():
            lock.symlink_to("me@host.1234")
