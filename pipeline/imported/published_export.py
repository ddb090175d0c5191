"""`handpose evaluate export FILE --model CHECKPOINT`: predictions of HaMeR, WiLoR or AnyHand.

They see the photos themselves, around the annotated boxes enlarged as in their demos. Rotations
stay as seen in the crop, as their authors score them: the camera is not turned onto the box.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from handpose.data.crop import Square
from handpose.data.photo import Photo, PhotoError, read_photo
from handpose.evaluation.metrics import distances_mm
from handpose.files import digest
from handpose.hand.mano import FILE, Mano, ManoError
from handpose.hand.skeleton import WRIST
from handpose.imported.predictions_file import writing
from handpose.imported.statement import ANNOTATED, AS_SEEN, CAMERA, OTHER, ImportedError, Statement
from handpose.other_models.crop_hand import CropPlace, PhotoHand, in_photo
from handpose.other_models.photo_crop import CropError, crop, region_of
from handpose.other_models.published import HOW_TO_GET, LICENCES, SUFFIXES, PublishedModel
from handpose.other_models.weights_file import WeightsError
from pipeline.imported.held_out import HeldOut, sample_columns
from pipeline.licence_guard import git_takes, is_free_hand, stage_of
from stages.evaluation.data import EvaluationData
from stages.hand_model import load_hand_model
from stages.params import Params
from stages.running.progress import Progress

Write = Callable[[str], None]

NEEDS_MANO = (
    "these networks predict MANO's parameters. MANO is free for research, but each user has to "
    "download it: see docs/interhand.md, `handpose mano import` and hand.mano in params.yaml. "
    "Licences: " + LICENCES
)


class BoxedPhoto(NamedTuple):
    """A photo and the box of the hand in it."""

    photo: Photo
    box: NDArray[np.float32]  # (4,) x, y, w, h px


def is_checkpoint(path: Path) -> bool:
    """Whether this names a checkpoint, which need not exist, and not the folder of a model."""
    return path.is_file() or (path.suffix in SUFFIXES and not path.is_dir())


@torch.no_grad()
def export_published(
    path: Path,
    split: str,
    checkpoint: Path,
    params: Params,
    device: torch.device,
    *,
    native: bool,
    write: Write,
) -> int:
    """Write a published model's predictions of a split; returns how many.

    Joints, and meshes, are in metres from the camera's centre, left hands as seen; 2D joints are in
    pixels of the photo.

    Args:
        path: of the file, .parquet or .jsonl.
        split: that is evaluated.
        checkpoint: of the model.
        params: of this clone.
        device: of the network.
        native: the model's own joints alone; else meshes, and the data set's joints of them.
        write: takes lines for the user.

    Raises:
        WeightsError: see `PublishedModel.load`.
        ManoError: `hand.mano` is not MANO.
        ImportedError: the file would be published, there is no evaluated data, a photo is missing
            or of another size than annotated, or the model gives no numbers.
    """
    if not checkpoint.is_file():
        raise WeightsError(f"{checkpoint}: not found. {HOW_TO_GET}")
    mano = _load_mano(params)
    if not native:
        _check_place(path)
    data = EvaluationData.open(
        image_px=params.encoder.image_px, canonical=False, batch=params.evaluate.batch
    )
    held_out = HeldOut.open(data, split)
    photos = _photos(held_out, Path(params.data.root))
    model = PublishedModel.load(checkpoint, mano, device=device)
    for word, count in model.left_out.items():
        write(f"{checkpoint}: left out {word}: {count} entries that are no part of the network")
    statement = Statement(
        model=f"{model.name} ({checkpoint.name})",
        split=split,
        unit="m",
        joint_order="handpose",
        joint_definition=OTHER if native else ANNOTATED,
        frame=CAMERA,
        left_hands=AS_SEEN,
        note=f"sha256 {digest(checkpoint)}",
    )
    progress = Progress(f"export {split}", len(held_out), "hands")
    apart = 0.0
    with writing(path, statement) as write_rows:
        for first in range(0, len(held_out), params.evaluate.batch):
            rows = list(range(first, min(first + params.evaluate.batch, len(held_out))))
            found = _look(model, mano, held_out, photos, rows)
            apart += float(_apart_mm(found).sum())
            names = [held_out.keys[k][0] for k in rows]
            write_rows(names, held_out.is_left[rows], _points(found, native))
            progress.step(len(rows))
    write(
        f"the model's own joints lie {apart / len(held_out):.1f} mm from the data set's joints of "
        f"its meshes, wrists together; written: {'the former' if native else 'the latter'}"
    )
    return len(held_out)


def _load_mano(params: Params) -> Mano:
    """The user's own MANO, with the data set's joints."""
    folder = Path(params.hand.mano)
    if not (folder / FILE).is_file() or is_free_hand(folder / FILE):
        what = "is a free hand and not MANO" if (folder / FILE).is_file() else "not found"
        raise ManoError(f"{folder / FILE}: {what}, but {NEEDS_MANO}")
    return load_hand_model(params.hand, params.data)


def _check_place(path: Path) -> None:
    """Refuse a file of MANO's meshes where it would be passed on."""
    stage = stage_of(path.parent)
    inside = path.resolve().is_relative_to(Path.cwd().resolve()) and Path(".git").exists()
    if stage or (inside and git_takes(path)):
        whom = f"dvc push would send what stage {stage} writes" if stage else "git would commit it"
        raise ImportedError(
            f"{path}: meshes of the licensed MANO model may not be passed on, and {whom}; name a "
            "file in work/, or outside of the clone"
        )


