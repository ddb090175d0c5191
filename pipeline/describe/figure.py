"""The architecture as one drawing; every shape in it is what the network computes.

`handpose describe --figure docs/architecture.png` draws the network of `params.yaml`. The file's
metadata holds the labels too, so that a test can recognise an outdated picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from handpose.nets.pose_net import PoseNet
from handpose.render.tiles import PageError, require_png
from pipeline.describe.layers import trace

WIDTH, HEIGHT = 900, 416
"""Of the drawing, in px as a page shows it; the file has twice as many."""
COLUMNS = (256, 386, 516, 646, 776)
ROWS = (12, 148, 284)
"""Left and top edges of the boxes."""
BOX = (114, 98)

STAGE_1, STAGE_2, GIVEN = ("#FDEFD9", "#C77700"), ("#E1ECFA", "#3568AD"), ("#F1F2F4", "#70757D")
"""Fill and edge of a box: trained in Stage 1, trained in Stage 2, not trained."""
INK, FAINT, LOSS = "#20242A", "#565C66", "#B3261E"
X = "\N{MULTIPLICATION SIGN}"
KEY = "Description"
"""Name of the metadata that holds the labels."""

WITH_FEATURE = "and global feature"
"""Note of the MANO heads that read it."""


@dataclass(frozen=True)
class Box:
    """One step of the network."""

    title: str
    notes: Sequence[str]
    shapes: Sequence[str]  # of what it computes, without the batch
    at: tuple[float, float]  # left and top edge
    size: tuple[float, float] = BOX
    colours: tuple[str, str] = STAGE_2
    loss: bool = False  # a loss acts on its output

    @property
    def label(self) -> str:
        """All of its text on one line."""
        return f"{self.title} ({', '.join(self.notes)}): {' and '.join(self.shapes)}".rstrip(": ")


def draw_architecture(found: dict[str, Box], out: Path) -> None:
    """Write the drawing of these boxes to a PNG file; the folder of `out` is made.

    Raises:
        PageError: `out` is not the name of a PNG file, or cannot be written.
    """
    require_png(out)
    figure = _draw(found)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, metadata={KEY: label_text(found), "Software": None})
    except OSError as error:
        raise PageError(f"{out}: cannot be written: {error.strerror or error}") from None


def label_text(found: dict[str, Box]) -> str:
    """Every label of the drawing, one per line."""
    return "\n".join(box.label for box in found.values())


def boxes(net: PoseNet, *inputs: Tensor, backbone: str) -> dict[str, Box]:
    """The steps of the network by name, with the shapes that one run of it has.

    Args:
        net: Stage 2's network with Stage 1's inside; it is left as it was.
        *inputs: the network's: image (1, 3, S, S) uint8, side (1,) bool, and K (1, 3, 3) px where
            it has `ray_input`.
        backbone: name of the encoder.
    """
    image, ran = inputs[0], trace(net, *inputs)
    (levels,) = ran["gesture_net.backbone"][1:]
    gesture = ran["gesture_net.heads"][-1]
    joint_tokens, gesture_tokens, _ = ran["fusion"][:-1]
    _, uvd, feature = ran["mano_head"][:-1]
    rot6d, betas = ran["mano_head"][-1]
    hand = ran["mano"][-1]
    pooled = net.gesture_net.gesture_levels
    tokens = joint_tokens.shape[1]
    guides = 0 if gesture_tokens is None else gesture_tokens.shape[1]
    column, row = COLUMNS, ROWS
    tall = ROWS[-1] + BOX[1] - ROWS[0]
    found = {
        "image": Box("image", ["RGB crop"], [_shape(image)], (8, row[1]), (80, BOX[1]), GIVEN),
        "backbone": Box(
            net.gesture_net.backbone.title,
            [backbone, _millions(net.gesture_net.backbone) + " weights"],
            [f"{f'/{stride}':<4}{_shape(level):<9}" for stride, level in levels.items()],
            (110, row[0]),
            (124, tall),
            STAGE_1,
        ),
        "project": Box(
            "projection",
            [f"levels {_strides(net.pose_levels)}", f"1{X}1 conv, norm"],
            [_shape(ran["grid_encoder"][-1])],  # what the encoder is given has its output's shape
            (column[0], row[0]),
        ),
        "grid": Box(
            "grid encoder",
            ["over all cells", _attention("self", net.grid_encoder)],
            [_shape(ran["grid_encoder"][-1])],
            (column[1], row[0]),
        ),
        "volume": Box(
            "heatmaps",
            [f"1{X}1 conv", "one per joint"],
            [_shape(ran["volume_head"][-1])],
            (column[2], row[0]),
        ),
        "uvd": Box(
            "soft-argmax",
            ["u, v and depth", "relative to wrist"],
            [_shape(uvd)],
            (column[3], row[0]),
            loss=True,
        ),
        "side": Box(
            "left or right",
            _side_notes(net),
            [],
            (column[4], row[0]),
            colours=GIVEN,
        ),
        "joint_tokens": Box(
            "joint tokens",
            ["grid_sample", "at u, v"],
            [_shape(joint_tokens)],
            (column[1], row[1]),
        ),
        "fusion": Box(
            "token fusion",
            [
                f"{tokens} + {guides} tokens",
                _attention("cross" if net.fusion.cross else "self", net.fusion),
                f"+ 1{X}1 residual",
            ],
            [_shape(ran["fusion"][-1])],
            (column[2], row[1]),
        ),
        "heads": Box(
            "MANO heads",
            ["two MLPs on tokens", WITH_FEATURE if net.mano_head.norm else "pose is in 6D"],
            [f"pose {_shape(rot6d)}", f"shape {_shape(betas)}"],
            (column[3], row[1]),
            loss=True,
        ),
        "mano": Box(
            "MANO",
            ["forward kinematics"],
            [f"joints {_shape(hand.joints)}", f"vertices {_shape(hand.vertices)}"],
            (column[4], row[1]),
            colours=GIVEN,
            loss=True,
        ),
        "feature": Box(
            "global feature",
            ["mean of levels", _strides(pooled)],
            [_shape(feature)],
            (column[0], row[2]),
            colours=STAGE_1,
        ),
        "classifiers": Box(
            "gesture heads",
            ["logits of", "the classes"],
            [f"coarse {_shape(gesture.coarse_logits)}", f"fine {_shape(gesture.fine_logits)}"],
            (column[1], row[2]),
            colours=STAGE_1,
            loss=True,
        ),
    }
    if gesture_tokens is not None:
        found["gesture_tokens"] = Box(
            "gesture tokens",
            [f"gate {X} norm(MLP(", "norm(logits))) + type"],
            [_shape(gesture_tokens)],
            (column[2], row[2]),
        )
    return found


def _shape(tensor: Tensor) -> str:
    return X.join(str(n) for n in tensor.shape[1:])


def _strides(levels: Sequence[int]) -> str:
    return " ".join(f"/{stride}" for stride in levels)


def _millions(module: nn.Module) -> str:
    return f"{sum(p.numel() for p in module.parameters()) / 1e6:.1f} M"


def _attention(kind: str, module: nn.Module) -> str:
    """Kind and number of a module's Transformer blocks."""
    count = len(module.transformer.blocks)  # type: ignore[arg-type, union-attr]
    return f"{kind}-attention {X}{count}"


