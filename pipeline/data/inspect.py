"""`handpose data inspect`: a batch as fed to the network, and how well batches are mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from handpose.data.annotation_table import INTERACTING
from handpose.data.augment import Augmentation
from handpose.data.labels import Labels
from handpose.data.shards import Shards
from handpose.data.splits import TRAIN
from handpose.errors import HandPoseError
from handpose.evaluation import draw
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.hand.skeleton import WRIST
from handpose.render.tiles import Tile, draw_page
from handpose.sample import UNLABELLED, HandBatch
from pipeline.data.mixing import mixing
from stages.hand_model import load_hand_model
from stages.params import Params
from stages.paths import LABELS, MEMBERSHIP, SAMPLES, SHARDS, require

BATCHES = 20
"""Batches whose mixing is measured; the first one is drawn."""
PICTURE_PX = 192
COLUMNS = 8
MIRRORED = draw.CONTROL

MIXED = {
    "people": ("subject",),
    "sessions": ("split", "session"),
    "folders": ("sequence",),
    "cameras": ("split", "session", "camera"),
    "frames": ("split", "session", "frame"),
}
"""What is counted in a batch, and the columns whose values identify one."""


class InspectError(HandPoseError):
    """The stages have not yet produced what is to be drawn."""


@dataclass(frozen=True)
class Origins:
    """Where the samples of a split come from: columns of samples.parquet."""

    table: pa.Table

    @classmethod
    def read(cls, split: str) -> Origins:
        """The rows of this split whose folder is in membership.txt."""
        for path, stage in ((SAMPLES, "ingest"), (LABELS, "label"), (MEMBERSHIP, "label")):
            require(path, stage, InspectError)
        names = {name for columns in MIXED.values() for name in columns} | {"kind"}
        table = pq.read_table(SAMPLES, columns=sorted(names | {"sample_id", "is_left"}))
        folders = pa.array(MEMBERSHIP.read_text("utf-8").splitlines(), pa.string())
        is_in = pc.and_(pc.equal(table["split"], split), pc.is_in(table["sequence"], folders))
        return cls(table.filter(is_in).sort_by("sample_id"))

    def rows(self, batch: HandBatch) -> NDArray[np.int64]:
        """The row of each sample of a batch."""
        ids, wanted = self.table["sample_id"].to_numpy(), batch.sample_id.numpy()
        if not np.isin(wanted, ids).all():
            raise InspectError(
                f"{SHARDS} holds samples that {SAMPLES} does not have in this split; run "
                "`dvc repro shard`, so that both come from one run"
            )
        return np.searchsorted(ids, wanted).astype(np.int64)

    def codes(self, columns: Sequence[str]) -> NDArray[np.int64]:
        """(N,) a number for each distinct combination of these columns."""
        parts = [np.unique(self.table[name].to_numpy(), return_inverse=True)[1] for name in columns]
        return np.unique(np.stack(parts, 1), axis=0, return_inverse=True)[1].ravel()


def inspect(
    params: Params,
    *,
    stage: Literal["pretrain", "pose"],
    split: str,
    batch: int,
    augmented: bool,
    out: Path,
) -> list[str]:
    """Draw the first batch of the first epoch; returns lines on it and on the mixing.

    Args:
        params: of the whole pipeline.
        stage: whose seed and augmentation.
        split: train, validation, test, or another; only train is shuffled and augmented.
        batch: samples in a batch.
        augmented: as in training; if false, the crops as stored.
        out: PNG file.

    Raises:
        HandPoseError: samples, labels, shards or the hand model are missing, or the split is
            smaller than a batch.
    """
    origins = Origins.read(split)
    batches = list(islice(_batches(params, stage, split, batch, augmented), BATCHES))
    rows = [origins.rows(some) for some in batches]
    order = "as stored" if split != TRAIN else "shuffled" + ", augmented" * augmented
    title = (
        f"{split}, {order}: the first {len(batches[0])} samples of stage {stage}. "
        "Green: joints; blue: outline of the MANO fit; orange frame: mirrored, and so is its class"
    )
    tiles = _tiles(params, batches[0], origins.table.take(pa.array(rows[0])))
    draw_page(tiles, out, size=(PICTURE_PX, PICTURE_PX), columns=COLUMNS, title=title)
    return [*_mixing(origins, rows, order), f"wrote {out}"]


def _batches(params: Params, stage: str, split: str, batch: int, augmented: bool) -> Any:
    fit = params.pretrain if stage == "pretrain" else params.pose
    in_training = split == TRAIN
    return Shards.open(SHARDS).batches(
        split,
        batch=batch,
        image_px=params.encoder.image_px,
        labels=Labels.read(LABELS).of_images,
        canonical=params.label.handedness == "canonical",
        seed=fit.seed,
        epoch=0 if in_training else None,
        augmentation=Augmentation(**fit.augment.keywords()) if in_training and augmented else None,
    )


def _tiles(params: Params, batch: HandBatch, origin: pa.Table) -> list[Tile]:
    mano = load_hand_model(params.hand, params.data)
    with torch.no_grad():
        fits = mano.hand(batch.global_orient, batch.hand_pose, batch.betas, batch.is_left)
    labels = Labels.read(LABELS)
    tiles = []
    for i, row in enumerate(origin.to_pylist()):
        is_left = bool(batch.is_left[i])
        mirrored = is_left != row["is_left"]
        coarse, fine = (
            names[k] if (k := int(ids[i])) != UNLABELLED else ""
            for names, ids in ((labels.coarse, batch.coarse), (labels.fine, batch.fine))
        )
        hand = f"{'left' if is_left else 'right'}{', MIRRORED' if mirrored else ''}"
        hand += " of two" if row["kind"] == INTERACTING else ""
        fit = "" if batch.has_mano[i] else ", no fit"
        if batch.has_mano[i] and not batch.joint_valid[i, WRIST]:
            fit = ", mesh not drawn: wrist unknown"
        tiles.append(
            Tile(
                _picture(batch, i, fits.vertices[i].double().numpy(), mano),
                fine or "no gesture",
                [
                    f"of {coarse}" if coarse != fine else "",
                    f"{hand}, {int(batch.joint_valid[i].sum())} joints{fit}",
                    f"person {row['subject']}, cam{row['camera']}",
                    row["sequence"],
                ],
                MIRRORED if mirrored else None,
            )
        )
    return tiles


def _picture(
    batch: HandBatch, i: int, vertices: NDArray[np.float64], mano: Mano
) -> NDArray[np.uint8]:
    """The crop with the joints, and around them the outline of the fitted mesh."""
    image = np.ascontiguousarray(batch.image[i].permute(1, 2, 0).numpy())
    zoom = max(1, 2 * PICTURE_PX // image.shape[0])  # twice as fine as it is shown
    K = draw.enlarge_camera(batch.K[i].double().numpy(), zoom)
    image = draw.enlarge(image, zoom)
    joints, valid = batch.joints_cam[i].double().numpy(), batch.joint_valid[i].numpy()
    if batch.has_mano[i] and valid[WRIST]:
        mesh = vertices + joints[WRIST]
        image = draw.draw_outline(image, mesh, mano.faces.numpy(), K, colour=draw.MODEL)
    shown = valid & (joints[:, 2] > 0)
    uv = project(np.where(shown[:, None], joints, [0, 0, 1]), K)
    return draw.draw_skeleton(image, uv, colour=draw.TRUTH, valid=shown)


def _mixing(origins: Origins, rows: list[NDArray[np.int64]], order: str) -> list[str]:
    whole = len(rows[0])
    rows = [some for some in rows if len(some) == whole]  # the last batch may be smaller
    lines = [
        f"{len(rows)} batches of {whole}, {order}",
        f"{'distinct in a batch':<20}{'mean':>8}{'by chance':>11}{'in split':>10}",
    ]
    for what, columns in MIXED.items():
        codes = origins.codes(columns)
        found = mixing(codes, [codes[some] for some in rows])
        lines.append(f"{what:<20}{found.mean:>8.1f}{found.expected:>11.1f}{found.in_split:>10,}")
    return lines
