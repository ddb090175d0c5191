"""The exported model in a real browser: pictures, a camera, and nothing that leaves the machine."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from handpose.estimator import HandEstimator, released_folder
from handpose.estimator_input import read_photo
from pipeline.export.hand_graph import HandGraph
from pipeline.export.model_export import ExportRequest, load_graph
from pipeline.export.parity import Examples, outputs_of
from pipeline.export.web_runtime import ARCHIVE, PACKAGE, VERSION
from pipeline.release.examples import read_examples
from tests.end_to_end.browser import Browser, browser
from tests.end_to_end.conftest import Run
from tests.end_to_end.servers import free_port

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.may_skip(because="npm, which fetches the runtime, may be absent or out of reach"),
]

ROOT = Path(__file__).parents[2]
READY = "document.body && ['ready', 'failed'].includes(document.body.dataset.state)"
SEEN = "['hand', 'none', 'failed'].includes(document.body.dataset.state)"
MM = 1000.0
ZOOM, CORNER = 2.6, (130, 50)
"""How a crop of the examples lies in the photo."""


class Photograph(NamedTuple):
    """A photo of 640 x 480 px with one hand, and its box."""

    path: Path
    box: tuple[float, float, float, float]  # x, y, w, h px


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """The released model's page, by the commands of the docs."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    folder = tmp_path_factory.mktemp("web")
    words = ["npm", "pack", "--pack-destination", str(folder), f"{PACKAGE}@{VERSION}"]
    packed = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if packed.returncode or not (folder / ARCHIVE).is_file():
        pytest.skip(f"npm fetches nothing here: {packed.stderr.strip().splitlines()[-1:]}")
    words = ["export", str(folder / "page"), "--format", "web", "--output", "mesh"]
    words += ["--runtime", str(folder / ARCHIVE)]
    said = run(ROOT, sys.executable, "-m", "pipeline", *words)
    assert f"open it by `handpose view {folder / 'page'}`" in said
    return folder / "page"


@contextlib.contextmanager
def viewed(page: Path, environ: dict[str, str]) -> Iterator[str]:
    """The address of `handpose view PAGE`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "view", str(page), "--port", "0"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert address is not None
        yield address.group()
        process.send_signal(signal.SIGTERM)
        assert "stopped" in process.communicate(timeout=60)[0]
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def address(page: Path, environ_of: Callable[[Path], dict[str, str]]) -> Iterator[str]:
    with viewed(page, environ_of(ROOT)) as address:
        yield address


@pytest.fixture(scope="module")
def graph() -> HandGraph:
    request = ExportRequest(Path("page"), released_folder(), "web", output="mesh")
    return load_graph(request)[0]


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Photograph:
    crops, truth = read_examples(released_folder())
    k, size = 0, round(ZOOM * crops.shape[1])
    photo = np.full((480, 640, 3), 90, np.uint8)
    area = photo[CORNER[1] : CORNER[1] + size, CORNER[0] : CORNER[0] + size]
    area[:] = cv2.resize(crops[k], (size, size), interpolation=cv2.INTER_CUBIC)
    border = (crops.shape[1] - truth["px"]) / 2
    uv = (np.array(truth["uv"][k]) + border) * size / crops.shape[1] + CORNER
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    cv2.imwrite(str(path), photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    x, y, w, h = (round(float(value), 1) for value in (*uv.min(0), *np.ptp(uv, axis=0)))
    return Photograph(path, (x, y, w, h))


def opened(browser: Browser, address: str) -> None:
    browser.open(address)
    browser.wait(READY)
    assert browser.answer("document.body.dataset.state") == "ready", browser.text()


def run_there(browser: Browser, pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The page's own outputs for pictures (B, N, N, 3)."""
    sent = json.dumps([base64.b64encode(one.tobytes()).decode() for one in pictures])
    found = browser.answer(
        f"""(async () => {{
          const all = [];
          for (const sent of {sent}) {{
            const picture = Uint8Array.from(atob(sent), (letter) => letter.charCodeAt(0));
            const found = await handpose.run(picture);
            all.push(Object.fromEntries(Object.entries(found).map(([k, v]) => [k, Array.from(v)])));
          }}
          return all;
        }})()"""
    )
    return {name: np.array([one[name] for one in found], np.float32) for name in found[0]}


