"""How well features tell gestures apart: two numbers, and a map to look at.

The numbers are taken in feature space. The map (t-SNE) is for the eye: it shows clusters of
neighbours, while its distances and areas mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Floats = NDArray[np.floating[Any]]
Ids = NDArray[np.integer[Any]]

NEIGHBOURS = 10
PCA_DIMENSIONS = 50
PERPLEXITY = 30.0
BLOCK = 1024
"""Samples whose distances are held at a time."""
MIN_SAMPLES = 12
"""Fewer samples make neither a map nor neighbours."""


def standardise(features: Floats) -> Floats:
    """Each feature with mean 0 and deviation 1; constant ones 0: (N, C) -> (N, C)."""
    deviation = features.std(0)
    scaled: Floats = (features - features.mean(0)) / np.where(deviation > 0, deviation, 1)
    return scaled


def neighbour_purity(
    features: Floats, labels: Ids, subjects: Ids, neighbours: int = NEIGHBOURS
) -> Floats:
    """Share of a sample's nearest neighbours that have its label, among other people's samples.

    The own subject is left out: frames of one person are close for reasons other than gesture.

    Args:
        features: (N, C).
        labels: (N,).
        subjects: (N,).
        neighbours: how many to look at.

    Returns:
        (N,) in [0, 1]; NaN where other people have too few samples.
    """
    scaled = standardise(features)
    purity = np.full(len(scaled), np.nan)
    for subject in np.unique(subjects):
        own, others = np.flatnonzero(subjects == subject), np.flatnonzero(subjects != subject)
        if len(others) < neighbours:
            continue
        # |a - b|^2 without |a|^2, which does not change an order: (own, others)
        apart = (scaled[others] ** 2).sum(1) - 2 * scaled[own] @ scaled[others].T
        nearest = others[np.argpartition(apart, neighbours - 1, axis=1)[:, :neighbours]]
        purity[own] = (labels[nearest] == labels[own, None]).mean(1)
    return purity


def purity_by_chance(labels: Ids) -> float:
    """The purity of neighbours drawn at random: the sum of squared class shares."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float((shares**2).sum())


def silhouette(features: Floats, labels: Ids) -> float:
    """Mean silhouette of the classes, -1 to 1; NaN unless there are two classes and a repeat.

    Source: Rousseeuw, Silhouettes: a graphical aid (1987).
    """
    names, member, count = np.unique(labels, return_inverse=True, return_counts=True)
    if not 2 <= len(names) < len(labels):
        return float("nan")
    scaled = standardise(features)
    sums = np.zeros((len(labels), len(names)))  # (N, C) distance to all samples of a class
    for start in range(0, len(labels), BLOCK):
        apart = cdist(scaled[start : start + BLOCK], scaled)  # (block, N)
        sums[start : start + BLOCK] = apart @ np.eye(len(names))[member]
    own = np.arange(len(labels)), member
    inside = sums[own] / np.maximum(count[member] - 1, 1)  # (N,) mean distance within the class
    outside = sums / count
    outside[own] = np.inf
    nearest = outside.min(1)
    value = (nearest - inside) / np.maximum(inside, nearest)
    return float(np.where(count[member] > 1, value, 0).mean())


def maps(features: Mapping[str, Floats], seed: int) -> dict[str, Floats]:
    """t-SNE maps (N, 2) of several features (N, C) of the same samples, side by side in threads.

    Each runs on one thread: OpenMP's threads, when they share busy cores, take ten times as long.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), ThreadPoolExecutor(max(len(features), 1)) as pool:
        running = {name: pool.submit(tsne, found, seed) for name, found in features.items()}
        return {name: run.result() for name, run in running.items()}


def tsne(features: Floats, seed: int) -> Floats:
    """A map of the features: (N, C) -> (N, 2); the first principal components when N is tiny."""
    from sklearn.decomposition import PCA  # here: scikit-learn takes seconds to import
    from sklearn.manifold import TSNE

    scaled = standardise(features)
    if len(scaled) < MIN_SAMPLES:
        u, s, _ = np.linalg.svd(scaled, full_matrices=False)
        flat: Floats = np.pad(u * s, ((0, 0), (0, 2)))[:, :2]
        return flat
    dimensions = min(PCA_DIMENSIONS, *scaled.shape)
    reduced = PCA(dimensions, random_state=seed).fit_transform(scaled)
    perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
    found: Floats = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(
        reduced
    )
    return found
