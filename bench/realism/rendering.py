"""The same frames rendered with other keys of `synthesize`: only what is judged, in a folder."""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.realism.frames import Wanted, chosen
from handpose.cores import usable_cores
from handpose.errors import HandPoseError
from handpose.interhand.folders import folder_kind
from handpose.synthetic.articulation import read_gesture_poses
from handpose.synthetic.dataset_plan import Capture, DatasetSpec, SequencePlan, plan
from handpose.synthetic.stand_in import write_stand_in
from handpose.synthetic.writer import InterHandWriter
from stages.hand_model import load_hand_model
from stages.params import Params, check_values
from stages.paths import STAND_IN, is_same_path
from stages.running.progress import Progress
from stages.sections.section import plain
from stages.sharding.workers import in_order
from stages.synthesize import RenderTask, grouped, render

Plan = list[tuple[Capture, list[SequencePlan]]]


class ChangeError(HandPoseError):
    """A change of keys cannot be made, or cannot be compared."""


class Rendering(NamedTuple):
    """A set of frames to render."""

    name: str
    params: Params


def with_keys(params: Params, texts: list[str], option: str) -> Params:
    """The parameters with other values of `synthesize`, each given as KEY=VALUE.

    Raises:
        ChangeError: a text is of another form.
        ParamsError: there is no such key, or it cannot have this value.
    """
    values: dict[str, Any] = plain(params)
    for text in texts:
        key, is_, value = text.partition("=")
        key = key.removeprefix("synthesize.")
        if not (key and is_ and value):
            raise ChangeError(
                f"{option} {text}: expected KEY=VALUE with a key of synthesize in params.yaml, "
                "such as creases=1"
            )
        try:
            values["synthesize"][key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ChangeError(
                f"{option} {text}: {value} is no value as params.yaml has them"
            ) from None
    return check_values(values, f"{option} {' '.join(texts)}")


def with_hand_model(params: Params, folder: Path) -> Params:
    """The parameters with a hand model that is there: the stand-in is made anew in `folder`.

    Raises:
        ManoError: another one is missing or damaged.
    """
    if not is_same_path(params.hand.mano, STAND_IN):
        load_hand_model(params.hand, params.data)
        return params
    folder.mkdir(parents=True, exist_ok=True)
    write_stand_in(folder)
    hand = params.hand.model_copy(update={"mano": str(folder)})
    return params.model_copy(update={"hand": hand})


def planned(params: Params, wanted: Wanted) -> Plan:
    """The captures with those of their sequences that are judged.

    Raises:
        ChangeError: there is none.
    """
    captures = [
        (capture, [one for one in sequences if _is_wanted(one, wanted)])
        for capture, sequences in plan(_spec(params), read_gesture_poses())
        if capture.split == wanted.split
        and (wanted.people is None or capture.subject in wanted.people)
    ]
    own = {
        (capture.number, one.seq_name): one.images
        for capture, sequences in captures
        for one in sequences
    }
    keys = chosen(own, wanted.about)
    found = [
        (capture, [one for one in sequences if (capture.number, one.seq_name) in keys])
        for capture, sequences in captures
    ]
    if not keys:
        raise ChangeError(
            f"these parameters plan no photos {wanted.whom}; --people, --split and --free choose "
            "others"
        )
    return [(capture, sequences) for capture, sequences in found if sequences]


def check_same_frames(base: Rendering, other: Rendering, wanted: Wanted) -> None:
    """ChangeError unless both plan the same photos, as is needed to compare them in pairs."""
    first, second = (_names(planned(one.params, wanted)) for one in (base, other))
    if first != second:
        raise ChangeError(
            f"{other.name} changes which photos there are ({len(first & second)} of {len(first)} "
            "remain), so none can be compared with itself; give keys of how many, who and from "
            "where with --set, which holds for all renderings"
        )


def render_frames(rendering: Rendering, wanted: Wanted, folder: Path) -> None:
    """Write these frames to `folder`, a data set of one split in InterHand2.6M's layout."""
    params = rendering.params
    captures = planned(params, wanted)
    tasks = [
        RenderTask(_spec(params), params.hand, params.data, group, folder / "images")
        for _, sequences in captures
        for group in grouped(sequences)
    ]
    progress = Progress(
        f"render {rendering.name}", sum(task.images for task in tasks), "images", every_s=10
    )
    workers = min(params.synthesize.workers or usable_cores(), len(tasks))
    rendered = in_order(
        render,
        tasks,
        workers,
        "synthesize.workers",
        finished=lambda task: progress.step(task.images),
    )
    annotations = folder / "annotations" / wanted.split
    with closing(rendered), InterHandWriter(annotations, wanted.split) as writer:
        texts = chain.from_iterable(rendered)
        for capture, sequences in captures:
            writer.add_capture(capture.number, capture.rig.cameras)
            for _ in range(sum(len(one.frames) for one in sequences)):
                writer.add(next(texts))


def _spec(params: Params) -> DatasetSpec:
    return DatasetSpec(**params.synthesize.keywords(without={"workers"}))


def _is_wanted(sequence: SequencePlan, wanted: Wanted) -> bool:
    kind = folder_kind(sequence.seq_name)
    return kind == "gesture" or (kind == "rom" and wanted.free)


def _names(captures: Plan) -> set[tuple[int, str, int, int]]:
    """Capture, sequence, frame and camera of every photo."""
    return {
        (capture.number, one.seq_name, frame.number, camera)
        for capture, sequences in captures
        for one in sequences
        for frame in one.frames
        for camera in frame.cameras
    }
