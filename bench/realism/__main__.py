"""A judge of our synthetic hands: `python -m bench.realism --landmarks FILE --palm FILE`.

Shows photos to the hand networks of MediaPipe, which were trained on real hands, and reports what
they make of them: is there a hand, which one, which face of it, where are its joints. It judges a
folder in InterHand2.6M's layout, or renders frames itself: with `--change KEY=VALUE`, the same
instants once with the keys of params.yaml and once with these, compared in pairs.

The two files and the library that runs them are no part of the environment: docs/realism.md says
how to get them, and what the figures mean and do not mean.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.realism import report
from bench.realism.frames import Frame, FramesError, Wanted, frames_of, read_frames
from bench.realism.judge import Judge
from bench.realism.rendering import (
    Rendering,
    check_same_frames,
    render_frames,
    with_hand_model,
    with_keys,
)
from bench.realism.scores import Judged, changes, judged
from handpose.counted import counted
from handpose.files import digest
from handpose.interhand.annotations import OFFICIAL_SPLITS
from stages.params import Params, load_params
from stages.paths import SYNTHETIC, WORK
from stages.running.artifacts import write_json
from stages.running.command import run_stage
from stages.running.progress import Progress

EVERYTHING = 10**9
BASE = "base"


def main(argv: Sequence[str] | None = None) -> None:
    """Judge a data set, or renderings; print tables and write the record."""
    options = _options(argv)
    params = load_params()
    wanted = _wanted(options, params)
    own = [("--image-px", [f"image_px={list(options.image_px)}"])] if options.image_px else []
    base = params
    for option, texts in [*own, ("--set", options.set)]:
        base = with_keys(base, texts, option)
    renders = options.render or options.change or options.set or options.image_px or options.keep
    if renders and options.data is not None:
        raise FramesError(
            f"--data {options.data} is judged as it is; --render, --set, --image-px, --change and "
            "--keep render frames of their own. Leave out the one or the others"
        )
    judge = Judge.load(options.landmarks, options.palm)
    content: dict[str, Any] = {
        "what": report.WHAT_IT_MEANS,
        "judge": {
            "landmarks": digest(options.landmarks),
            "palm": digest(options.palm),
        },
        "photos": wanted._asdict() | {"people": sorted(wanted.people or [])},
        "found": {},
    }
    if renders:
        variants = [
            Rendering(" ".join(texts), with_keys(base, texts, "--change"))
            for texts in options.change
        ]
        compared(judge, Rendering(BASE, base), variants, wanted, content, options.keep)
    else:
        root = options.data or SYNTHETIC
        found = judge_frames(judge, *read_frames(root, wanted), str(root))
        content["found"][str(root)] = report.record(found)
    write_json(options.out, content)
    print(f"\n{report.WHAT_IT_MEANS}\nrecord: {options.out}")


def compared(
    judge: Judge,
    base: Rendering,
    variants: Sequence[Rendering],
    wanted: Wanted,
    content: dict[str, Any],
    keep: Path | None,
) -> None:
    """Render and judge the base and each variant, and compare each with the base."""
    for variant in variants:
        check_same_frames(base, variant, wanted)
    with _folder(keep) as folder:
        first: Judged | None = None
        for number, rendering in enumerate([base, *variants]):
            own = folder / f"{number}"
            params = with_hand_model(rendering.params, folder / "hand")
            render_frames(rendering._replace(params=params), wanted, own)
            rendered = wanted._replace(people=None, about=EVERYTHING)
            found = judge_frames(judge, *frames_of(own, rendered), rendering.name)
            entry = report.record(found)
            entry["synthesize"] = rendering.params.synthesize.model_dump(mode="json")
            if first is None:
                first = found
            else:
                change = changes(first, found)
                print(f"\n{rendering.name} against {BASE}, the same instants", flush=True)
                print("\n".join(report.change_table(change)), flush=True)
                entry["against_base"] = report.change_record(change)
            content["found"][rendering.name] = entry


def judge_frames(judge: Judge, frames: Sequence[Frame], lacking: int, name: str) -> Judged:
    """Show these photos to the judge and print what it said of them."""
    progress = Progress(f"judge {name}", len(frames), "photos", every_s=10)
    found = judged(judge, progress.over(frames))
    lost = (
        f"; {counted(lacking, 'photo')} without all joints of the palm left out" if lacking else ""
    )
    people = counted(len(set(found.subjects.tolist())), "person", "people")
    print(f"\n{name}: {counted(len(frames), 'photo')} of {people}{lost}")
    print("\n".join(report.table(found)), flush=True)
    return found


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Where renderings are written: a folder that stays, or one that goes."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="bench-realism-") as folder:
            yield Path(folder)
        return
    if keep.exists():
        raise FramesError(f"--keep {keep}: is there already; remove it or name another folder")
    keep.mkdir(parents=True)
    yield keep


def _wanted(options: argparse.Namespace, params: Params) -> Wanted:
    """By default the people of the train split that evaluation tests on, elsewhere everybody."""
    people = options.people
    if people is None and options.split == "train":
        people = params.ingest.test_subjects
    return Wanted(
        options.split, None if people is None else frozenset(people), options.frames, options.free
    )


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.realism", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--landmarks", type=Path, required=True, help="hand_landmark_full.tflite")
    parser.add_argument(
        "--palm", type=Path, required=True, help="hands_solution_packed_assets.data, or the .tflite"
    )
    parser.add_argument("--data", type=Path, help=f"to judge as it is; default: {SYNTHETIC}")
    parser.add_argument("--split", choices=OFFICIAL_SPLITS, default="train")
    parser.add_argument(
        "--people", type=int, nargs="+", help="default: ingest.test_subjects of train, else all"
    )
    parser.add_argument("--frames", type=_positive, default=500, help="about so many photos")
    parser.add_argument("--free", action="store_true", help="free motion too, not only gestures")
    parser.add_argument("--render", action="store_true", help="render frames by params.yaml")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="of synthesize, in all renderings"
    )
    parser.add_argument("--image-px", type=_positive, nargs=2, metavar=("LONG", "SHORT"))
    parser.add_argument(
        "--change",
        nargs="+",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of synthesize, in one more rendering, which is compared; may be repeated",
    )
    parser.add_argument("--keep", type=Path, help="folder for the renderings, to look at them")
    parser.add_argument("--out", type=Path, default=WORK / "realism.json")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return number


if __name__ == "__main__":
    sys.exit(run_stage(main, "bench.realism"))
