"""`handpose fit`, from the command line to its file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from handpose.fitting.hand_fit import HandFits
from handpose.fitting.joint_order import ORDERS
from handpose.hand.camera import project
from handpose.hand.mano import Mano
from pipeline.__main__ import main
from pipeline.fit_hands import fit_hands as command
from pipeline.fit_hands.fits_file import SCHEMA
from tests.fitting.hands_at_random import KnownHands, known_hands, posed_points

N = 8
K = torch.tensor([[900.0, 0, 256], [0, 910, 167], [0, 0, 1]])


class Command:
    """`handpose fit` in a folder of its own, in which the files of docs/fit.md lie."""

    def __init__(self, folder: Path, stand_in: Path, mano: Mano) -> None:
        self.folder, self.out, self._stand_in = folder, folder / "out", stand_in
        self.hands: KnownHands = known_hands(mano, N)
        self._mano = mano

    def __call__(self, words: str) -> int:
        return main(["fit", *words.split(), "--mano", str(self._stand_in), "--out", str(self.out)])

    def written(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.out / "fits.json").read_text("utf-8"))
        return record

    def joints(self) -> torch.Tensor:
        """Of what was written, posed anew."""
        hands = self.written()["hands"]
        keys = ("global_orient", "hand_pose", "betas", "transl_m")
        found = [torch.tensor([hand[key] for hand in hands]).flatten(1) for key in keys]
        is_left = torch.tensor([hand["is_left"] for hand in hands])
        return posed_points(self._mano, HandFits(*found, *[found[0]] * 5), is_left)[1]


@pytest.fixture
def fit(tmp_path: Path, stand_in: Path, mano: Mano, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    command = Command(tmp_path, stand_in, mano)
    hands = command.hands
    np.savez("hands.npz", points=hands.joints.numpy(), is_left=hands.is_left.numpy())
    theirs = np.argsort(ORDERS["interhand"])
    right = ~hands.is_left
    np.save("joints.npy", 1000 * hands.joints[right].numpy()[:, theirs])
    np.save("meshes.npy", hands.vertices[~right].numpy())
    uv = project(hands.joints[right][:2], K)
    Path("clip.json").write_text(json.dumps(uv.tolist()), "utf-8")
    return command


def test_joints_of_both_sides(fit: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Docs: handpose fit hands.npz."""
    assert fit("hands.npz") == 0
    record = fit.written()
    assert record["schema"] == SCHEMA
    assert (record["points"], record["order"], record["track"]) == ("joints", "handpose", False)
    distance = (fit.joints() - fit.hands.joints).norm(dim=-1)
    assert float(distance.max()) < 1e-3 and float(distance.mean()) < 3e-4
    residual = torch.tensor([hand["residual_mm"] for hand in record["hands"]])
    torch.testing.assert_close(residual, 1000 * distance.mean(1), atol=5e-3, rtol=0)
    assert "index_3 twist" in record["undetermined"]
    assert "index_2 bend" not in record["undetermined"]
    out = capsys.readouterr().out
    assert "hands/s" in out and "not determined by the points" in out
    assert not list(fit.out.glob(".*"))


def test_joints_of_another_order_in_millimetres(fit: Command) -> None:
    """Docs: handpose fit joints.npy --order interhand --unit mm --side right."""
    assert fit("joints.npy --order interhand --unit mm --side right") == 0
    record = fit.written()
    assert record["fingertips"] == "interhand"  # not these hands' own: millimetres are left
    assert np.mean([hand["residual_mm"] for hand in record["hands"]]) < 1


def test_meshes_of_left_hands_as_npz(fit: Command) -> None:
    """Docs: handpose fit meshes.npy --side left --npz."""
    assert fit("meshes.npy --side left --npz") == 0
    with np.load(fit.out / "fits.npz") as file:
        assert json.loads(str(file["about"]))["points"] == "vertices"
        assert file["residual_mm"].max() < 0.5 and file["is_left"].all()
        assert file["hand_pose"].shape == (N // 2, 15, 3)


def test_a_track_in_pixels(fit: Command) -> None:
    """Docs: handpose fit clip.json --intrinsics 900,910,256,167 --track."""
    assert fit("clip.json --intrinsics 900,910,256,167 --track") == 0
    record = fit.written()
    one, other = (hand["betas"] for hand in record["hands"])
    np.testing.assert_allclose(one, other, atol=2e-3)
    assert all(hand["residual_px"] < 2 for hand in record["hands"])
    assert "betas 0" in record["undetermined"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("joints.npy --order interhand", "give --unit mm"),
        ("joints.npy --unit mm", "order interhand would fit"),
        ("meshes.npy", "the other side?"),
        ("clip.json", "give --intrinsics"),
        ("clip.json --intrinsics 0,1,2,3", "fx and fy must be above 0"),
        ("hands.npz --intrinsics=", "expected four numbers, fx,fy,cx,cy"),
        ("none.npy", "not found"),
        ("hands.npz --noise inf", "Invalid value for '--noise': Input should be less"),
        ("hands.npz --noise nan", "Invalid value for '--noise'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    fit: Command, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert fit(words) == 2
    assert message in capsys.readouterr().err
    assert not fit.out.exists()


def test_an_order_that_does_not_fit_either_is_no_advice(
    fit: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The residuals of hands in an order of nobody's, with a misplaced thumb, say."""
    residuals = {("handpose", False): 0.030, ("interhand", True): 0.011}

    def fitted(_: Any, points: Any, order: str) -> Any:
        swapped = bool((points.is_left != fit.hands.is_left).all())
        return SimpleNamespace(residual=torch.tensor(residuals.get((order, swapped), 0.025)))

    monkeypatch.setattr(command, "_fit", fitted)
    assert fit("hands.npz") == 2
    message = capsys.readouterr().err
    assert "no hand comes closer to the points than 30 mm, and no known order fits" in message
    assert "interhand on the other side leaves 11 mm" in message and "would fit" not in message
    residuals["interhand", True] = 0.004
    assert fit("hands.npz") == 2
    message = capsys.readouterr().err
    assert "order interhand and the other side?" in message and "would fit with 4 mm" in message


def test_an_output_that_cannot_be_is_found_before_the_hands_are_fitted(
    fit: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "HandFitter", None)
    fit.out.touch()
    assert fit("hands.npz") == 2
    assert f"{fit.out}: is a file, expected a folder" in capsys.readouterr().err
    fit.out.unlink()
    monkeypatch.setattr("os.access", lambda path, mode: path != fit.folder)  # as if not of root
    assert fit("hands.npz") == 2
    assert f"{fit.folder}: Permission denied" in capsys.readouterr().err


def test_meshes_need_manos_vertices_and_joints_do_not(
    fit: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mano", "anny", "anny"]) == 0
    assert main(["fit", "meshes.npy", "--mano", "anny", "--out", "out"]) == 2
    message = capsys.readouterr().err
    assert "anny: has 1609 vertices, but meshes.npy has MANO's 778" in message
    assert "name the folder of MANO by --mano, or fit its joints" in message
    assert not fit.out.exists()
    assert main(["fit", "hands.npz", "--mano", "anny", "--out", "out"]) == 0
    assert len(fit.written()["hands"]) == N
