"""The refined surface: closed at the wrist, true to the hand model, the same for both hands."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.hand.mano import Mano
from handpose.render.surface import CAP_HEIGHT_M, FOREARM_LENGTH_M, Mesh, Surface, join

MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def rest(mano: Mano) -> NDArray[np.float32]:
    return np.asarray(mano.layer.v_template, np.float32)


@pytest.fixture(scope="module")
def surface(mano: Mano, rest: NDArray[np.float32]) -> Surface:
    return Surface(mano.faces.numpy(), rest)


def open_edges(faces: NDArray[np.int64]) -> set[tuple[int, int]]:
    sides = [(int(f[k]), int(f[(k + 1) % 3])) for f in faces for k in range(3)]
    directed = set(sides)
    assert len(directed) == len(sides)  # no edge runs the same way twice
    return {(a, b) for a, b in directed if (b, a) not in directed}


def test_only_the_elbow_is_open(surface: Surface) -> None:
    edges = open_edges(surface.faces)
    assert len(edges) == len(surface.loop) == 32
    assert all(surface.is_forearm[a] for a, _ in edges)


def test_one_subdivision_has_a_vertex_per_vertex_and_edge(surface: Surface, mano: Mano) -> None:
    assert (~surface.is_forearm).sum() == 778 + 2315
    hand = (surface.faces < 778 + 2315).all(1)
    assert hand.sum() == 4 * len(mano.faces)


def test_refinement_hardly_moves_the_model(surface: Surface, rest: NDArray[np.float32]) -> None:
    moved = np.linalg.norm(surface.refine(rest)[:778] - rest, axis=1)
    assert moved.mean() < 0.0003
    assert moved.max() < 0.002


def test_refinement_keeps_planes(surface: Surface, rest: NDArray[np.float32]) -> None:
    flat = rest * [1, 0, 1]
    np.testing.assert_allclose(surface.refine(flat)[:, 1], 0, atol=1e-7)


def test_normals_point_outwards_for_both_hands(surface: Surface, rest: NDArray[np.float32]) -> None:
    for mesh in (surface.mesh(rest), surface.mesh(rest * MIRROR, is_left=True)):
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
        a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
        volume = np.einsum("fk,fk->f", a, np.cross(b, c)).sum() / 6
        assert volume > 1e-4  # m^3: positive when faces look outwards


def test_left_hand_is_the_mirror_image(surface: Surface, rest: NDArray[np.float32]) -> None:
    right, left = surface.mesh(rest), surface.mesh(rest * MIRROR, is_left=True)
    np.testing.assert_allclose(left.vertices, right.vertices * MIRROR, atol=1e-6)
    np.testing.assert_allclose(left.normals, right.normals * MIRROR, atol=1e-4)


def test_forearm_follows_the_given_direction(surface: Surface, rest: NDArray[np.float32]) -> None:
    towards = np.array([0.6, -0.8, 0.0])
    for is_left in (False, True):
        vertices = rest * (MIRROR if is_left else 1)
        mesh = surface.mesh(vertices, is_left, towards)
        arm = mesh.vertices[surface.is_forearm].reshape(-1, len(surface.loop), 3).mean(1)
        end = arm[-1] - arm[-2]
        np.testing.assert_allclose(end / np.linalg.norm(end), towards, atol=1e-3)
        assert np.linalg.norm(arm[-1] - arm[0]) > 0.8 * FOREARM_LENGTH_M


def test_join_keeps_each_mesh(surface: Surface, rest: NDArray[np.float32]) -> None:
    one = surface.mesh(rest)
    two = Mesh(one.vertices + 1, one.normals, one.faces)
    both = join([one, two])
    count = len(one.faces)
    np.testing.assert_array_equal(both.vertices[both.faces[:count]], one.vertices[one.faces])
    np.testing.assert_array_equal(both.vertices[both.faces[count:]], two.vertices[two.faces])


@pytest.fixture(scope="module")
def capped(mano: Mano, rest: NDArray[np.float32]) -> Surface:
    return Surface(mano.faces.numpy(), rest, forearm=False)


def test_without_a_forearm_the_hand_is_the_same_and_ends_at_the_wrist(
    surface: Surface, capped: Surface, rest: NDArray[np.float32]
) -> None:
    whole, short = surface.mesh(rest), capped.mesh(rest)
    hand = ~capped.is_forearm
    np.testing.assert_array_equal(short.vertices[hand], whole.vertices[~surface.is_forearm])
    loop = short.vertices[capped.loop]
    end = short.vertices[capped.is_forearm]
    towards_elbow = whole.vertices[-1] - loop.mean(0)
    towards_elbow /= np.linalg.norm(towards_elbow)
    beyond = (end - loop.mean(0)) @ towards_elbow
    assert beyond.max() < CAP_HEIGHT_M + 0.001
    assert beyond[-len(capped.loop) :].min() > 0.8 * CAP_HEIGHT_M


def test_without_a_forearm_nothing_is_open(capped: Surface, rest: NDArray[np.float32]) -> None:
    edges = open_edges(capped.faces)
    assert len(edges) == len(capped.loop)
    rim = capped.mesh(rest).vertices[sorted({vertex for edge in edges for vertex in edge})]
    assert np.ptp(rim, axis=0).max() < 1e-6  # the last ring is a point


def test_the_end_of_a_hand_is_mirrored_with_it(capped: Surface, rest: NDArray[np.float32]) -> None:
    forearm = np.array([0.6, -0.8, 0.0])  # there is none that it could turn
    right, left = capped.mesh(rest), capped.mesh(rest * MIRROR, True, forearm)
    np.testing.assert_allclose(left.vertices, right.vertices * MIRROR, atol=1e-6)
    a, b, c = (left.vertices[left.faces[:, k]] for k in range(3))
    assert np.einsum("fk,fk->f", a, np.cross(b, c)).sum() > 0
