"""`handpose fit`: read points, doubt their order, fit, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from handpose.cores import usable_cores
from handpose.counted import counted
from handpose.files import check_writable
from handpose.fitting.hand_fit import HandFits, HandFitter, one_shape
from handpose.fitting.joint_order import SAME_AS_OURS, better_reading, extent, in_our_order
from handpose.hand.joint_definition import JointDefinition
from handpose.hand.mano import Mano, ManoError
from handpose.synthetic.stand_in import build
from pipeline.fit_hands.fits_file import Format, fit_arrays, undetermined, write_fits
from pipeline.fit_hands.points_file import HandPoints, PointsError
from stages.running.progress import Progress

TIPS = {"interhand": "interhand", "freihand": "freihand"}
"""Whose fingertips an order of joints goes with, where not smplx's."""

DOUBTED = 32
"""Hands of which the order and the side are doubted first."""

DOUBT_M, DOUBT_PX = 5e-4, 1.5
"""Mean residuals from which they are."""

ADVISED = 0.06
"""Mean residual, as a share of the points' extent, above which another reading is no advice: 9 mm
of a hand. Joints with 10 mm of noise are nearer in their own order; a wrong one leaves 20.
"""

Write = Callable[[str], None]


@dataclass(frozen=True)
class FitRequest:
    """What to do with the points."""

    out: Path
    order: str = "handpose"
    track: bool = False
    noise_mm: float = 0.5
    file_format: Format = "json"
    mano: Path | None = None

    def hand_model(self) -> Mano:
        """The model, with the fingertips that the order goes with.

        Raises:
            ManoError: see `Mano.load`.
        """
        joints = JointDefinition(TIPS.get(self.order, "smplx"))
        return Mano(build(), joints) if self.mano is None else Mano.load(self.mano, joints)


def fit_hands(source: Path, points: HandPoints, request: FitRequest, write: Write) -> Path:
    """Fit all hands, write the results and say how well they fit; returns the file's path.

    Raises:
        PointsError: joints in another order, or hands of the other side, would fit.
        ManoError: see `Mano.load`.
        OSError: `request.out` cannot hold the file; this is found before hands are fitted.
    """
    check_writable(request.out)
    torch.set_num_threads(1)  # the fitter has threads of its own
    mano = request.hand_model()
    vertices = len(mano.layer.v_template)
    if points.kind == "vertices" and points.points.shape[1] != vertices:
        raise ManoError(
            f"{request.mano}: has {vertices} vertices, but {source} has MANO's "
            f"{points.points.shape[1]}; name the folder of MANO by --mano, or fit its joints"
        )
    fitter = HandFitter(mano, request.noise_mm / 1000, usable_cores())
    _doubt(source, points.sample(DOUBTED), request.order, fitter)
    started = time.monotonic()
    progress = Progress("fit", len(points), "hands")
    fits = _fit(fitter, points, request.order, report=progress.step)
    record: dict[str, Any] = {
        "source": str(source),
        "points": points.kind,
        "order": None if points.kind == "vertices" else request.order,
        "hand_model": "stand-in" if request.mano is None else str(request.mano),
        "fingertips": mano.joint_definition.tips,
        "frame": "right hand",
        "hand_pose_relative_to_mean": True,
        "noise_mm": request.noise_mm,
        "track": request.track,
    }
    if request.track:
        betas, known = one_shape(fits)
        progress = Progress("fit, one shape", len(points), "hands")
        fits = _fit(fitter, points, request.order, betas, progress.step)
        fits = fits._replace(betas_known=known.expand(len(points), 10))
    seconds = time.monotonic() - started
    record |= {"undetermined": undetermined(fits), "seconds": round(seconds, 3)}
    arrays = fit_arrays(fits, points, mano)
    path = write_fits(request.out, request.file_format, record, arrays)
    write(
        f"{counted(len(points), 'hand')}, {len(points) / max(seconds, 1e-9):,.0f} hands/s; "
        f"residual {_in_words(fits.residual.mean(1), points)}; wrote {path}"
    )
    if record["undetermined"]:
        names = ", ".join(record["undetermined"])
        write(f"not determined by the points, left at the prior: {names}")
    return path


def _fit(
    fitter: HandFitter,
    points: HandPoints,
    order: str,
    betas: Tensor | None = None,
    report: Callable[[int], None] | None = None,
) -> HandFits:
    if points.kind == "vertices":
        return fitter.to_vertices(points.points, points.is_left, betas, report)
    joints = in_our_order(points.points, order)
    if points.K is None:
        return fitter.to_joints(joints, points.is_left, betas, report)
    return fitter.to_pixels(joints, points.K, points.is_left, betas, report)


def _doubt(source: Path, points: HandPoints, order: str, fitter: HandFitter) -> None:
    """Refuse points that another order or the other side would fit.

    Raises:
        PointsError: they would.
    """

    def residual(name: str, swapped: bool) -> float:
        tried = HandPoints(points.kind, points.points, points.is_left ^ swapped, points.K)
        return float(_fit(fitter, tried, name).residual.mean())

    is_pixels = points.kind == "pixels"
    given = None if points.kind == "vertices" else order
    better, swapped = better_reading(residual, given, DOUBT_PX if is_pixels else DOUBT_M)
    if better == given and not swapped:
        return
    name = better or "handpose"

    def mean(name: str, swapped: bool) -> str:
        value = residual(name, swapped)
        return f"{value:.2g} px" if is_pixels else f"{1000 * value:.2g} mm"

    advice = []
    if better != given:
        alike = f" (the same as {', '.join(SAME_AS_OURS[1:])})" if name == "handpose" else ""
        advice.append(f"joints in another order? order {name}{alike}")
    if swapped:
        advice.append("the other side? --side, or is_left of the file, the other way round")
    found = f"{source}: no hand comes closer to the points than {mean(order, False)}"
    if residual(name, swapped) > ADVISED * extent(points.points):
        none = "nor does the other side fit" if given is None else "and no known order fits"
        which = f"{name} on the {'other' if swapped else 'same'} side" if given else "it"
        what = "vertices in MANO's order" if given is None else "joints in an order of --order"
        raise PointsError(
            f"{found}, {none}: {which} leaves {mean(name, swapped)}; expected {what}, of one hand "
            "each, and no other points between them"
        )
    raise PointsError(f"{found}; {' and '.join(advice)} would fit with {mean(name, swapped)}")


def _in_words(residual: Tensor, points: HandPoints) -> str:
    """Residuals (N,) of hands in words."""
    unit, factor = ("px", 1) if points.kind == "pixels" else ("mm", 1000)
    mean, worst = factor * float(residual.mean()), int(residual.argmax())
    return f"{mean:.2g} {unit}, worst {factor * float(residual[worst]):.2g} {unit} (hand {worst})"