def _photos(held_out: HeldOut, root: Path) -> list[BoxedPhoto]:
    """The photos of all samples, in their order."""
    table = sample_columns(held_out.split, ["sample_id", "bbox", "width", "height"])
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    found = []
    for (image, _), number in zip(
        held_out.keys, held_out.fields["sample_id"].tolist(), strict=True
    ):
        row = rows[number]
        photo = Photo(root / image, row["width"], row["height"])
        found.append(BoxedPhoto(photo, np.array(row["bbox"], np.float32)))
    return found


def _look(
    model: PublishedModel,
    mano: Mano,
    held_out: HeldOut,
    photos: list[BoxedPhoto],
    rows: list[int],
) -> PhotoHand:
    """The hands of these samples, on the CPU."""
    crops, regions = [], []
    for k in rows:
        region, image = _cut(photos[k], is_left=bool(held_out.is_left[k]))
        regions.append(region)
        crops.append(image)
    device = next(model.net.parameters()).device
    place = CropPlace(
        middle=torch.tensor([[region.x, region.y] for region in regions], device=device),
        side=torch.tensor([region.side for region in regions], device=device),
        is_left=torch.from_numpy(held_out.is_left[rows]).to(device),
        K=torch.from_numpy(held_out.K_photo[rows]).float().to(device),
    )
    hands = in_photo(model(torch.from_numpy(np.stack(crops)).to(device)), mano, place)
    found = PhotoHand(*(tensor.cpu() for tensor in hands))
    for name, tensor in found._asdict().items():
        bad = (~tensor.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
        if bad:
            raise ImportedError(
                f"{photos[rows[bad[0]]].photo.path}: the model's {name} hold a value that is not a "
                "finite number: is its checkpoint whole?"
            )
    return found


def _cut(sample: BoxedPhoto, *, is_left: bool) -> tuple[Square, Any]:
    """The region of a photo, and its crop."""
    photo = sample.photo
    try:
        image = read_photo(photo)
        region = region_of(sample.box, photo.width, photo.height)
    except PhotoError as error:
        raise ImportedError(
            f"{error.detail}. These networks see the photos of data.root, with boxes in pixels of "
            "them as they were ingested"
        ) from None
    except CropError as error:
        raise ImportedError(f"{photo.path}: {error}") from None
    return region, crop(image, region, is_left=is_left)


def _points(found: PhotoHand, native: bool) -> dict[str, NDArray[np.float32]]:
    """Columns of the file."""
    away = found.translation[:, None]
    if native:
        points = {"joints": found.own_joints + away, "joints_2d": found.own_joints_px}
    else:
        points = {
            "joints": found.joints + away,
            "vertices": found.vertices + away,
            "joints_2d": found.joints_px,
        }
    return {name: np.asarray(values.numpy()) for name, values in points.items()}


def _apart_mm(found: PhotoHand) -> torch.Tensor:
    """Mean distance of both kinds of joints, wrists together: (B,)."""
    kinds = (found.joints, found.own_joints)
    mesh, own = (joints - joints[:, [WRIST]] for joints in kinds)
    return distances_mm(mesh, own).mean(-1)
