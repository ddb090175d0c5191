"""The rows of the field's table: the paper's and other people's models, and how to get each.

Published figures are their authors', or users' where it says so, on other data, by other protocols
and on other machines. They stand in a table of their own and are compared with nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from handpose.nets.network_by_name import EANET, GESTURE_GUIDED
from handpose.other_models.published import LICENCES
from stages.evaluation.summary import FULL, SCRATCH


class Published(NamedTuple):
    """A figure that others published."""

    measure: str  # with its unit
    value: str
    data: str  # that it was measured on, or of a time the machine and what is included
    source: str


class FieldRow(NamedTuple):
    """A model of the table."""

    name: str
    how: str  # to get it: weights, hand model, licence
    published: Sequence[Published] = ()
    also: Sequence[str] = ()
    """Names besides `name` by which a file of its predictions may call it."""
    run: tuple[str, str] | None = None
    """Network and run of a model of this clone that is this row."""


def _table2(value: str) -> Published:
    return Published(
        "MPJPE / MPVPE of Table 2, mm",
        value,
        "InterHand2.6M, single hands, split not published",
        "arXiv 2603.17396, Table 2",
    )


def _freihand(value: str, source: str) -> Published:
    return Published("PA-MPJPE / PA-MPVPE, mm", value, "FreiHAND", source)


def _time(value: str, machine: str, source: str) -> Published:
    return Published("speed", value, machine, source)


def _checkpoint(name: str, repository: str, file: str) -> str:
    return (
        f"{file} from its authors ({repository}) and your own MANO in hand.mano, then `handpose "
        f"evaluate export work/{name}.parquet --model {file}` and `handpose "
        f"evaluate file work/{name}.parquet`; see the licences below"
    )


_FILE = "its authors' or your own predictions as a file, then `handpose evaluate file FILE`"

PROFILE = "`handpose configure --profile eanet`, then `dvc repro` on a GPU, trains it as run {run}"

OURS = "`dvc repro` trains and evaluates it"

PAPER = (
    FieldRow(
        "HaMeR",
        _checkpoint("hamer", "geopavlakos/hamer", "hamer.ckpt"),
        (_table2("16.11 / 15.37"), _freihand("6.0; a user's rerun 6.8", "geopavlakos/hamer#120")),
        ("HaMeR (hamer.ckpt)",),
    ),
    FieldRow(
        "EANet",
        PROFILE.format(run=SCRATCH),
        (_table2("4.94 / 5.26"),),
        run=(EANET, SCRATCH),
    ),
    FieldRow(
        "EANet with gesture pretraining",
        PROFILE.format(run=FULL),
        (_table2("4.86 / 5.17"),),
        run=(EANET, FULL),
    ),
    FieldRow(
        "the paper's without pretraining",
        OURS,
        (_table2("5.00 / 5.35"),),
        run=(GESTURE_GUIDED, SCRATCH),
    ),
    FieldRow("the paper's full model", OURS, (_table2("4.84 / 5.19"),), run=(GESTURE_GUIDED, FULL)),
)
"""Table 2, in its order. The authors have not published their models: the two last are this
repository's implementation, trained on its own data."""

FIELD = (
    FieldRow(
        "WiLoR",
        _checkpoint("wilor", "rolpotamias/WiLoR", "wilor_final.ckpt"),
        (
            _time(
                "18.0 and 10.5 images/s",
                "RTX 5000 and Titan RTX; detection and pose, measured by users",
                "rolpotamias/WiLoR#31",
            ),
        ),
        ("WiLoR (wilor_final.ckpt)",),
    ),
    FieldRow(
        "AnyHand, HaMeR's network",
        _checkpoint("anyhand_hamer", "chen-si-cs/AnyHand", "anyhand_hamer.ckpt"),
        also=("HaMeR (anyhand_hamer.ckpt)",),
    ),
    FieldRow(
        "AnyHand, WiLoR's network",
        _checkpoint("anyhand_wilor", "chen-si-cs/AnyHand", "anyhand_wilor.ckpt"),
        also=("WiLoR (anyhand_wilor.ckpt)",),
    ),
    FieldRow(
        "SAM 3D Body",
        "gated weights (facebookresearch/sam-3d-body, SAM License); its 21 keypoints of a hand as "
        "joints, `joint_order` interhand, `joint_definition` other: the keys of its npz files are "
        "documented nowhere that we know",
        (
            _freihand("5.5 / 6.2", "its paper, as quoted in facebookresearch/sam-3d-body#122"),
            _freihand("10.0 / 9.9", "a user's rerun, facebookresearch/sam-3d-body#122"),
        ),
    ),
    FieldRow(
        "HandOS",
        f"no code was found; {_FILE}",
        (_freihand("5.0 / -", "arXiv 2412.01537, abstract"),),
    ),
    FieldRow(
        "MaskHand",
        f"no repository was found; {_FILE}",
        (_freihand("5.5 / 5.4", "arXiv 2412.13393"),),
    ),
    FieldRow(
        "simpleHand",
        f"patienceFromZhou/simpleHand, and your own MANO; {_FILE}",
        (_freihand("5.7 / 6.0", "its README"),),
    ),
    FieldRow(
        "Fast-HaMeR",
        f"hunainahmedj/Fast-HaMeR, and your own MANO; {_FILE}",
        (_time("1.5 times HaMeR's speed", "its authors' GPU", "its abstract"),),
    ),
    FieldRow(
        "MediaPipe Hands",
        "21 landmarks and no mesh, Apache-2.0, weights in npm's @mediapipe/hands: its landmarks as "
        "a file, `joint_order` mediapipe, `joint_definition` other",
        (
            _time(
                "4.0 and 11.4 ms a frame",
                "M4 Pro and iPhone 17 Pro in a browser; measured by a competitor",
                "micro-handpose's page",
            ),
        ),
        ("MediaPipe",),
    ),
)
"""Others that a reader asks for."""

ROWS = (*PAPER, *FIELD)

TERMS = LICENCES
"""Of the checkpoints that can be run here."""


def row_of(model: str) -> FieldRow | None:
    """The row that a file of predictions is of, by the name that it states; None if it is none.

    The name has to be one of the row's own, see docs/imported.md: a name with more in it, such as
    "fine-tuned" or "mini", is another model's. Case, blanks and the signs `_-.,()` do not count.
    """
    return next((row for row in ROWS if _key(model) in map(_key, (row.name, *row.also))), None)


def _key(name: str) -> str:
    return re.sub(r"[\s_.,()-]+", "", name).casefold()
