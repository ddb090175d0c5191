"""`handpose describe`: the resolved networks, their losses and schedules, as one text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from handpose.errors import HandPoseError
from handpose.gesture_map import GestureMap
from handpose.gesture_row import LEVELS
from handpose.hand.mano import Mano
from handpose.nets.gesture_net import GestureNet
from handpose.nets.network_by_name import EANET, PoseNetwork, make_pose_network
from handpose.nets.pose_net import PoseNet
from handpose.synthetic.stand_in import build
from handpose.training.loss.eanet_loss import TERMS
from handpose.training.loss.learned_weights import learnable_terms
from handpose.training.loss.pose_loss import MEASURED
from handpose.training.schedules import fine_weight, lr_factor
from pipeline.describe.figure import Box, boxes
from pipeline.describe.layers import describe
from stages.hand_model import joint_definition, load_hand_model
from stages.ingestion.naming import folder_naming
from stages.params import Params, TrainParams, load_params
from stages.paths import STAND_IN, is_same_path
from stages.sections.section import Section, as_yaml, plain

STEPS_SHOWN = 100
"""An epoch is taken to have this many steps when the learning rate is printed."""

MANO_JOINTS = {
    "annotated": "the annotated joints",
    "fit": "the joints of the MANO fit",
    "both": "the annotated joints and with those of the MANO fit, in two terms",
}
"""By `pose.mano_joints`."""

WARM_UPS = {
    "instances": "cross-entropy of which two views are of one image",
    "pose": "L1 of the joints about the wrist, dm",
}
"""By `pretrain.objective`, where it is not gestures: the gesture heads stay random."""

ABLATIONS = (
    ("ingest", "held_out_gestures"),
    ("label", "source"),
    ("label", "shuffle"),
    ("pose_net", "token_classes"),
    ("pretrain", "objective"),
    ("pretrain", "labelled_share"),
    ("pretrain", "coarse_weight"),
    ("pose", "annotated_share"),
    ("pose", "train_gesture_heads"),
)
"""Section and key."""


class DrawingError(HandPoseError):
    """The drawing shows the steps of another network."""


def description(path: Path) -> str:
    """What `params.yaml` resolves to: every layer with shape and size, loss weights, schedules.

    Raises:
        HandPoseError: the parameters, the gesture map or the hand model cannot be used.
    """
    params = load_params(path)
    parts = (_networks(params), _losses(params), _schedules(params), _ablations(params))
    return "\n".join(chain(*parts))


def architecture(path: Path) -> dict[str, Box]:
    """The steps of the network that `params.yaml` resolves to, ready to be drawn.

    Raises:
        HandPoseError: as `description`; or the network is not the paper's, whose steps these are.
    """
    params = load_params(path)
    net = _build(params)
    if not isinstance(net, PoseNet):
        raise DrawingError(
            f"pose_net.network is {params.pose_net.network}; the drawing is of the paper's network "
            "alone. Leave out the name of the picture, or set pose_net.network to gesture_guided"
        )
    return boxes(net, *_example(params), backbone=params.encoder.backbone)


def _build(params: Params) -> PoseNetwork:
    """Both stages' networks with random weights: Stage 1's is the `gesture_net` of Stage 2's."""
    table = GestureMap.read(Path(params.label.map), folder_naming(params.data))
    canonical = params.label.handedness == "canonical"
    coarse, fine = (
        len(set(table.class_ids(level, canonical=canonical).values())) for level in LEVELS
    )
    encoder = params.encoder.keywords() | {"weights": ""}  # the shapes need no download
    gesture_net = GestureNet(**encoder, coarse_classes=coarse, fine_classes=fine)
    return make_pose_network(gesture_net, _mano(params), **params.pose_net.keywords())


def _example(params: Params) -> tuple[Tensor, Tensor, Tensor]:
    """A grey image, a right hand and a camera's K, to run the networks on."""
    px = params.encoder.image_px
    middle = (px - 1) / 2
    K = torch.tensor([[[2.0 * px, 0, middle], [0, 2.0 * px, middle], [0, 0, 1]]])
    return torch.full((1, 3, px, px), 128, dtype=torch.uint8), torch.tensor([False]), K


def _networks(params: Params) -> Iterator[str]:
    """Both stages' networks, layer by layer."""
    pose_net = _build(params)
    gesture_net = pose_net.gesture_net
    image, is_left, K = _example(params)
    yield f"Stage 1, {_keys('encoder', params.encoder)}"
    heads = gesture_net.heads
    yield f"{heads.coarse_classes} coarse and {heads.fine_classes} fine classes"
    yield describe(gesture_net, image)
    yield f"\nStage 2, on top of Stage 1, {_keys('pose_net', params.pose_net)}"
    yield describe(pose_net, image, is_left, K)
    yield f"the 21 joints of the mesh: {pose_net.mano.joint_definition}"


