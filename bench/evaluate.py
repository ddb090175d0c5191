"""What scoring half a million hands costs: `python -m bench.evaluate [SAMPLES] [--rounds N]`.

The metrics of the evaluation on random joints, in chunks, against a loop over samples as one would
write it first (timed on a part and scaled; CPU time of one thread): one SVD in numpy for each
sample, and a mean over joints one by one. Both must agree. The floors are the unavoidable parts:
numpy's SVD of all 3 x 3 matrices, and one subtraction and one root over all joints.

Then all that the evaluation computes of one predicted mesh, every protocol; its floor is what the
F-score needs, a k-d tree of each mesh, queried for every vertex of the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from bench.measure import cpu, medians, one_thread, peak_mb, table
from handpose.evaluation.metrics import pa_mpjpe_mm, wrist_mpjpe_mm
from handpose.evaluation.protocols import Prediction, Truth, score
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from handpose.synthetic.stand_in import build

JOINTS = 21
CHUNK = 2048
LOOP_SAMPLES = 5000
MESHES = 512
AGREE_MM = 1e-3

Floats = NDArray[np.float32]


def hands(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random joints (count, 21, 3) m: predicted and true, centimetres apart."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randn(count, JOINTS, 3, generator=rng).mul_(0.05)  # in place: memory is measured
    points = torch.randn(count, JOINTS, 3, generator=rng).mul_(0.01).add_(truth)
    return points, truth


def procrustes_loop(points: Floats, truth: Floats) -> list[float]:
    """PA-MPJPE of each sample, mm; one SVD at a time."""
    return [_procrustes(p, t) for p, t in zip(points, truth, strict=True)]


def _procrustes(points: Floats, truth: Floats) -> float:
    mean, true_mean = points.mean(0), truth.mean(0)
    centred, true_centred = points - mean, truth - true_mean
    u, stretch, vh = np.linalg.svd(centred.T @ true_centred)
    rotation = vh.T @ u.T
    if np.linalg.det(rotation) < 0:
        vh[2] *= -1
        stretch[2] *= -1
        rotation = vh.T @ u.T
    scale = stretch.sum() / (centred**2).sum()
    aligned = scale * centred @ rotation.T + true_mean
    return float(1000 * np.sqrt(((aligned - truth) ** 2).sum(1)).mean())


def mpjpe_loop(points: Floats, truth: Floats) -> list[float]:
    """Wrist-relative MPJPE of each sample, mm; joint by joint."""
    errors = []
    for p, t in zip(points, truth, strict=True):
        p, t = p - p[0], t - t[0]
        joints = [np.sqrt(((p[j] - t[j]) ** 2).sum()) for j in range(1, JOINTS)]
        errors.append(float(1000 * np.mean(joints)))
    return errors


def chunked(metric: Callable[[Tensor, Tensor], Tensor], points: Tensor, truth: Tensor) -> Tensor:
    """The metric of all samples (N,), a few thousand at a time."""
    parts = zip(torch.split(points, CHUNK), torch.split(truth, CHUNK), strict=True)
    return torch.cat([metric(p, t) for p, t in parts])


def mpjpe(points: Tensor, truth: Tensor) -> Tensor:
    """As `protocols.score` calls it."""
    return wrist_mpjpe_mm(points, truth, torch.ones(points.shape[:2], dtype=torch.bool))


def svd_alone(points: Tensor, truth: Tensor) -> int:
    """The SVD of one given matrix per sample."""
    for part in torch.split(truth[:, :3], CHUNK):
        np.linalg.svd(part.numpy())
    return len(points)


def distance_alone(points: Tensor, truth: Tensor) -> int:
    """Distances of all joints and their means."""
    for p, t in zip(torch.split(points, CHUNK), torch.split(truth, CHUNK), strict=True):
        torch.linalg.vector_norm(p - t, dim=-1).mean(-1)
    return len(points)


def compare(
    name: str,
    loop: Callable[[Floats, Floats], list[float]],
    metric: Callable[[Tensor, Tensor], Tensor],
    floor: Callable[[Tensor, Tensor], int],
    hands_: tuple[Tensor, Tensor],
    rounds: int,
) -> None:
    few = [part[:LOOP_SAMPLES].numpy() for part in hands_]
    apart = np.abs(np.array(loop(*few)) - metric(*(torch.from_numpy(p) for p in few)).numpy()).max()
    ways: dict[str, Callable[[], int]] = {
        f"{name}, loop": lambda: len(loop(*few)),
        f"{name}, ours": lambda: len(chunked(metric, *hands_)),
        f"{name}, floor": lambda: floor(*hands_),
    }
    seconds = medians(ways, rounds, cpu)
    print(table(seconds, [f"{name}, loop", f"{name}, floor"]))
    (slow, fast, _), count = seconds.values(), len(hands_[0])
    print(
        f"{slow / fast:.1f} times faster: {count * fast:.2f} s for {count}, differ {apart:.1e} mm"
    )
    if not apart < AGREE_MM:
        raise SystemExit(f"{name}: the loop and ours differ by {apart} mm")


def meshes() -> tuple[Prediction, Truth, Mano]:
    """Random hands, and predictions whose vertices are 5 mm off."""
    mano = Mano(build())
    rng = torch.Generator().manual_seed(0)
    pose, root = (0.3 * torch.randn(MESHES, n, generator=rng) for n in (45, 3))
    nobody = torch.zeros(MESHES, dtype=torch.bool)
    hand = mano.hand(root, pose, torch.zeros(MESHES, 10), nobody)
    K = torch.tensor([[300.0, 0, 48], [0, 300, 48], [0, 0, 1]]).expand(MESHES, 3, 3)
    joints = hand.joints + torch.tensor([0, 0, 0.6])
    valid = torch.ones(MESHES, JOINTS, dtype=torch.bool)
    truth = Truth(joints, valid, project(joints, K), K, hand.joints, hand.vertices)
    vertices = hand.vertices + 0.005 * torch.randn(MESHES, 778, 3, generator=rng)
    return Prediction(mano.joints_from(vertices), vertices), truth, mano


def all_protocols(rounds: int) -> None:
    """`protocols.score` of meshes, and the floor of its F-score."""
    prediction, truth, mano = meshes()
    vertices = prediction.vertices
    assert vertices is not None
    clouds = [(a.numpy(), b.numpy()) for a, b in zip(vertices, truth.fit_vertices, strict=True)]

    def floor() -> int:
        for a, b in clouds:
            cKDTree(a).query(b), cKDTree(b).query(a)
        return MESHES

    def ours() -> int:
        score(prediction, truth, mano)
        return MESHES

    ways = {"all protocols, ours": ours, "all protocols, floor": floor}
    print(table(medians(ways, rounds, cpu), ["all protocols, floor"]))


def main() -> None:
    parser = argparse.ArgumentParser(description="What scoring half a million hands costs.")
    parser.add_argument("samples", nargs="?", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    one_thread()
    data = hands(options.samples)
    before = peak_mb()
    compare("PA-MPJPE", procrustes_loop, pa_mpjpe_mm, svd_alone, data, options.rounds)
    compare("MPJPE", mpjpe_loop, mpjpe, distance_alone, data, options.rounds)
    all_protocols(options.rounds)
    print(f"peak memory {peak_mb():.0f} MB, of which {peak_mb() - before:.0f} MB beyond the joints")


if __name__ == "__main__":
    main()
