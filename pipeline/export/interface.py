"""What goes into an exported file and what comes out, for whoever has the file alone.

The description is JSON: beside the file, and inside it too. Nothing but it is needed to use the
file from another language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from handpose.hand.facing import FACINGS
from handpose.hand.skeleton import JOINTS, MANO_JOINTS, PARENTS
from handpose.training.model_io import ModelRecord
from pipeline.export.hand_graph import HandGraph
from pipeline.predict.hand_box import ROUNDS, SETTLED, SHRINKS, SMALLEST
from pipeline.predict.overlay import COLOURS

BATCH = "batch"
"""Name of the free dimension."""

KEY = "handpose"
"""Under which the description is inside the file."""

Shape = tuple[int | str, ...]


class Port(NamedTuple):
    """A tensor that goes in or comes out."""

    shape: Shape  # after the batch
    unit: str
    what: str


SQUARE = (
    "RGB, a square around one hand; where the photo ends, its outermost pixels go on; `picture`"
    " says how large and how it lies"
)

INPUTS = {
    "image": Port(("N", "N", 3), "0 to 255, uint8", SQUARE),
    "is_left": Port((), "bool", "whether it is a left hand: this model cannot tell"),
    "side": Port(
        (),
        "int32",
        "1: posed as a left hand, 0: as a right one, -1: as left_probability says",
    ),
    "K": Port((3, 3), "px", "intrinsics of the picture: `picture` times those of the photo"),
}

OUTPUTS = {
    "joints": Port((21, 3), "m", "about the wrist, by the hand model; axes as `frame`"),
    "joints_depth": Port((21,), "m", "along z, about the wrist, by the heatmaps"),
    "joints_px": Port((21, 2), "px", "of the picture, u to the right and v down, by the heatmaps"),
    "left_probability": Port((), "probability", "of a left hand; above 0.5 it was posed as one"),
    "facing_probabilities": Port((3,), "probability", "of `facings`: what the camera sees"),
    "gesture_probabilities": Port(("G",), "probability", "of `gestures`"),
    "global_orient": Port((3, 3), "rotation", "of the root, right-hand frame, axes as `frame`"),
    "hand_pose": Port(
        (15, 3, 3), "rotation", "of each of `rotations` in its parent, mean included"
    ),
    "betas": Port((10,), "shape coefficients", "of the hand model"),
    "joints_px_radius90": Port((21,), "px", "about joints_px, meant to hold 9 of 10 joints"),
    "joints_radius90": Port((21,), "m", "about joints, likewise; 0 for the wrist"),
    "is_hand_probability": Port((), "probability", "that the picture shows a hand at all"),
    "vertices": Port(("V", 3), "m", "about the wrist, like joints; `faces` connects them"),
}


def description(
    graph: HandGraph, record: ModelRecord, *, hand: str, precision: str
) -> dict[str, Any]:
    """Inputs, outputs, their units and frame, and the names of what is numbered.

    Args:
        graph: the model that is exported.
        record: how it was trained.
        hand: the hand model inside, or why there is none.
        precision: of the weights.
    """
    sizes = {"N": graph.side, "G": len(record.coarse)}
    if graph.points == "mesh":
        sizes["V"] = graph.net.mano.joint_matrix.shape[1]
    to_picture = (
        f"u = ({graph.px} / ({graph.box_scale:g} * max(w, h))) * (photo's u - (x + w / 2 - 0.5)) + "
        f"{(graph.side - 1) / 2:g} for a box x, y, w, h, and likewise v; pixel centres lie at "
        "whole numbers"
    )
    found: dict[str, Any] = {
        "inputs": _ports({name: INPUTS[name] for name in graph.inputs}, sizes),
        "outputs": _ports({name: OUTPUTS[name] for name in graph.names}, sizes),
        "picture": {
            "side_px": graph.side,
            "side_by_box": graph.box_scale * graph.side / graph.px,
            "how": to_picture,
        },
        "frame": f"x right, y down, z away, {_frame(graph)}",
        "left_hands": "joints and vertices as seen; global_orient and hand_pose are those of its "
        "mirror image (x -> -x), a right hand",
        "joints": list(JOINTS),
        "rotations": list(MANO_JOINTS[1:]),
        "facings": list(FACINGS),
        "gestures": record.coarse,
        "gesture_hands": record.hands,
        "hand_model": hand,
        "precision": precision,
        "weights_sha256": record.weights_sha256,
    }
    if graph.points == "mesh":
        found["faces"] = graph.net.mano.faces.tolist()
        found["faces_of"] = "a right hand, outward; reverse each for a left one"
    return found


def page_description() -> dict[str, Any]:
    """What a page needs besides, to look for a hand and to draw it as `handpose predict` does."""
    return {
        "parents": list(PARENTS),  # of each of `joints`, -1 for the wrist
        "colours": [list(colour) for colour in COLOURS],  # RGB, of each joint and of its bone
        "boxes": {  # see pipeline/predict/hand_box.py
            "shrinks": SHRINKS,
            "settled": SETTLED,
            "smallest": SMALLEST,
            "rounds": ROUNDS,
        },
    }


def _frame(graph: HandGraph) -> str:
    if graph.net.ray_input or not graph.net.turn_camera:
        return "of the camera"
    return (
        "of a camera at the same place that is turned until it looks at the picture's middle "
        "(the smallest rotation that does)"
    )


def _ports(ports: Mapping[str, Port], sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [BATCH, *(sizes[n] if isinstance(n, str) else n for n in port.shape)],
            "unit": port.unit,
            "what": port.what,
        }
        for name, port in ports.items()
    ]