def _keys(name: str, section: Section) -> str:
    """The section with its keys, on a few lines."""
    keys = ", ".join(f"{key}: {as_yaml(value)}" for key, value in plain(section).items())
    return "\n".join(
        [f"{name}:", *textwrap.wrap(keys, 96, initial_indent="  ", subsequent_indent="  ")]
    )


def _mano(params: Params) -> Mano:
    """The hand model of `params.yaml`; before the first run the stand-in, built on the spot."""
    folder = Path(params.hand.mano)
    if is_same_path(folder, STAND_IN) and not folder.exists():
        return Mano(build(), joint_definition(params.hand, params.data))
    return load_hand_model(params.hand, params.data)


def _losses(params: Params) -> Iterator[str]:
    stage_1 = WARM_UPS.get(params.pretrain.objective)
    if stage_1 is None:
        stage_1 = "coarse cross-entropy + lambda * fine cross-entropy"
        if contrastive := params.pretrain.contrastive:
            stage_1 += f" + {contrastive:g} * contrastive"
        if params.pretrain.hierarchical:
            stage_1 += " + disagreement of both heads"
        if spread := params.pretrain.soft_targets_deg:
            stage_1 += f"; classes of similar poses are partly right ({spread:g} degrees)"
    yield f"\nStage 1 loss: {stage_1}"
    yield "Stage 2 loss, weighted sum of:"
    weights = params.pose.weights.keywords()
    if params.pose_net.network == EANET:
        yield from (f"  {name:<20} {weights[name]:g}" for name in TERMS)
        yield "in EANet's units (handpose/training/loss/eanet_loss.py)"
    else:
        yield from (f"  {name:<20} {weight:g}" for name, weight in weights.items())
        yield f"joints_mano compares with {MANO_JOINTS[params.pose.mano_joints]}"
    if params.pose.learned_weights:
        terms = learnable_terms(weights, TERMS if params.pose_net.network == EANET else MEASURED)
        yield f"times learned factors, which start at 1, of {', '.join(terms)}"


def _schedules(params: Params) -> Iterator[str]:
    """Learning rate and lambda at the middle of every epoch (of ten of them in a long run)."""
    scratch = params.pose_scratch
    for name, section in (
        ("Stage 1", params.pretrain),
        ("Stage 2", params.pose),
        ("Stage 2 without pretraining", scratch.settings(params.pose)),
    ):
        kept = "keeps the last epoch" if section.best == "last" else f"best by {section.best}"
        yield (
            f"\n{name}: {section.epochs} epochs, batch {section.batch}, AdamW, "
            f"{section.schedule}, {section.precision}, {kept}"
        )
        shown = sorted({round(i * (section.epochs - 1) / 9) for i in range(10)})
        yield "  epoch  " + "".join(f"{epoch + 1:>9}" for epoch in shown)
        yield "  lr     " + "".join(f"{_lr(section, epoch):>9.1e}" for epoch in shown)
        if section is params.pretrain and params.pretrain.objective not in WARM_UPS:
            yield "  lambda " + "".join(f"{_lambda(params, epoch):>9.2f}" for epoch in shown)
    keywords = scratch.pose_net(params.pose_net.keywords())
    tokens = "with" if keywords.get("gesture_tokens") else "without"
    yield f"  {tokens} gesture tokens, gesture loss x {scratch.gesture:g}"


def _ablations(params: Params) -> Iterator[str]:
    """The keys that take a part of the gesture claim away, where they do."""
    changed = []
    for section, key in ABLATIONS:
        value, default = (getattr(getattr(one, section), key) for one in (params, Params()))
        if value != default:
            shown = plain(getattr(params, section))[key]
            changed.append(f"  {section}.{key}: {as_yaml(shown)}")
    if changed:
        yield "\nWithout a part of the gesture claim (docs/choices.md, Ablations):"
        yield from changed
    if params.label.source == "finger_states":
        yield "  The classes counted above are the map's; those of finger states depend on the data"


def _lr(section: TrainParams, epoch: int) -> float:
    """Learning rate in the middle of an epoch, counted from 0."""
    step = round((epoch + 0.5) * STEPS_SHOWN)
    return section.lr * lr_factor(
        section.schedule,
        step,
        epochs=section.epochs,
        steps_per_epoch=STEPS_SHOWN,
        milestones=section.milestones,
    )


def _lambda(params: Params, epoch: int) -> float:
    section = params.pretrain
    return fine_weight(
        epoch,
        start=section.fine_weight_start,
        step=section.fine_weight_step,
        every=section.fine_weight_every_epochs,
        maximum=section.fine_weight_max,
    )
