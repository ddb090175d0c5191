"""`handpose export`, from the command line to a file that runs by itself."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from handpose.estimator import HandEstimator
from handpose.hand.mano import Mano
from pipeline.__main__ import main
from pipeline.export import model_export as command
from pipeline.export import onnx_file, web_runtime
from pipeline.export.hand_graph import HandGraph
from pipeline.export.parity import MOST, Examples, measure, outputs_of
from pipeline.export.torchscript_file import write_torchscript
from pipeline.export.web_page import (
    ABOUT,
    FILES,
    FORMER,
    PACKED_BINARY,
    PACKED_MODEL,
    planes,
    size_line,
)
from pipeline.export.web_runtime import BINARY, SCRIPT
from tests.pipeline.export.small_model import pictures, small_predictor, write_small_model

ROOT = Path(__file__).parents[3]
Exported = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, mano: Mano) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_small_model(folder, mano, view_heads=True, second_look=True)
    return folder


@pytest.fixture(scope="module")
def licensed(tmp_path_factory: pytest.TempPathFactory, stand_in: Path) -> Path:
    """A folder with a hand model that does not say that it is ours."""
    folder = tmp_path_factory.mktemp("licensed")
    with np.load(stand_in / "MANO_RIGHT.npz") as arrays:
        np.savez(folder / "MANO_RIGHT.npz", **{k: arrays[k] for k in arrays if k != "model_name"})
    return folder


@pytest.fixture(scope="module")
def exported(
    model: Path, stand_in: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Exported]:
    """Files by precision, with the mesh, and their descriptions."""
    folder = tmp_path_factory.mktemp("exported")

    def make(precision: str) -> Exported:
        path = folder / f"{precision}.onnx"
        if not path.is_file():
            words = ["export", str(path), "--format", "onnx", "--precision", precision]
            words += ["--output", "mesh", "--model", str(model), "--mano", str(stand_in)]
            assert main(words) == 0
        return path, described(path)

    return make


def described(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_name(f"{path.name}.json").read_text("utf-8"))
    return found


def unpacked(path: Path) -> bytes:
    """All records of a TorchScript file."""
    with zipfile.ZipFile(path) as records:
        return b"".join(records.read(name) for name in records.namelist())


def test_the_file_says_what_goes_in_and_out(
    exported: Callable[[str], Exported],
) -> None:
    path, about = exported("fp32")
    session = onnxruntime.InferenceSession(path)
    for ports, found in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        assert [(p["name"], p["shape"]) for p in about[ports]] == [(p.name, p.shape) for p in found]
    inside = json.loads(session.get_modelmeta().custom_metadata_map["handpose"])
    assert inside == {key: value for key, value in about.items() if key != "parity"}
    assert {opset.domain for opset in onnx.load(path).opset_import} == {""}, (
        "operators of ONNX alone"
    )
    assert np.shape(about["faces"]) == (1538, 3)


def test_any_number_of_pictures_goes_in_and_each_is_as_alone(
    exported: Callable[[str], Exported], mano: Mano
) -> None:
    path, _ = exported("fp32")
    graph = HandGraph(small_predictor(mano, view_heads=True, second_look=True), "mesh")
    inputs = Examples.of(graph).rows(slice(7)).inputs
    expected, run = outputs_of(graph, inputs), onnx_file.run_onnx(path)
    together = run(inputs)
    alone = [run({"image": inputs["image"][k : k + 1]}) for k in range(7)]
    for name, array in expected.items():
        np.testing.assert_allclose(together[name], array, atol=1e-3, err_msg=name)
        np.testing.assert_allclose(
            np.concatenate([one[name] for one in alone]), array, atol=1e-3, err_msg=name
        )


def test_smaller_files_come_with_their_measured_error(
    exported: Callable[[str], Exported],
) -> None:
    files = {precision: exported(precision) for precision in ("fp32", "fp16", "int8")}
    size = {name: path.stat().st_size for name, (path, _) in files.items()}
    assert size["int8"] < 0.7 * size["fp16"] and size["fp16"] < 0.7 * size["fp32"]
    apart = {name: about["parity"]["joints_mm_mean"] for name, (_, about) in files.items()}
    assert apart["fp32"] < 1000 * MOST["m"] < apart["int8"]
    assert apart["fp16"] < apart["int8"]
    for _, about in files.values():
        torch_mm, file_mm = about["parity"]["error_mm_torch_and_file"]
        assert abs(file_mm - torch_mm) <= about["parity"]["joints_mm_largest"]


def test_the_snippet_of_the_docs_gives_the_estimators_hand_without_torch(
    exported: Callable[[str], Exported], model: Path, stand_in: Path, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text("utf-8")
    snippet = page.split("```python\n")[1].split("```")[0]
    path, about = exported("fp32")
    (tmp_path / "hand.onnx").write_bytes(path.read_bytes())
    (tmp_path / "hand.onnx.json").write_text(json.dumps(about), "utf-8")
    photo = pictures(1, 320)[0, :240]
    cv2.imwrite(str(tmp_path / "photo.jpg"), photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    program = (
        f"import sys; sys.modules['torch'] = None\n{snippet}\n"
        "np.savez('found.npz', joints=camera_joints, uv=uv, K=K, box=[x, y, w, h])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    estimate = HandEstimator.load(model, mano=stand_in)
    hand = estimate(tmp_path / "photo.jpg", found["box"].tolist(), K=found["K"])
    np.testing.assert_allclose(found["uv"], hand.joints_px, atol=0.5)
    np.testing.assert_allclose(found["joints"], hand.joints, atol=2e-3)
    other = estimate(tmp_path / "photo.jpg", found["box"].tolist())
    assert np.abs(other.joints - hand.joints).max() > 5e-3, "the frames differ"


def test_torchscript_runs_any_number_of_pictures(
    model: Path, stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hand.pt"
    words = ["export", str(path), "--format", "torchscript", "--model", str(model)]
    assert main([*words, "--mano", str(stand_in)]) == 0
    assert "batches of 1 and 5: joints differ from torch by 0.0" in capsys.readouterr().out
    assert str(Path(__file__).parents[3]).encode() not in unpacked(path), "paths of this machine"
    inside = {"handpose": ""}
    torch.jit.load(str(path), _extra_files=inside)  # type: ignore[no-untyped-call]
    about = described(path)
    assert json.loads(inside["handpose"])["outputs"] == about["outputs"]


def test_a_file_that_differs_is_not_written(
    model: Path,
    stand_in: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As if the runtime had a fault: joints come out 0.2 mm off."""

    def off(graph: HandGraph, run: Any, examples: Examples) -> Any:
        def wrong(inputs: Any) -> dict[str, Any]:
            found = run(inputs)
            return {**found, "joints": found["joints"] + np.float32(2e-4)}

        return measure(graph, wrong, examples)

    monkeypatch.setattr(command, "measure", off)
    path = tmp_path / "hand.pt"
    words = ["export", str(path), "--format", "torchscript", "--model", str(model)]
    assert main([*words, "--mano", str(stand_in)]) == 2
    assert "not written, since it would differ from the network: joints by 0.0002 m" in (
        capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


def test_a_page_is_a_folder_that_needs_nothing_else(
    model: Path,
    stand_in: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runtime, contents = made_up_runtime(tmp_path, monkeypatch)
    page = tmp_path / "page"
    words = ["export", str(page), "--format", "web", "--output", "mesh", "--runtime", str(runtime)]
    words += ["--model", str(model), "--mano", str(stand_in)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert f"wrote {page} ({size_line(page)}); open it by `handpose view {page}`" in printed
    assert {path.name for path in page.iterdir()} == set(FILES)
    about = json.loads((page / ABOUT).read_text("utf-8"))
    assert [port["name"] for port in about["inputs"]] == ["image", "side"]
    assert about["parity"]["joints_mm_largest"] < 1000 * MOST["m"]
    assert len(about["parents"]) == len(about["colours"]) == len(about["joints"])
    packed = gzip.decompress((page / PACKED_MODEL).read_bytes())
    session = onnxruntime.InferenceSession(joined(packed))
    assert [port.name for port in session.get_outputs()] == [p["name"] for p in about["outputs"]]
    assert (page / SCRIPT).read_bytes() == contents[SCRIPT]
    assert gzip.decompress((page / PACKED_BINARY).read_bytes()) == contents[BINARY]
    assert "Copyright (c) Microsoft" in (page / "LICENCES.txt").read_text("utf-8")

    before = (page / "index.html").read_bytes()
    (page / "index.html").write_text("an older page", "utf-8")
    (page / PACKED_MODEL).rename(page / FORMER[0])
    assert main(words) == 0, "a page is replaced"
    assert (page / "index.html").read_bytes() == before
    (page / "mine.txt").write_text("not of a page", "utf-8")
    assert main(words) == 2
    assert f"{page}: holds mine.txt, which is of no page" in capsys.readouterr().err
    assert (page / "mine.txt").is_file()


def joined(packed: bytes) -> bytes:
    """By the lines that the docs give."""
    text = (ROOT / "docs" / "export.md").read_text("utf-8").split("```python\n")[-1]
    lines = text[text.index("whole =") : text.index('Path("hand')]
    names: dict[str, Any] = {"packed": packed, "np": np}
    exec(lines, names)
    model: bytes = names["model"]
    return model


@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 1000])
def test_planes_are_joined_to_the_same_file(length: int) -> None:
    content = np.random.default_rng(length).integers(0, 256, length).astype(np.uint8).tobytes()
    assert joined(planes(content)) == content


def test_planes_make_weights_smaller() -> None:
    weights = np.random.default_rng(0).normal(0, 0.05, 50_000).astype(np.float32).tobytes()
    assert len(gzip.compress(planes(weights))) < 0.95 * len(gzip.compress(weights))


def made_up_runtime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, bytes]]:
    """An installed npm package with other content, and that content, which is taken for pinned."""
    contents = {name: f"made up: {name}".encode() for name in web_runtime.DIGESTS}
    for name, content in contents.items():
        path = folder / "package" / "dist" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        monkeypatch.setitem(web_runtime.DIGESTS, name, hashlib.sha256(content).hexdigest())
    return folder / "package", contents


