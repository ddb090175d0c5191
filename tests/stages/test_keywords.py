"""The keys of a section are the keywords of the constructor that takes them, name and type."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from handpose.data.augment import Augmentation
from handpose.nets.eanet.eanet import EaNet
from handpose.nets.gesture_net import GestureNet
from handpose.nets.pose_net import PoseNet
from handpose.synthetic.dataset_plan import DatasetSpec
from stages.params import AugmentParams, EncoderParams, PoseNetParams, SynthesizeParams
from stages.sections.section import Section


def eanet() -> PoseNetParams:
    return PoseNetParams(network="eanet", gesture_tokens=False)


def everything() -> PoseNetParams:
    return PoseNetParams(
        refinements=1, ray_input=True, token_classes="fine", class_pose=True, place_noise=0.1
    )


@pytest.mark.parametrize(
    ("section", "constructor", "without", "besides"),
    [
        (EncoderParams, GestureNet, set(), {"coarse_classes", "fine_classes"}),
        (everything, PoseNet, set(), {"gesture_net", "mano", "mean_rotations"}),
        (eanet, EaNet, {"network"}, {"gesture_net", "mano"}),
        (AugmentParams, Augmentation, set(), set()),
        (SynthesizeParams, DatasetSpec, {"workers"}, set()),
    ],
)
def test_keys_are_keywords_of_the_same_type(
    section: Callable[[], Section],
    constructor: Callable[..., Any],
    without: set[str],
    besides: set[str],
) -> None:
    taken = {name: kind for name, kind in hints(constructor).items() if name not in besides}
    made = section()
    types = get_type_hints(type(made))
    assert taken == {key: types[key] for key in made.keywords(without=without)}


@pytest.mark.parametrize(
    ("section", "net"), [(EncoderParams, GestureNet), (PoseNetParams, PoseNet)]
)
def test_a_default_stands_on_the_field_alone(section: type[Section], net: type) -> None:
    parameters = inspect.signature(net).parameters
    assert all(parameters[key].default is inspect.Parameter.empty for key in section().keywords())


def hints(constructor: Any) -> dict[str, Any]:
    """Types of a constructor's parameters."""
    found = get_type_hints(constructor.__init__)
    return {name: found[name] for name in inspect.signature(constructor).parameters}
