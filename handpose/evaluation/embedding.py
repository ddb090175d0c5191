"""Separation of gestures in feature space: neighbour purity, silhouette, and a t-SNE map.

Both numbers are computed in feature space. The map is for inspection only: it shows clusters of
neighbours; its distances and areas are not meaningful.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ids = NDArray[np.integer[Any]]

NEIGHBOURS = 10
PCA_DIMENSIONS = 50
PERPLEXITY = 30.0
MIN_SAMPLES = 12
"""Fewer samples are projected by PCA instead of t-SNE."""


def standardise(features: Floats) -> Floats:
    """Features with mean 0 and standard deviation 1, constant ones 0: (N, C) -> (N, C)."""
    deviation = features.std(0)
    scaled: Floats = (features - features.mean(0)) / np.where(deviation > 0, deviation, 1)
    return scaled


def neighbour_purity(features: Floats, labels: Ids, subjects: Ids) -> Floats:
    """Fraction of a sample's nearest `NEIGHBOURS` with its label, among other people's samples.

    The own subject is excluded: frames of one person are close for reasons other than the gesture.

    Args:
        features: (N, C).
        labels: (N,).
        subjects: (N,).

    Returns:
        (N,) in [0, 1]; NaN where other people have too few samples.
    """
    from sklearn.neighbors import NearestNeighbors  # here: scikit-learn takes seconds to import

    scaled = standardise(features).astype(np.float64)
    purity = np.full(len(scaled), np.nan)
    for subject in np.unique(subjects):
        own, others = np.flatnonzero(subjects == subject), np.flatnonzero(subjects != subject)
        if len(others) < NEIGHBOURS:
            continue
        search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(scaled[others])
        nearest = others[search.kneighbors(scaled[own], return_distance=False)]
        purity[own] = (labels[nearest] == labels[own, None]).mean(1)
    return purity


def purity_by_chance(labels: Ids) -> float:
    """Expected purity of random neighbours: the sum of squared class frequencies."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float((shares**2).sum())


def silhouette(features: Floats, labels: Ids) -> float:
    """Mean silhouette of the classes, -1 to 1; NaN unless there are two classes and a repeat."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(standardise(features).astype(np.float64), labels))


def maps(features: Mapping[str, Floats], seed: int) -> dict[str, Floats]:
    """t-SNE embeddings (N, 2) of several features (N, C), one Python thread each.

    Each is limited to one OpenMP thread: on busy cores several take ten times as long.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), ThreadPoolExecutor(max(len(features), 1)) as pool:
        running = {name: pool.submit(tsne, found, seed) for name, found in features.items()}
        return {name: run.result() for name, run in running.items()}


def tsne(features: Floats, seed: int) -> Floats:
    """t-SNE embedding: (N, C) -> (N, 2); the first principal components if N is very small."""
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