def apart_mm(found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    """Distances of points (..., J, 3) m, which may come flat."""
    distance = np.linalg.norm(found.reshape(expected.shape) - expected, axis=-1)
    return np.asarray(MM * distance, np.float64)


def cut_as_in_the_docs(photo: NDArray[np.uint8], box: Any, about: Any) -> NDArray[np.uint8]:
    """The picture by the lines of docs/export.md."""
    text = (ROOT / "docs" / "export.md").read_text("utf-8").split("```python\n")[1]
    lines = text[text.index("side = about") : text.index("names = [")]
    x, y, w, h = box
    names = {"about": about, "photo": photo, "x": x, "y": y, "w": w, "h": h, "np": np, "cv2": cv2}
    exec(lines, names)
    return np.asarray(names["picture"], np.uint8)


def test_the_page_gives_torchs_hands_and_asks_nobody(
    page: Path, address: str, graph: HandGraph, tmp_path: Path
) -> None:
    assert sum(file.stat().st_size for file in page.iterdir()) < 15e6
    inputs = dict(Examples.of(graph).rows(slice(0, None, 6)).inputs)
    with browser(tmp_path) as tab:
        opened(tab, f"{address}?threads=2")
        assert tab.answer("crossOriginIsolated"), "memory for several threads"
        for choice, code in (("auto", -1), ("left", 1), ("right", 0)):
            tab.answer(f"document.getElementById('side').value = '{choice}'")
            inputs["side"] = np.full(len(inputs["image"]), code, np.int32)
            expected, found = outputs_of(graph, inputs), run_there(tab, inputs["image"])
            assert set(found) == set(expected)
            for name in ("joints", "vertices"):
                apart = apart_mm(found[name], expected[name])
                print(f"{choice}: {name} {apart.max():.5f} mm at most")
                assert apart.max() < 0.1
            for name, array in expected.items():
                flat = array.reshape(found[name].shape)
                np.testing.assert_allclose(found[name], flat, atol=2e-3, err_msg=name)
        assert tab.console == []
        assert "Failed to fetch" in tab.answer("fetch('hand.json').then(String, String)")
        assert tab.close() == {"127.0.0.1"}


def test_a_picture_is_seen_as_predict_sees_it(
    address: str, graph: HandGraph, photograph: Photograph, tmp_path: Path
) -> None:
    with browser(tmp_path) as tab:
        opened(tab, address)
        tab.choose("#file", photograph.path)
        tab.wait(SEEN)
        box = "".join(f"{value}, " for value in photograph.box).rstrip(", ")
        tab.answer(
            f"(() => {{ const box = document.getElementById('box'); box.value = '{box}';"
            " box.dispatchEvent(new Event('change')); })()"
        )
        tab.wait("document.getElementById('result').innerText.includes('given')")
        about = tab.answer("handpose.about")
        hand = tab.answer(
            "(() => { const { uv, joints, left, box } = handpose.last();"
            " return { uv, joints: Array.from(joints), left, box }; })()"
        )
        cut = tab.answer("Array.from(handpose.cut(handpose.last().box))")
        tab.picture(tmp_path / "page.png")
        text = tab.text()
        assert tab.console == []
        assert tab.close() == {"127.0.0.1"}
    assert [hand["box"][name] for name in "xywh"] == list(photograph.box)
    side = about["picture"]["side_px"]
    expected = cut_as_in_the_docs(read_photo(photograph.path), photograph.box, about)
    levels = np.abs(np.reshape(cut, (side, side, 3)).astype(int) - expected)
    print(f"levels of 255: {levels.mean():.3f} on average, {levels.max()} at most")
    assert levels.max() <= 6 and levels.mean() < 0.5
    no_side = np.full(1, -1, np.int32)
    inputs: dict[str, NDArray[Any]] = {"image": expected[None], "side": no_side}
    apart = apart_mm(np.array(hand["joints"]), outputs_of(graph, inputs)["joints"][0])
    print(f"joints off the file's: {apart.mean():.3f} mm on average, {apart.max():.3f} at most")
    assert apart.max() < 1.0
    estimate = HandEstimator.released()(photograph.path, photograph.box)
    assert ("left" if hand["left"] else "right") == estimate.side
    assert f"{estimate.side}, {100 * estimate.side_probability:.0f} %" in text
    np.testing.assert_allclose(hand["uv"], estimate.joints_px, atol=0.03 * max(photograph.box[2:]))
    apart = apart_mm(np.array(hand["joints"]), estimate.joints)
    print(f"off predict's: {apart.mean():.3f} mm on average, {apart.max():.3f} at most")
    assert apart.mean() < 4.0


def test_a_box_is_found_or_drawn_and_what_is_no_picture_is_refused(
    address: str, photograph: Photograph, tmp_path: Path
) -> None:
    wrong = tmp_path / "text.jpg"
    wrong.write_text("no picture", "utf-8")
    with browser(tmp_path / "browser") as tab:
        opened(tab, address)
        tab.choose("#file", wrong)
        tab.wait(SEEN)
        assert "This is no picture that the browser reads: text.jpg, 10 bytes;" in tab.text()
        tab.answer("delete document.body.dataset.state")
        tab.choose("#file", photograph.path)
        tab.wait(SEEN)
        assert "found by the model" in tab.text(), tab.text()
        x, y, w, h = photograph.box
        area = tab.answer(
            "(() => { const { left, top, width } = document.getElementById('photo')"
            ".getBoundingClientRect(); return [left, top, width]; })()"
        )
        zoom = area[2] / 640
        left, top = area[0] + zoom * x, area[1] + zoom * y
        tab.drag((left, top), (left + zoom * w, top + zoom * h))
        tab.wait("document.getElementById('result').innerText.includes('drawn')")
        drawn = tab.answer("handpose.last().box")
        assert [drawn[k] for k in "xywh"] == pytest.approx(list(photograph.box), abs=2.0)
        tab.answer("document.getElementById('whole').click()")
        tab.wait("document.getElementById('result').innerText.includes('the whole picture')")
        tab.answer(
            "(() => { const box = document.getElementById('box'); box.value = '700, 10, 20, 20';"
            " box.dispatchEvent(new Event('change')); })()"
        )
        tab.wait("document.body.dataset.state === 'failed'")
        assert "a part of the picture of 640 x 480 px" in tab.text()
        tab.answer("document.getElementById('camera').click()")
        tab.wait("document.getElementById('error').innerText.includes('camera')")
        assert "There is no camera." in tab.text()
        assert tab.console == []


def write_film(path: Path, photo: NDArray[np.uint8], frames: int = 40) -> None:
    """A film for a fake camera, JPEGs one after another: the photo moves to and fro."""
    with path.open("wb") as stream:
        for k in range(frames):
            shift = 30 * np.sin(2 * np.pi * k / frames)
            A = np.array([[1, 0, shift], [0, 1, shift / 3]])
            moved = cv2.warpAffine(photo, A, (640, 480), borderMode=cv2.BORDER_REPLICATE)
            stream.write(cv2.imencode(".jpg", moved[..., ::-1])[1].tobytes())


def test_the_camera_is_followed(address: str, photograph: Photograph, tmp_path: Path) -> None:
    film = tmp_path / "film.mjpeg"
    write_film(film, read_photo(photograph.path))
    flags = [
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
        f"--use-file-for-fake-video-capture={film}",
    ]
    with browser(tmp_path / "browser", *flags) as tab:
        opened(tab, address)
        tab.answer("document.getElementById('camera').click()")
        tab.wait("document.getElementById('result').innerText.includes('of the frame before')")
        places = [tab.answer("handpose.last().box.x")]
        for _ in range(20):
            tab.answer("new Promise((then) => setTimeout(then, 150))")
            places.append(tab.answer("handpose.last().box.x"))
        load = f"{os.getloadavg()[0]:.1f} is the load of {os.cpu_count()} cores"
        print(f"{tab.answer('handpose.rate()')} frames a second, where {load}")
        assert np.ptp(places) > 10, "the box goes along"
        assert "640 x 480 px" in tab.text() and "frames a second" in tab.text()
        tab.answer("document.getElementById('camera').click()")
        stopped = tab.answer("handpose.last().box.x")
        tab.answer("new Promise((then) => setTimeout(then, 500))")
        assert tab.answer("handpose.last().box.x") == stopped
        assert tab.console == []
        assert tab.close() == {"127.0.0.1"}


def test_any_server_of_files_will_do(page: Path, tmp_path: Path) -> None:
    with files_served(page, tmp_path / "log") as address, browser(tmp_path / "browser") as tab:
        opened(tab, address)
        assert not tab.answer("crossOriginIsolated"), "one thread"
        side = tab.answer("handpose.about.picture.side_px")
        found = run_there(tab, np.zeros((1, side, side, 3), np.uint8))
        assert found["joints"].shape == (1, 63)
        assert tab.console == []


@contextlib.contextmanager
def files_served(folder: Path, log: Path) -> Iterator[str]:
    """The address of Python's own server, as the docs start it."""
    port = free_port()
    words = ["-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)]
    with log.open("wb") as stream:
        server = subprocess.Popen([sys.executable, *words], stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text("utf-8")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()
