"""The commands `handpose labels ...`: arguments, and what they print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from typer import Argument, Context, Option

from stages.paths import RESULTS

if TYPE_CHECKING:
    from handpose.gesture_row import FolderNaming
    from pipeline.labels.edit import GestureMapFile

Folder = Annotated[
    str, Argument(metavar="FOLDER", help="Gesture folder of either hand; its twin is changed too.")
]


def add_to(labels: typer.Typer) -> None:
    """Add the commands to the group `labels`, in the order of its help."""
    for name, command in (
        ("check", check),
        ("set", set_),
        ("merge", merge),
        ("split", split),
        ("diff", diff_),
        ("audit", audit_),
        ("suggest", suggest_),
        ("gallery", gallery_),
    ):
        labels.command(name)(command)


def check(ctx: Context) -> None:
    """Check labels/gesture_map.csv."""
    from handpose.gesture_map import GestureMap

    found = _map(ctx)
    print(GestureMap.read(found.path, found.naming).summary())


def set_(
    ctx: Context,
    folder: Folder,
    name: Annotated[
        str,
        Argument(metavar="CLASS", help="Existing fine class, or `drop` to leave the gesture out."),
    ],
) -> None:
    """Put a gesture, of both hands, into a class."""
    _edit(ctx, lambda one: one.set(folder, name))


def merge(
    ctx: Context,
    kept: Annotated[str, Argument(metavar="A", help="The class whose name remains.")],
    joins: Annotated[str, Argument(metavar="B", help="The class that joins it.")],
    coarse: Annotated[bool, Option("--coarse", help="Coarse classes; the fine ones stay.")] = False,
) -> None:
    """Make one class of two."""
    _edit(ctx, lambda one: one.merge(kept, joins, "coarse" if coarse else "fine"))


def split(
    ctx: Context,
    name: Annotated[str, Argument(metavar="NAME", help="Name of the new fine class.")],
    folders: Annotated[
        list[str],
        Argument(
            metavar="FOLDER...", help="Folders to move; the twins of the other hand move too."
        ),
    ],
    coarse: Annotated[
        str | None,
        Option(
            metavar="CLASS",
            help="Coarse class of the new class, existing or new. Default: that of the folders.",
        ),
    ] = None,
) -> None:
    """Make a new class of these gestures."""
    _edit(ctx, lambda one: one.split(name, folders, coarse))


def diff_(
    ctx: Context, rev: Annotated[str, Argument(metavar="REV", help="A git revision.")] = "HEAD"
) -> None:
    """Show what changed in the map since a revision."""
    from pipeline.labels.map_diff import diff

    found = _map(ctx)
    print("\n".join(diff(Path(), found.path, rev, found.naming)))


def audit_(
    ctx: Context,
    top: Annotated[int, Option(min=1, metavar="N", help="Merges, and splits, to list.")] = 10,
) -> None:
    """Rank merges and splits by what speaks against them."""
    from handpose.gesture_map import GestureMap
    from pipeline.labels.audit import audit

    found = _map(ctx)
    table = GestureMap.read(found.path, found.naming)
    print("\n".join(audit(Path(), table, top=top)))


def suggest_(ctx: Context) -> None:
    """Write another map, which agrees with the data, beside the map."""
    from pipeline.labels.edit import GestureMapFile
    from pipeline.labels.suggest import suggest

    found = _map(ctx)
    print("\n".join(suggest(Path(), GestureMapFile.read(found.path, found.naming))))


def gallery_(
    ctx: Context,
    out: Annotated[Path, Option(metavar="FILE.html")] = RESULTS / "gallery.html",
    people: Annotated[int, Option(min=1, metavar="N", help="People shown per class.")] = 6,
    cameras: Annotated[int, Option(min=1, metavar="N", help="Cameras shown per person.")] = 2,
) -> None:
    """Show every class, folder beside folder, in one HTML file."""
    from handpose.gesture_map import GestureMap
    from pipeline.labels.class_gallery import gallery
    from stages.params import load_params

    found = _map(ctx)
    table = GestureMap.read(found.path, found.naming)
    photos = Path(load_params(ctx.obj).data.root)
    lines = gallery(Path(), photos, table, out=out, people=people, cameras=cameras)
    print("\n".join(lines))


class _NamedMap(NamedTuple):
    """The gesture map that the parameters name."""

    path: Path
    naming: FolderNaming | None


def _map(ctx: Context) -> _NamedMap:
    from stages.ingestion.naming import folder_naming
    from stages.params import load_params

    params = load_params(ctx.obj)
    return _NamedMap(Path(params.label.map), folder_naming(params.data))


def _edit(ctx: Context, edit: Callable[[GestureMapFile], GestureMapFile]) -> None:
    from pipeline.labels.map_diff import apply_edit

    found = _map(ctx)
    print("\n".join(apply_edit(Path(), found.path, edit, found.naming)))
