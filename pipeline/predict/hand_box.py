"""Boxes around hands: given, of a table, of a palm detector, or found by the model's own joints.

The model finds no hands; it predicts where the joints of one are. A photo without a box is
therefore taken as a whole, then in a box around the joints that this gave, and so on until the box
stays. That works where one hand is large in the photo. A box that stays is no proof that a hand is
in it.

A palm detector finds every hand. The box that a palm gives is near, and the model predicts a second
time, in the box around the joints.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from handpose.detection.palm_detector import PalmDetector
from handpose.errors import HandPoseError
from handpose.estimator import HandEstimate
from handpose.estimator_input import LARGEST
from pipeline.predict.sources import CAMERA, SourceList

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""x, y, w, h in pixels of the photo, of its upper left corner."""

Origin = Literal["given", "file", "refined", "palm", "previous frame"]

ROUNDS = 6
"""Most predictions in boxes, after that in the whole photo."""

SETTLED = 0.1
"""A box that moves and grows by less than this share of its side stays."""

SHRINKS = 0.94
"""Longer side of the box of the joints that a model finds, by that of the true ones.

A mean over a heatmap is drawn to the crop's middle. Median of the released model at true boxes, 100
photos of the first set of its card; 0.84 to 1.02 for 80 % of them.
"""

DOUBLE = 0.2
"""Two hands whose joints are nearer, on average and by the longer side of the box of one, are one
hand that was found twice."""

SMALLEST = 0.05
"""Of the photo's longer side: a smaller box has collapsed."""

COLUMNS = ["file", "x", "y", "w", "h"]
NAMED = 3
"""Rows that an error names; it counts the others."""


class BoxError(HandPoseError):
    """Numbers or a table that are no boxes."""


class Batch(Protocol):
    """`HandEstimator.batch` with side and intrinsics given."""

    def __call__(
        self, photos: Sequence[Any], boxes: Sequence[Sequence[float] | None]
    ) -> list[HandEstimate]:
        """The hand in the box of each photo."""


class BoxedHand(NamedTuple):
    """A hand, the box that the model saw it in, and where that came from."""

    hand: HandEstimate | None  # None: none was found
    box: Box
    origin: Origin
    why: str = ""  # none was found


def parse_numbers(text: str, option: str, meaning: str) -> Box:
    """Four numbers of an option, such as `--bbox 10,20,200,220`.

    Raises:
        BoxError: they are not four numbers.
    """
    try:
        a, b, c, d = (float(part) for part in text.split(","))
    except ValueError:
        raise BoxError(f"{option} {text}: expected four numbers, {meaning}") from None
    return a, b, c, d


class BoxTable(NamedTuple):
    """Boxes by the name of their file, and the line that each is in."""

    path: Path
    boxes: dict[str, Box]
    lines: dict[str, int]

    def remark(self, sources: SourceList) -> str:
        """A sentence on rows that are for none of these files and cameras; empty if all are.

        Raises:
            BoxError: there are such rows, and files without a row: a name does not match.
        """
        rows = {name: _row_of(self.boxes, name) for name in sources.names}
        used = {*rows.values()}
        unused = [f"{name} (line {self.lines[name]})" for name in self.boxes if name not in used]
        if not unused:
            return ""
        text = (
            f"{self.path}: {len(unused)} of {len(self.boxes)} rows "
            f"{'is' if len(unused) == 1 else 'are'} for no photo that is looked at: {_some(unused)}"
        )
        failed = {failure.file for failure in sources.failed}
        without = [name for name, row in rows.items() if row is None and name not in failed]
        if not without:
            return text
        raise BoxError(
            f"{text}; and {_some(without)} {'has' if len(without) == 1 else 'have'} no row; "
            "expected each photo's path as given to the command, or its last part"
            + "".join(f"; {failure.file}: {failure.why}" for failure in sources.failed)
        )


def read_boxes(path: Path) -> BoxTable:
    """Boxes from a table with the columns of `COLUMNS`.

    Raises:
        BoxError: it cannot be read, lacks a column or any row, or a line has no four numbers or too
            many cells, or a file two lines.
    """
    found = BoxTable(path, {}, {})
    read = 1  # lines of the rows before
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream)
            if table.fieldnames is None or not set(COLUMNS) <= set(table.fieldnames):
                raise BoxError(
                    f"{path}: has the columns {','.join(table.fieldnames or [])}, expected "
                    f"{','.join(COLUMNS)}"
                )
            for row in table:
                where, name = f"{path}:{table.line_num}", _key(row["file"] or "")
                more, read = row.get(None) or [], table.line_num  # cells beyond the last column
                if any(cell.strip() for cell in more):
                    columns = len(table.fieldnames)
                    raise BoxError(
                        f"{where}: has {columns + len(more)} cells, expected {columns}, "
                        f"{','.join(table.fieldnames)}; a name with a comma takes quotes"
                    )
                try:
                    x, y, w, h = (float(row[column]) for column in COLUMNS[1:])
                except (TypeError, ValueError):
                    raise BoxError(f"{where}: expected four numbers after the file") from None
                if name == _key(""):
                    raise BoxError(f"{where}: names no file, expected {','.join(COLUMNS)}")
                if name in found.boxes:
                    raise BoxError(f"{where}: {name} has a box above; expected one for each file")
                found.boxes[name], found.lines[name] = (x, y, w, h), table.line_num
    except OSError as error:
        raise BoxError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BoxError(f"{path}: is no text in UTF-8; expected {','.join(COLUMNS)}") from None
    except csv.Error as error:
        raise BoxError(
            f"{path}:{read + 1}: cannot be read ({error}); expected {','.join(COLUMNS)}, and a "
            "second quote where one is opened"
        ) from None
    if not found.boxes:
        raise BoxError(f"{path}: holds no box, expected a row {','.join(COLUMNS)} for each photo")
    return found


