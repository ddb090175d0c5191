"""`handpose data faults`: annotations that the evidence speaks against, ranked and shown.

The ranking is written as a CSV file, `handpose data exclude` takes rows of it into the list of
exclusions, which `ingest` honours. Nothing is left out by this command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from numpy.typing import NDArray

from handpose.counted import counted
from handpose.evaluation.draw import MODEL, TRUTH, draw_skeleton
from handpose.files import atomic_file
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from pipeline.faults import pose_measures
from pipeline.faults.fault_kinds import KINDS, FaultKind, limit
from pipeline.faults.ingested_hands import Floats, IngestedHands
from pipeline.faults.photo_measures import in_order, measure_photos
from pipeline.faults.ranking import Suspect, exclusion_of, rank, write_ranking
from pipeline.faults.second_hand import released_network
from pipeline.thumbnails import HandPhoto, Thumbnail, thumbnails
from stages.hand_model import load_hand_model
from stages.params import Params
from stages.paths import SAMPLES, WORK
from stages.running.progress import Progress

TEMPLATE = Path(__file__).parent / "faults.html.j2"
RANKING = WORK / "faults.csv"

PICTURE_PX = 144
BEYOND = 6
"""Pictures of annotations that are not proposed any more: is the limit in the right place?"""

WIDER = 1.7
"""How much more a picture shows where something beside the hand is the matter."""

PLAIN = ("second_hand", "dark_photo")
"""Kinds whose pictures carry no joints, which would hide what is to be seen."""


class SuspectTile(NamedTuple):
    """A suspect on the page."""

    suspect: Suspect
    picture: Thumbnail
    where: str


def find_faults(params: Params, *, out: Path, photos: int, top: int) -> list[str]:
    """Measure, rank, write the CSV file and the page; a line for each kind.

    Args:
        params: name the data set and the hand model.
        out: the HTML file.
        photos: to open, at most.
        top: pictures of each kind.

    Raises:
        HandPoseError: there are no samples, no hand model, or no released weights.
    """
    hands = IngestedHands.read(SAMPLES)
    mano = load_hand_model(params.hand, params.data)
    values, lines = measures(hands, params, mano, photos)
    suspects = rank(hands, values)
    write_ranking(RANKING, hands, suspects.values())
    text = _page(hands, suspects, values, Path(params.data.root), mano, top)
    with atomic_file(out) as partial:
        partial.write_text(text, encoding="utf-8")
    return [
        *_table(suspects, values),
        *lines,
        f"wrote {RANKING}, and {out} with pictures; what you agree with: handpose data exclude "
        "KIND, or KIND:1-20 for its first ranks",
    ]


def measures(
    hands: IngestedHands, params: Params, mano: Mano, photos: int
) -> tuple[dict[str, Floats], list[str]]:
    """Each kind's values, and lines on what could not be measured."""
    values = {
        "wrong_fit": pose_measures.fit_distance(hands, mano),
        "wrong_bones": pose_measures.bone_difference(hands),
        "shape_drift": pose_measures.shape_shift(hands, mano),
        "swapped_side": pose_measures.other_side(hands),
        "neutral_end": pose_measures.neutral_share(hands),
        "cut_off": pose_measures.share_outside(hands),
    }
    views, lines = in_order(hands, photos) if photos else np.empty(0, np.int64), list[str]()
    if len(views):
        are_hands = released_network()
        progress = Progress("faults", len(views), "photos")  # its clock starts here
        found = measure_photos(hands, views, Path(params.data.root), are_hands, progress.step)
        values |= {
            name: getattr(found, name) for name in ("second_hand", "dark_photo", "repeated_photo")
        }
        if found.faults:
            what = counted(len(found.faults), "photo")
            lines.append(f"{what} could not be opened; the first: {found.faults[0]}")
    if len(views) < len(hands):
        left = counted(len(hands) - len(views), "photo was", "photos were")
        lines.append(f"{left} not opened (--photos {photos}): nothing is said of them")
    return values, lines


def _table(
    suspects: Mapping[str, Sequence[Suspect]], values: Mapping[str, Floats]
) -> Iterator[str]:
    yield f"{'kind':<15}{'judged':>9}{'proposed':>10}{'limit':>9}{'highest':>9}"
    for kind in KINDS:
        own = values.get(kind.name, np.empty(0))
        known, found = int(np.isfinite(own).sum()), suspects[kind.name]
        proposed = sum(one.proposed for one in found)
        highest = found[0].value_text if found else "-"
        above = f"{limit(kind, own):.{kind.digits}f}"
        yield f"{kind.name:<15}{known:>9,}{proposed:>10,}{above:>9}{highest:>9}"


