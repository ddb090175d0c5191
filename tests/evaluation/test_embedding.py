from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from handpose.evaluation.embedding import (
    maps,
    neighbour_purity,
    purity_by_chance,
    silhouette,
    standardise,
    tsne,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def clusters(rng: np.random.Generator, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels and subjects of 5 classes and 4 people."""
    labels, subjects = rng.integers(0, 5, 200), rng.integers(0, 4, 200)
    features = rng.normal(size=(5, 16))[labels] + spread * rng.normal(size=(200, 16))
    return features, labels, subjects


def test_purity_is_one_for_tight_classes_and_chance_for_noise(rng: np.random.Generator) -> None:
    features, labels, subjects = clusters(rng, 0.01)
    assert neighbour_purity(features, labels, subjects).mean() == 1
    noise = neighbour_purity(rng.normal(size=features.shape), labels, subjects).mean()
    assert noise == pytest.approx(purity_by_chance(labels), abs=0.05)


def test_purity_is_sklearns_nearest_among_other_people(rng: np.random.Generator) -> None:
    features, labels, subjects = clusters(rng, 1.0)
    scaled = standardise(features)
    expected = np.empty(len(labels))
    for k in range(len(labels)):
        others = np.flatnonzero(subjects != subjects[k])
        search = NearestNeighbors(n_neighbors=10).fit(scaled[others])
        nearest = others[search.kneighbors(scaled[[k]], return_distance=False)[0]]
        expected[k] = (labels[nearest] == labels[k]).mean()
    np.testing.assert_allclose(neighbour_purity(features, labels, subjects), expected)


def test_own_frames_do_not_count(rng: np.random.Generator) -> None:
    subjects = rng.integers(0, 4, 200)
    features = np.eye(4)[subjects] * 100 + 0.01 * rng.normal(size=(200, 4))
    one_label_each = subjects.copy()  # perfect within a person, wrong everywhere else
    assert neighbour_purity(features, one_label_each, subjects).max() == 0


def test_one_person_has_no_neighbours(rng: np.random.Generator) -> None:
    features, labels, _ = clusters(rng, 1.0)
    assert np.isnan(neighbour_purity(features, labels, np.zeros(200, int))).all()


def test_silhouette_agrees_with_sklearn(rng: np.random.Generator) -> None:
    features, labels, _ = clusters(rng, 1.0)
    labels[0] = 77  # a class of one sample
    expected = silhouette_score(standardise(features), labels)
    assert silhouette(features, labels) == pytest.approx(expected)


def test_silhouette_of_one_class_is_nan(rng: np.random.Generator) -> None:
    assert np.isnan(silhouette(rng.normal(size=(9, 3)), np.zeros(9, int)))


def test_a_map_keeps_clusters_together_and_depends_on_the_seed_alone(
    rng: np.random.Generator,
) -> None:
    features, labels, subjects = clusters(rng, 0.1)
    embeddings = maps({"a": features, "b": features}, seed=0)
    np.testing.assert_array_equal(embeddings["a"], embeddings["b"])
    assert embeddings["a"].shape == (200, 2)
    assert neighbour_purity(embeddings["a"], labels, subjects).mean() > 0.95


@pytest.mark.parametrize("count", [1, 3])
def test_a_handful_of_samples_still_has_a_map(rng: np.random.Generator, count: int) -> None:
    embedding = tsne(rng.normal(size=(count, 8)), seed=0)
    assert embedding.shape == (count, 2)
    assert np.isfinite(embedding).all()


def test_a_constant_feature_changes_nothing(rng: np.random.Generator) -> None:
    features, labels, subjects = clusters(rng, 1.0)
    more = np.concatenate([features, np.full((200, 1), 7.0)], 1)
    np.testing.assert_array_equal(
        neighbour_purity(more, labels, subjects), neighbour_purity(features, labels, subjects)
    )