def box_of(boxes: dict[str, Box], file: Path) -> Box | None:
    """That of a file, which the table may name by its whole path or by its last part."""
    row = _row_of(boxes, str(file))
    return None if row is None else boxes[row]


def _row_of(boxes: dict[str, Box], name: str) -> str | None:
    """The key of a file's box, or of a camera's; None: it has none."""
    return next((k for k in (_key(name), Path(_key(name)).name) if k in boxes), None)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _key(name: str) -> str:
    """A file as it is called in `boxes`, however it is written; `camera:0` is called camera-0."""
    name = name.strip()
    return str(Path(f"camera-{name.removeprefix(CAMERA)}" if name.startswith(CAMERA) else name))


def box_around(uv: NDArray[np.floating[Any]]) -> Box:
    """The box of a hand by the joints (21, 2) px that the model found; pixel centres are whole.

    It is `SHRINKS` wider than these joints.
    """
    low, high = uv.min(0), uv.max(0)
    size = (high - low) / SHRINKS
    x, y = ((low + high - size) / 2 + 0.5).tolist()
    w, h = size.tolist()
    return x, y, w, h


def change(old: Box, new: Box) -> float:
    """By how much a box moves or grows, relative to the old one's longer side."""
    x, y, w, h = old
    new_x, new_y, new_w, new_h = new
    moved = abs(new_x + new_w / 2 - x - w / 2), abs(new_y + new_h / 2 - y - h / 2)
    grown = abs(max(new_w, new_h) - max(w, h))
    return max(*moved, grown) / max(w, h)


def lost(box: Box, image: Image) -> str:
    """Why no hand can be in this box; empty if one can."""
    height, width = image.shape[:2]
    x, y, w, h = box
    longest = max(width, height)
    if not np.isfinite(box).all() or max(w, h) < max(1, SMALLEST * longest):
        return "no hand was found: the box around the joints collapsed"
    if max(w, h) > LARGEST * longest:
        return "no hand was found: the box around the joints outgrew the photo"
    if not (0 <= x + w / 2 <= width and 0 <= y + h / 2 <= height):
        return "no hand was found: the box around the joints left the photo"
    return ""


def refine(batch: Batch, images: Sequence[Image]) -> list[BoxedHand]:
    """The hand in each photo, in the box that its own joints give."""
    found: dict[int, BoxedHand] = {}
    open_ = list(range(len(images)))
    boxes: list[Box | None] = [None] * len(images)
    for _ in range(1 + ROUNDS):
        if not open_:
            break
        hands = batch([images[k] for k in open_], [boxes[k] for k in open_])
        for k, hand in zip(open_, hands, strict=True):
            old, new = boxes[k], box_around(hand.joints_px)
            if why := lost(new, images[k]):
                found[k] = BoxedHand(None, new, "refined", why)
            elif old is not None and change(old, new) < SETTLED:
                found[k] = BoxedHand(hand, old, "refined")
            boxes[k] = new
        open_ = [k for k in open_ if k not in found]
    for k in open_:
        box = boxes[k]
        assert box is not None
        why = f"no hand was found: the box around the joints still moves after {ROUNDS} rounds"
        found[k] = BoxedHand(None, box, "refined", why)
    return [found[k] for k in range(len(images))]


def from_palms(
    detector: PalmDetector, batch: Batch, images: Sequence[Image]
) -> list[list[BoxedHand]]:
    """The hands in each photo, the surest palm first; where there are none, one without a hand.

    A palm whose joints are lost is listed without a hand and with the reason.
    """
    boxes = [[palm.hand_box for palm in detector.palms(image)] for image in images]
    owner = [k for k, own in enumerate(boxes) for _ in own]
    first = [box for own in boxes for box in own]
    hands = batch([images[k] for k in owner], first) if first else []
    second = [
        old if lost(new, images[k]) else new
        for k, old, new in zip(
            owner, first, (box_around(hand.joints_px) for hand in hands), strict=True
        )
    ]
    hands = batch([images[k] for k in owner], second) if first else []
    found: list[list[BoxedHand]] = [[] for _ in images]
    for k, hand, box in zip(owner, hands, second, strict=True):
        if why := lost(box_around(hand.joints_px), images[k]):
            found[k].append(BoxedHand(None, box, "palm", why))
        elif not any(_is_double(hand, other.hand) for other in found[k]):
            found[k].append(BoxedHand(hand, box, "palm"))
    return [own or [_without_palm(image)] for own, image in zip(found, images, strict=True)]


def _is_double(hand: HandEstimate, other: HandEstimate | None) -> bool:
    if other is None:
        return False
    side = max(box_around(other.joints_px)[2:])
    apart = np.linalg.norm(hand.joints_px - other.joints_px, axis=1).mean()
    return bool(apart < DOUBLE * side)


def _without_palm(image: Image) -> BoxedHand:
    height, width = image.shape[:2]
    whole = 0.0, 0.0, float(width), float(height)
    return BoxedHand(None, whole, "palm", "no hand was found: the palm detector sees no palm")
