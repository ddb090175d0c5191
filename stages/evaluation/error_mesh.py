"""Where on the hand a model errs: the mesh coloured by each vertex's mean error."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from handpose.evaluation.plots import DPI
from handpose.evaluation.scores import Scores
from handpose.hand.mano import Mano
from handpose.hand.palm_frame import palm_axes
from stages.evaluation.figures import Chart
from stages.evaluation.summary import MODELS, RUNS

COLOURS = "cividis"
"""Also distinguishable with colour blindness, and as grey."""
STOPS = 9
SIDES = {"palm": False, "back": True}


class ErrorMesh(NamedTuple):
    """A right hand in its mean pose, and the errors of each run's vertices."""

    vertices: NDArray[np.float64]  # (V, 3) m, about their centre
    axes: NDArray[np.float64]  # (3, 3) rows: to the index finger's side, up the fingers, palmwards
    faces: NDArray[np.int64]  # (F, 3)
    errors_mm: Mapping[str, NDArray[Any]]  # by run: (V,)

    @classmethod
    def of(cls, scores: Scores, mano: Mano) -> ErrorMesh | None:
        """Of the scored split; None if no sample of it has a fit."""
        errors = {run: scores.vertex_errors_mm[run] for run in RUNS}
        if not all(np.isfinite(found).all() for found in errors.values()):
            return None
        device = mano.faces.device
        turn, pose, betas = (torch.zeros(1, size, device=device) for size in (3, 45, 10))
        hand = mano.hand(turn, pose, betas, torch.zeros(1, dtype=torch.bool, device=device))
        vertices = hand.vertices[0].double().cpu().numpy()
        axes = palm_axes(hand.joints.double())[0].cpu().numpy()
        return cls(vertices - vertices.mean(0), axes, mano.faces.cpu().numpy(), errors)

    @property
    def range_mm(self) -> tuple[float, float]:
        """The lowest and highest error of all runs: the ends of the colours."""
        values = np.concatenate(list(self.errors_mm.values()))
        return float(values.min()), float(values.max())

    def chart(self) -> Chart:
        """Palm and back of each run; a data row per vertex."""
        low, high = self.range_mm
        figure = Figure((3.0 * 2 * len(RUNS), 3.9), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, 2 * len(RUNS))
        drawn = None
        for k, (run, errors) in enumerate(self.errors_mm.items()):
            for axis, (side, back) in zip(axes[2 * k : 2 * k + 2], SIDES.items(), strict=True):
                drawn = self._triangles(errors, back)
                drawn.set_clim(low, high)
                axis.add_collection(drawn)
                axis.autoscale_view()
                axis.set_aspect("equal")
                axis.axis("off")
                axis.set_title(f"{MODELS[run]}\n{side}", fontsize=9)
        assert drawn is not None
        figure.colorbar(drawn, ax=list(axes), shrink=0.8, label="mean error, wrists together, mm")
        columns = {MODELS[run]: errors for run, errors in self.errors_mm.items()}
        rows = [
            {"vertex": i, **{name: round(float(found[i]), 4) for name, found in columns.items()}}
            for i in range(len(self.vertices))
        ]
        return Chart(figure, rows)

    def _triangles(self, errors: NDArray[Any], back: bool) -> PolyCollection:
        """Triangles seen along the normal of the palm, the far ones first."""
        x, y, depth = self.seen(back).T
        order = np.argsort(depth[self.faces].mean(1))[::-1]
        faces = self.faces[order]
        return PolyCollection(
            list(np.stack([x[faces], -y[faces]], -1)),
            array=errors[faces].mean(1),
            cmap=COLOURS,
            edgecolors="face",
            linewidths=0.3,
        )

    def seen(self, back: bool) -> NDArray[np.float64]:
        """(V, 3) m right, down and away from a viewer who looks at the palm or at the back."""
        x, y, z = self.axes
        seen: NDArray[np.float64] = self.vertices @ np.stack(
            [-x, -y, z] if back else [x, -y, -z], axis=1
        )
        return seen

    def for_browser(self) -> str:
        """JSON of the rotatable mesh: base64 of int16 in 10 um, of uint16 faces and of errors."""
        low, high = self.range_mm
        colours = colormaps[COLOURS](np.linspace(0, 1, STOPS))[:, :3]

        def packed(values: NDArray[Any], kind: str) -> str:
            return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()

        content = {
            "vertices": packed(np.round(self.seen(back=False) * 1e5), "<i2"),
            "faces": packed(self.faces, "<u2"),
            "errors": {
                MODELS[run]: packed(np.round(found * 100), "<u2")
                for run, found in self.errors_mm.items()
            },
            "range_mm": [round(low, 2), round(high, 2)],
            "colours": np.round(255 * colours).astype(int).tolist(),
        }
        return json.dumps(content)