# --- the page ------------------------------------------------------------------------------------


def _page(
    hands: IngestedHands,
    suspects: Mapping[str, Sequence[Suspect]],
    values: Mapping[str, Floats],
    root: Path,
    mano: Mano,
    top: int,
) -> str:
    shown = [one for kind in KINDS for one in _shown(suspects[kind.name], top)]
    fits = _fit_pixels(hands, shown, mano)

    def paint(picture: NDArray[np.uint8], number: int, A: NDArray[np.float64]) -> NDArray[np.uint8]:
        one = shown[number]
        if one.kind.name in PLAIN:
            return picture
        picture = draw_skeleton(picture, _moved(hands.uv[one.view], A), colour=TRUTH)
        if number in fits:
            picture = draw_skeleton(picture, _moved(fits[number], A), colour=MODEL)
        return picture

    progress = Progress("faults", len(shown), "pictures")
    pictures = thumbnails(
        [[_photo(hands, one)] for one in shown],
        root,
        step=progress.step,
        side=PICTURE_PX,
        paint=paint,
        remedy=f"show fewer: --top (now {top})",
    )
    tiles: dict[str, list[SuspectTile]] = {kind.name: [] for kind in KINDS}
    for one, picture in zip(shown, pictures, strict=True):
        row, person = exclusion_of(hands, one), hands.columns["subject"][one.view]
        camera = "all cameras" if row.camera is None else f"camera {row.camera}"
        where = (
            f"{row.sequence}, {row.split} session {row.session}, frame {row.frame}, {camera}, "
            f"{row.hand} hand, person {person}"
        )
        tiles[one.kind.name].append(SuspectTile(one, picture, where))
    sections = [
        (kind, tiles[kind.name], _proposed(kind, suspects[kind.name]), _judged(kind, values))
        for kind in KINDS
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        sections=sections, counted=counted, ranking=RANKING
    )


def _shown(own: Sequence[Suspect], top: int) -> Sequence[Suspect]:
    """Those with a picture: what is proposed, and some beyond the limit."""
    return own[: min(top, sum(one.proposed for one in own) + BEYOND)]


def _proposed(kind: FaultKind, own: Sequence[Suspect]) -> str:
    proposed = sum(one.proposed for one in own)
    above = f", limit {own[0].limit:.{kind.digits}f}" if own else ""
    return f"{proposed:,} proposed{above}"


def _judged(kind: FaultKind, values: Mapping[str, Floats]) -> str:
    own = values.get(kind.name)
    noun = "hand" if kind.unit == "hand" else "photo"
    return "not judged" if own is None else f"{counted(int(np.isfinite(own).sum()), noun)} judged"


def _photo(hands: IngestedHands, suspect: Suspect) -> HandPhoto:
    """Its hand; with what is around, where that is the matter."""
    view = suspect.view
    image, width, height = (hands.columns[name][view] for name in ("image", "width", "height"))
    x, y, w, h = hands.bbox[view].tolist()
    k = WIDER if suspect.kind.name == "second_hand" else 1.0
    box = (x - (k - 1) * w / 2, y - (k - 1) * h / 2, k * w, k * h)
    return HandPhoto(str(image), int(width), int(height), box)


def _fit_pixels(hands: IngestedHands, shown: Sequence[Suspect], mano: Mano) -> dict[int, Floats]:
    """Pixels of the fit's joints, by the number of the suspect, where its fit is the matter."""
    own = [
        (number, one.at)
        for number, one in enumerate(shown)
        if one.kind.unit == "hand" and hands.has_mano[one.at]
        and one.kind.name in ("wrong_fit", "shape_drift")
    ]  # fmt: skip
    if not own:
        return {}
    numbers, at = (np.array(column) for column in zip(*own, strict=True))
    joints = pose_measures.fitted_joints(hands, at, mano)
    joints = np.where(joints[..., 2:] > 0, joints, np.nan)
    return dict(zip(numbers.tolist(), project(joints, hands.K[at]), strict=True))


def _moved(uv: Floats, A: NDArray[np.float64]) -> Floats:
    return np.asarray(uv @ A[:2, :2].T + A[:2, 2])
