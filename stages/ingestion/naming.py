"""How each format names gesture folders, apart from the readers: `label` needs the names alone."""

from __future__ import annotations

from handpose.gesture_row import FolderNaming
from handpose.interhand import folders
from stages.params import DataParams

NAMINGS: dict[str, FolderNaming | None] = {"interhand": folders.NAMING, "folder": None}
"""By `data.format`; None: any name."""


def folder_naming(data: DataParams) -> FolderNaming | None:
    """The rule that names of gesture folders follow in this data set, if there is one."""
    return NAMINGS[data.format]