def _side_notes(net: PoseNet) -> list[str]:
    """Where the hand's side acts."""
    if net.side_input:
        return ["given; enters", "token fusion and", "mirrors MANO"]
    return ["given;", "mirrors MANO"]


# --- drawing -------------------------------------------------------------------------------------


def _draw(found: dict[str, Box]) -> Figure:
    figure = Figure((WIDTH / 100, HEIGHT / 100), dpi=200, facecolor="white")
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axis.axis("off")
    for box in found.values():
        _draw_box(axis, box)
    for points, dashed in _arrows(found):
        _draw_arrow(axis, points, dashed=dashed)
    _draw_legend(axis)
    return figure


def _draw_box(axis: Any, box: Box) -> None:
    (x, y), (width, height), (fill, edge) = box.at, box.size, box.colours
    axis.add_patch(
        FancyBboxPatch(
            (x + 4, y + 4), width - 8, height - 8, "round,pad=4", facecolor=fill, edgecolor=edge
        )
    )
    centre = x + width / 2
    lines = [(box.title, 8.7, "bold", INK, "DejaVu Sans")]
    lines += [(note, 7.7, "normal", FAINT, "DejaVu Sans") for note in box.notes]
    lines += [(shape, 8.4, "bold", edge, "DejaVu Sans Mono") for shape in box.shapes]
    step = 16
    top = y + height / 2 - step * (len(lines) - 1) / 2
    for k, (text, size, weight, colour, family) in enumerate(lines):
        axis.text(
            centre,
            top + k * step,
            text,
            fontsize=size,
            fontweight=weight,
            color=colour,
            family=family,
            ha="center",
            va="center_baseline",
        )
    if box.loss:
        axis.plot(x + width - 1, y + 1, "o", color=LOSS, markersize=6.5, markeredgecolor="white")