def test_a_model_that_needs_a_camera_gets_no_page(
    stand_in: Path,
    mano: Mano,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runtime, _ = made_up_runtime(tmp_path, monkeypatch)
    write_small_model(tmp_path / "rays", mano, view_heads=True, ray_input=True, head=False)
    words = ["export", str(tmp_path / "page"), "--format", "web", "--runtime", str(runtime)]
    words += ["--model", str(tmp_path / "rays"), "--mano", str(stand_in)]
    assert main(words) == 2
    assert "needs the camera's intrinsics, which no browser gives" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_a_licensed_hand_stays_outside(
    model: Path,
    licensed: Path,
    stand_in: Path,
    mano: Mano,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["export", str(tmp_path / "hand.pt"), "--format", "torchscript"]
    words += ["--model", str(model), "--mano", str(licensed)]
    assert main([*words, "--output", "mesh"]) == 2
    assert (
        "MANO may not be passed on, so its mesh is in no exported file" in capsys.readouterr().err
    )
    assert main(words) == 0
    about = described(tmp_path / "hand.pt")
    names = [port["name"] for port in about["outputs"]]
    assert {"joints", "vertices"}.isdisjoint(names) and {"joints_px", "betas"} <= set(names)
    assert "none: the model's hand is MANO" in about["hand_model"]
    template = mano.layer.v_template.numpy().tobytes()
    assert template not in unpacked(tmp_path / "hand.pt")
    assert main([*words[:-1], str(stand_in)]) == 0
    assert template in unpacked(tmp_path / "hand.pt"), "the stand-in's may be inside, and is found"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hand.pt", "--format", "torchscript", "--precision", "int8"], "is for --format onnx"),
        (["hand.onnx", "--format", "onnx", "--runtime", "x.tgz"], "--runtime is for --format web"),
        (["page", "--format", "web"], "run `npm pack onnxruntime-web@1.30.0`"),
        (["page", "--format", "web", "--runtime", "no.tgz"], "no.tgz: not found; run `npm pack "),
        ([".", "--format", "onnx"], "is a folder; name a file in it"),
        (["hand.pt", "--format", "torchscript", "--mano", "no"], "no/MANO_RIGHT.npz: not found"),
        (
            ["hand.onnx", "--format", "onnx", "--model", "nowhere"],
            "expected a folder with model.json, such as",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format_", ["onnx", "torchscript", "web"])
def test_a_place_that_cannot_be_written_is_reported_before_the_model_is_read(
    format_: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of root no permission says so: the system is asked in its place."""
    words = ["--format", format_, "--model", "not-read"]
    (tmp_path / "file").touch()
    assert main(["export", str(tmp_path / "file" / "hand"), *words]) == 2
    assert f"{tmp_path / 'file'}: is a file, expected a folder" in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    assert main(["export", str(tmp_path / "new" / "hand"), *words]) == 2
    assert f"{tmp_path}: Permission denied; fix its permission" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_torchscript_that_cannot_be_written_is_an_error_of_the_system(
    mano: Mano, tmp_path: Path
) -> None:
    graph = HandGraph(small_predictor(mano), "joints")
    with pytest.raises(IsADirectoryError):
        write_torchscript(graph, tmp_path, {}, Examples.of(graph))


def test_without_the_extra_it_says_how_to_install_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_is_here", lambda package: package != "onnxruntime")
    words = ["export", str(tmp_path / "hand.onnx"), "--format", "onnx", "--model", str(model)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "needs onnxruntime" in error and "pip install -c constraints.txt -e '.[export]'" in error


def test_a_baseline_is_refused(
    tmp_path: Path, mano: Mano, capsys: pytest.CaptureFixture[str]
) -> None:
    write_small_model(tmp_path, mano, head=False)
    record = json.loads((tmp_path / "model.json").read_text("utf-8"))
    record["pose_net"] = {"network": "eanet"}
    (tmp_path / "model.json").write_text(json.dumps(record), "utf-8")
    words = ["export", str(tmp_path / "hand.pt"), "--format", "torchscript"]
    assert main([*words, "--model", str(tmp_path)]) == 2
    assert "eanet, a baseline; only the project's own network" in capsys.readouterr().err
