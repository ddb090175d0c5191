"""What a file holds when it is not what its name says.

Downloads and copies go wrong in few ways, each with its own remedy: a git-lfs pointer, a site's
login page, an archive that was not unpacked, an empty file. Readers ask here after their own
parsing has failed, so that the message names the true reason.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from shlex import quote
from typing import NamedTuple

HEAD = 1 << 12
"""First bytes that are looked at."""

SHOWN = 60
"""Characters of a text that a message quotes."""

AGAIN = "get the file again, and compare its size with that of the original"

COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\x00": ("xz", "unxz"),
}
"""By the first bytes: the program, and the one that undoes it."""

FORMATS = {
    b"\x93NUMPY": ("npy", "is a numpy array (npy)", ""),
    b"\xff\xfe": ("utf-16", "holds text in UTF-16", ""),
    b"\xfe\xff": ("utf-16", "holds text in UTF-16", ""),
    b"7z\xbc\xaf\x27\x1c": ("archive", "is a 7z archive", "unpack it with 7z first"),
    b"Rar!\x1a\x07": ("archive", "is a rar archive", "unpack it with unrar first"),
    b"\x89HDF\r\n\x1a\n": ("other", "is an HDF5 file", AGAIN),
    b"MATLAB ": ("other", "is a MATLAB file", AGAIN),
    b"%PDF-": ("other", "is a PDF document", AGAIN),
    b"\x89PNG\r\n\x1a\n": ("other", "is a PNG picture", AGAIN),
    b"\xff\xd8\xff": ("other", "is a JPEG picture", AGAIN),
}
"""By the first bytes: kind, what it is, and what to do."""

PICKLED = re.compile(rb"\x80[\x02-\x05]|[}\]]q\x00|\((?:dp|lp|i)|ccopy_reg\n")
"""How pickles begin: protocols 2 to 5, 1, and 0, which is text."""

WEB_PAGE = re.compile(rb"<!doctype html|<html|<head|<body", re.IGNORECASE)


def replaced_by(command: str, path: Path) -> str:
    """The shell's line that replaces a file by what a command makes of it."""
    old, new = quote(str(path)), quote(f"{path}.new")
    return f"{command} {old} > {new} && mv {new} {old}"


class Content(NamedTuple):
    """What a file holds; `str` is a sentence for a message, without its subject."""

    kind: str  # one word, by which readers leave out their own format
    what: str
    remedy: str

    def __str__(self) -> str:
        """What it is, and what to do."""
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


def recognise(path: Path) -> Content | None:
    """What this file holds, by its first bytes; None if they are of no known format.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    size = path.stat().st_size
    if not head:
        return Content("empty", "is empty (0 bytes)", f"a copy or a download broke off: {AGAIN}")
    if not any(head):
        what = f"begins with {len(head):,} zero bytes"
        return Content("zeros", what, f"a download or a disk broke off: {AGAIN}")
    if head.startswith(b"version https://git-lfs"):
        return Content(
            "git-lfs",
            f"is a git-lfs pointer ({size} bytes), not the file itself",
            "run `git lfs pull` in the repository that it comes from, and take the file again",
        )
    if head.startswith(b"PK\x03\x04"):
        if zipfile.is_zipfile(path):
            return _zip(path)
        what = f"is the beginning of a zip archive ({size:,} bytes) whose end is missing"
        return Content("cut zip", what, f"a copy or a download broke off: {AGAIN}")
    if head[257:262] == b"ustar":
        return Content("archive", "is a tar archive", f"unpack it first: {_unpack('tar', path)}")
    for magic, (program, undo) in COMPRESSED.items():
        if head.startswith(magic):
            remedy = f"decompress it first: {replaced_by(f'{undo} <', path)}"
            return Content(program, f"is compressed by {program}", remedy)
    for magic, content in FORMATS.items():
        if head.startswith(magic):
            return Content(*content)
    if PICKLED.match(head):
        return Content("pickle", "is a pickle of Python", "")
    return _text(head, size)


def _zip(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        return Content("zip", f"is a damaged zip archive ({error})", AGAIN)
    if names and path.name not in names and all(name.endswith(".npy") for name in names):
        return Content("npz", "is an npz archive of numpy arrays", "")
    if "xl/workbook.xml" in names or "content.xml" in names:
        return Content(
            "workbook",
            f"is a spreadsheet's own file ({'Excel' if 'xl/workbook.xml' in names else 'ODS'})",
            "open it and save it as CSV, in UTF-8 with commas",
        )
    if any(name.endswith("/data.pkl") for name in names):
        return Content("torch", "is a file of PyTorch", AGAIN)
    return Content(
        "zip",
        f"is a zip archive of {len(names)} file{'s' * (len(names) != 1)}",
        f"unpack it first: {_unpack('zip', path)}",
    )


def _unpack(kind: str, path: Path) -> str:
    """The command that unpacks an archive into the folder `unpacked` beside it."""
    archive, folder = quote(str(path)), quote(str(path.parent / "unpacked"))
    if kind == "zip":
        return f"python -m zipfile -e {archive} {folder}"
    return f"mkdir -p {folder} && tar -xf {archive} -C {folder}"


def _text(head: bytes, size: int) -> Content | None:
    """Text: a web page, a server's error, JSON, or anything else that can be read."""
    try:
        text = head.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        if size <= HEAD or error.start < HEAD - 4:  # not merely a character cut in two
            return None
        text = head[: error.start].decode("utf-8-sig").strip()
    begin = repr(text[:SHOWN])
    if WEB_PAGE.search(head):
        return Content(
            "web page",
            "is a web page (HTML), not the file: the site answered with its login or an error",
            "log in with a browser, and download the file there",
        )
    if text.startswith("<"):
        return Content(
            "xml", f"is XML, as servers send for an error: {begin}", "read it, and download again"
        )
    if text[:1] in ("{", "["):
        is_whole = size <= HEAD and _is_json(text)
        what = f"is JSON, perhaps a server's error: {begin}" if is_whole else f"is JSON: {begin}"
        return Content("json", what, AGAIN)
    if not text or not all(c.isprintable() or c.isspace() for c in text):
        return None
    return Content("text", f"is text ({size:,} bytes) that begins with {begin}", AGAIN)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