Points = Sequence[tuple[float, float]]


def _arrows(found: dict[str, Box]) -> Iterator[tuple[Points, bool]]:
    """Way points of every arrow, and whether no gradient flows back along it."""

    def side(name: str, across: float, down: float) -> tuple[float, float]:
        """A point of a box: 0 its left or upper edge, 1 its right or lower one."""
        box = found[name]
        return box.at[0] + across * box.size[0], box.at[1] + down * box.size[1]

    def straight(start: str, end: str) -> Points:
        middle = side(end, 0, 0.5)
        return [(side(start, 1, 0)[0], middle[1]), middle]

    for start, end in (
        *(("image", "backbone"), ("backbone", "project"), ("backbone", "feature")),
        *(("project", "grid"), ("grid", "volume"), ("volume", "uvd"), ("feature", "classifiers")),
        *(("joint_tokens", "fusion"), ("fusion", "heads"), ("heads", "mano")),
    ):
        yield straight(start, end), False
    yield [side("grid", 0.5, 1), side("joint_tokens", 0.5, 0)], False
    yield [side("side", 0.5, 1), side("mano", 0.5, 0)], True
    lane = (side("uvd", 0, 1)[1] + side("heads", 0, 0)[1]) / 2
    yield (
        [
            side("uvd", 0.3, 1),
            (side("uvd", 0.3, 1)[0], lane),
            (side("joint_tokens", 0.8, 0)[0], lane),
            side("joint_tokens", 0.8, 0),
        ],
        True,
    )
    yield [side("uvd", 0.6, 1), side("heads", 0.6, 0)], True
    if WITH_FEATURE in found["heads"].notes:
        low = side("feature", 0, 1)[1] + 18
        yield (
            [
                side("feature", 0.5, 1),
                (side("feature", 0.5, 1)[0], low),
                (side("heads", 0.5, 1)[0], low),
                side("heads", 0.5, 1),
            ],
            False,
        )
    if "gesture_tokens" in found:
        yield straight("classifiers", "gesture_tokens"), False
        yield [side("gesture_tokens", 0.5, 0), side("fusion", 0.5, 1)], False


def _draw_arrow(axis: Any, points: Points, *, dashed: bool) -> None:
    style = "--" if dashed else "-"
    xs, ys = zip(*points, strict=True)
    axis.plot(xs[:-1], ys[:-1], style, color=FAINT, linewidth=1.1, solid_capstyle="butt")
    axis.annotate(
        "",
        points[-1],
        points[-2],
        arrowprops={
            "arrowstyle": "-|>",
            "color": FAINT,
            "linewidth": 1.1,
            "linestyle": style,
            "shrinkA": 0,
            "shrinkB": 0,
            "mutation_scale": 9,
        },
    )


def _draw_legend(axis: Any) -> None:
    x, y, step = COLUMNS[4] - 60, ROWS[2] + 14, 19
    for k, ((fill, edge), text) in enumerate(
        (
            (STAGE_1, "trained in Stage 1, then in 2"),
            (STAGE_2, "trained in Stage 2"),
            (GIVEN, "not trained"),
        )
    ):
        axis.add_patch(
            FancyBboxPatch(
                (x, y + k * step - 5), 14, 10, "round,pad=1", facecolor=fill, edgecolor=edge
            )
        )
        axis.text(x + 24, y + k * step, text, fontsize=7.8, color=INK, va="center")
    axis.plot(x + 7, y + 3 * step, "o", color=LOSS, markersize=6.5)
    axis.text(x + 24, y + 3 * step, "losses act on it", fontsize=7.8, color=INK, va="center")
    axis.plot((x - 3, x + 17), (y + 4 * step,) * 2, "--", color=FAINT, linewidth=1.1)
    axis.text(x + 24, y + 4 * step, "no gradient flows back", fontsize=7.8, color=INK, va="center")
