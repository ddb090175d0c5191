"""Fits of the hand model to joints: time and accuracy, beside a plain forward of the model.

    python -m bench.fit            # 2,048 hands
    python -m bench.fit 8192

The forward is what any fit must do at least once; the target is 10,000 hands/s on two cores, so
200 us of one core. Hands are of random shapes, in mixtures of two gestures.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from bench.measure import cpu, medians, one_thread, table
from handpose.fitting.hand_fit import CHUNK, HandFits, HandFitter
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.synthetic.articulation import Articulation, read_gesture_poses
from handpose.synthetic.stand_in import build

ROUNDS = 3
FEW, FEWER = 4, 32
"""Meshes and images are so many times fewer."""

K = torch.tensor([[1260.0, 0, 256], [0, 1260, 167], [0, 0, 1]])


def main() -> None:
    """Print time per hand and what came back."""
    one_thread()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    mano = Mano(build())
    fitter = HandFitter(mano)
    root, pose, betas, is_left = hands(mano, count)
    with torch.no_grad():
        vertices, joints = (
            mirror_points(points, is_left) + torch.tensor([0.0, 0.0, 0.7])
            for points in mano(axis_angle_to_matrix(root), mano.rotations(pose), betas)
        )
    noisy = joints + 5e-3 * torch.randn(joints.shape, generator=torch.Generator().manual_seed(0))
    uv, cameras = project(joints, K), K.expand(count, 3, 3)
    few, fewer = slice(count // FEW), slice(count // FEWER)
    kept: dict[str, HandFits] = {}

    def forward() -> int:
        for first in range(0, count, CHUNK):
            rows = slice(first, first + CHUNK)
            mano.hand(root[rows], pose[rows], betas[rows], is_left[rows])
        return count

    def keep(name: str, fits: HandFits) -> int:
        kept[name] = fits
        return len(fits.betas)

    seconds = medians(
        {
            "forward of the hand model": forward,
            "21 joints": lambda: keep("21 joints", fitter.to_joints(joints, is_left)),
            "21 joints, 5 mm of noise": lambda: keep(
                "21 joints, 5 mm of noise", HandFitter(mano, 5e-3).to_joints(noisy, is_left)
            ),
            "mesh": lambda: keep("mesh", fitter.to_vertices(vertices[few], is_left[few])),
            "21 joints in pixels": lambda: keep(
                "21 joints in pixels",
                fitter.to_pixels(uv[fewer], cameras[fewer], is_left[fewer]),
            ),
        },
        ROUNDS,
        cpu,
    )
    print(table(seconds, ["forward of the hand model"]))
    for name, fits in kept.items():
        unit, factor = ("px", 1) if "pixels" in name else ("mm", 1000)
        mean = factor * fits.residual.mean(1)
        print(
            f"{name}: residual {mean.mean():.3f} {unit}, 99 % of hands below "
            f"{mean.quantile(0.99):.3f} {unit}"
        )


def hands(mano: Mano, count: int) -> tuple[torch.Tensor, ...]:
    """global_orient (N, 3), hand_pose (N, 45), betas (N, 10), is_left (N,)."""
    rng = np.random.default_rng(0)
    angles = np.stack([row.angles for row in read_gesture_poses()])
    one, other = angles[rng.integers(0, len(angles), (2, count))]
    share = rng.uniform(size=(count, 1))
    articulation = Articulation((mano.J_regressor @ mano.layer.v_template).numpy())
    full = articulation.pose(share * one + (1 - share) * other).reshape(count, 45)
    return (
        torch.from_numpy(rng.normal(0, 1.5, (count, 3))).float(),
        torch.from_numpy(full).float() - mano.hands_mean,
        torch.from_numpy(rng.normal(0, 1, (count, 10))).float(),
        torch.arange(count) % 2 == 1,
    )


if __name__ == "__main__":
    main()
