"""What `handpose predict` is asked for, and what is refused before anything is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handpose.errors import HandPoseError
from handpose.estimator import released_folder
from handpose.estimator_input import Side
from handpose.hand.mano import FILE
from pipeline.licence_guard import git_takes, is_free_hand, stage_of
from pipeline.predict.hand_box import Box, BoxError, Origin, box_of
from pipeline.predict.sources import SourceList
from stages.paths import STAGE_2_MODELS

Write = Callable[[str], None]


class OutputError(HandPoseError):
    """Where results may not be written."""


@dataclass(frozen=True)
class PredictRequest:
    """What to do with every source."""

    out: Path
    box: Box | None = None  # of all photos and first frames
    boxes: dict[str, Box] = field(default_factory=dict)  # by file, before `box`
    side: Side | None = None
    intrinsics: Box | None = None  # fx, fy, cx, cy px
    batch: int = 16
    meshes: bool = False
    smooth: bool = False
    seconds: float = 10.0  # of a camera

    def __post_init__(self) -> None:
        """Refuse intrinsics of no camera.

        Raises:
            BoxError: a focal length is 0 or less, or a number is not finite.
        """
        if self.intrinsics and not (
            np.isfinite(self.intrinsics).all() and min(self.intrinsics[:2]) > 0
        ):
            raise BoxError(f"--intrinsics {self.intrinsics}: fx and fy must be above 0 px")

    @property
    def K(self) -> NDArray[np.float64] | None:
        """(3, 3) px."""
        if self.intrinsics is None:
            return None
        fx, fy, cx, cy = self.intrinsics
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])

    def box_for(self, file: Path) -> tuple[Box | None, Origin]:
        """Its box and where that comes from; None: to be found."""
        if (box := box_of(self.boxes, file)) is not None:
            return box, "file"
        return self.box, "given"


def default_model(write: Write) -> Path:
    """The released weights, or else the clone's own model, which is said.

    The folder of the released weights if there are neither, whose refusal names the remedy.
    """
    released, own = released_folder(), STAGE_2_MODELS["pretrained"]
    if not (released / "model.json").is_file() and (own / "model.json").is_file():
        write(f"no released weights here: taking {own}, which was trained in this clone")
        return own
    return released


def check_output(request: PredictRequest, sources: SourceList, mano: Path | None) -> None:
    """Refuse a folder in which results would replace photos, or pass MANO's mesh on.

    Raises:
        OutputError: it is such a folder.
    """
    out = request.out
    if out.resolve() in sources.folders:
        raise OutputError(
            f"{out}: input photos are in this folder; choose another with --out, so that no photo "
            "is overwritten and no result is taken for an input"
        )
    if not request.meshes or mano is None or is_free_hand(mano / FILE):
        return
    if (stage := stage_of(out)) or _is_committed(out / "hand.obj"):
        whom = f"dvc push would send what stage {stage} writes" if stage else "git would commit it"
        raise OutputError(
            f"{out}: meshes of the licensed MANO model may not be passed on, and {whom}; name a "
            "folder outside of the clone by --out"
        )


def _is_committed(path: Path) -> bool:
    inside = path.resolve().is_relative_to(Path.cwd().resolve())
    return inside and Path(".git").exists() and git_takes(path)
