"""Sections of the data: where they are, how they are made, split, labelled and cropped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from stages.sections.section import Probability, Section

Benchmark = Literal[
    "freihand", "ho3d_v2", "ho3d_v3", "dexycb_s0", "dexycb_s1", "dexycb_s2", "dexycb_s3", "hint"
]

Quality = Annotated[int, Field(ge=1, le=100)]  # of a JPEG


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"expected the smaller number first: [{limits[1]:g}, {limits[0]:g}]")
    return limits


Range = Annotated[tuple[PositiveFloat, PositiveFloat], pydantic.AfterValidator(_ascending)]


class HandParams(Section):
    """The hand model."""

    mano: str = "data/stand_in"
    """folder with MANO_RIGHT.npz; default: the licence-free stand-in"""
    joint_regressor: str = ""
    """InterHand2.6M's J_regressor_mano_ih26m.npy, a file in that folder; '': MANO's joints with the
    data set's fingertip vertices

    A name without a folder: DVC watches `mano`'s folder, and so this file.
    """

    @pydantic.field_validator("joint_regressor")
    @classmethod
    def _in_the_folder(cls, name: str) -> str:
        if name != Path(name).name:
            raise ValueError(
                "expected the name of a file in the folder hand.mano, which DVC watches; put the "
                "file there"
            )
        return name


class DataParams(Section):
    """The data set."""

    root: str = "data/synthetic"
    """with images/ and annotations/; put a download elsewhere: what is in data/synthetic itself is
    replaced"""
    format: Literal["interhand", "folder"] = "interhand"
    """or folder: your own recordings, see docs/own-data.md"""
    benchmarks: dict[Benchmark, str] = Field(default_factory=dict)
    """folders of data sets that are evaluated too, by name, see docs/benchmarks.md: freihand,
    ho3d_v2, ho3d_v3, dexycb_s0 to dexycb_s3, hint"""
    trained_benchmarks: tuple[Benchmark, ...] = ()
    """of these, those whose training sets are trained on

    Stage 2 learns from them; they have no gestures.
    """
    hagrid: str = ""
    """folder of HaGRIDv2, photos with gestures and without poses that Stage 1 trains on too, see
    docs/hagrid.md; '': none"""
    hagrid_images: NonNegativeInt = 0
    """of its hands, so many of each gesture at most, drawn at random; 0: all"""

    def __hash__(self) -> int:
        """By all keys; a dictionary among them has no hash of its own."""
        benchmarks = frozenset(self.benchmarks.items())
        return hash(
            (
                *(self.root, self.format, benchmarks, self.trained_benchmarks),
                *(self.hagrid, self.hagrid_images),
            )
        )

    @pydantic.model_validator(mode="after")
    def _trained_are_there(self) -> DataParams:
        if missing := sorted(set(self.trained_benchmarks) - set(self.benchmarks)):
            raise ValueError(
                f"data.trained_benchmarks names {', '.join(missing)}, which data.benchmarks does "
                "not; name the folder there"
            )
        if "hint" in self.trained_benchmarks:
            raise ValueError(
                "data.trained_benchmarks names hint, which has 2D joints alone and is scored only; "
                "leave it out there"
            )
        for name in self.trained_benchmarks:
            family = name.partition("_")[0]
            if others := [n for n in self.benchmarks if n != name and n.startswith(family)]:
                raise ValueError(
                    f"data.trained_benchmarks names {name}, data.benchmarks {', '.join(others)} "
                    "too: what one version of a data set trains on, the other evaluates; name one"
                )
        return self


class SynthesizeParams(Section):
    """A synthetic InterHand2.6M; made if data.root is data/synthetic."""

    seed: NonNegativeInt = 0
    """of people, poses, cameras, light and noise"""
    frames: PositiveInt = 5670
    """in train's gesture folders; ROM and two-hand images come on top"""
    main_subjects: PositiveInt = 12
    """people with long sequences, numbered from 0"""
    short_subjects: NonNegativeInt = 10
    """people after them, with fewer frames each"""
    short_share: Annotated[float, Field(gt=0, le=1)] = 0.375
    """of a main person's frames that each of them has"""
    cameras_per_instant: PositiveInt = 1
    """that photograph one frame"""
    back_cameras: Probability = 0.0
    """share of the rig that faces the back of an upright hand; 0.33: a studio all round, a harder
    set for longer training"""
    spread_deg: tuple[PositiveFloat, PositiveFloat] = (60.0, 30.0)
    """greatest azimuth of a camera from the palm's or the back's middle, and greatest elevation;
    [90, 60]: all round"""
    roll_deg: NonNegativeFloat = 8.0
    """standard deviation of a camera's rotation in the image plane; 180: the whole circle"""
    distance_m: Range = (0.65, 1.05)
    """from and to, of the cameras; near ones distort more"""
    filled: Range = (0.6, 0.78)
    """from and to, share of the image's short side that an open hand fills; above 1 the border cuts
    it"""
    image_px: tuple[PositiveInt, PositiveInt] = (200, 160)
    """long and short side; InterHand2.6M: [512, 334]"""
    supersampling: PositiveInt = 1
    """2: anti-aliased from 2 x 2 samples per pixel"""
    jpeg_quality: Quality = 90
    """of the images, 1 to 100"""
    free_poses: NonNegativeFloat = 0.0
    """images of grasps, pinches and free poses, as a multiple of `frames`; added to `frames`, in
    ROM folders, without a gesture label"""
    creases: NonNegativeFloat = 0.0
    """depth of creases, knuckle wrinkles, tendons and veins; 1: as in real hands"""
    skin_detail: NonNegativeFloat = 0.0
    """strength of skin texture that is coarser and finer than the grain; 1: as in real hands"""
    no_forearm: Probability = 0.0
    """share of captures in which the hand ends at the wrist"""
    dark_studios: Probability = 0.0
    """share of captures before near-black backdrops with lamps"""
    photo_backdrops: Probability = 0.0
    """share of images before crops of photos or before clutter, faces and clothes"""
    occluders: Probability = 0.0
    """share of images in which an object or another hand covers a part"""
    degradation: Probability = 0.0
    """how far blur, motion blur, noise, white balance, low resolution and JPEG quality go; 1: down
    to quality 40"""
    pose_jitter_deg: NonNegativeFloat = 4.5
    """standard deviation of a gesture's MCP and PIP angles"""
    style_deg: NonNegativeFloat = 15.0
    """standard deviation of these angles between people; 0: all perform a gesture alike

    A person's offsets of a gesture's MCP and PIP angles hold for both hands and all sequences of
    that gesture. The part of a gesture that a person reaches, the pose at rest and the speed differ
    in proportion.
    """
    workers: NonNegativeInt = 0
    """processes; 0: every core; never changes a byte of the result"""


class IngestParams(Section):
    """Which annotations are used, and who is held out."""

    validation_subjects: tuple[int, ...] = (12, 13)
    """of the training data: choose Stage 2's epoch"""
    test_subjects: tuple[int, ...] = (14, 15, 16, 17, 18, 19, 20, 21)
    """of the training data: labelled evaluation, never trained on"""
    held_out_gestures: tuple[str, ...] = ()
    """folders, with or without their number, that neither stage trains on; the test people's are
    evaluated as a split of their own

    Without its number a folder's name stands for both hands. A mirrored image has the gesture of
    the other hand, so `label` asks for both.
    """
    interacting: Literal["drop", "evaluate", "train"] = "drop"
    """annotations of both hands of InterHand2.6M: not used; or each hand a sample, the test
    people's in splits of their own; or trained on as well

    Their splits never choose an epoch: of validation people they are left out. They carry no
    gesture.
    """
    min_valid_joints: Annotated[int, Field(ge=1, le=21)] = 6
    """of 21; an annotation with fewer is rejected"""
    min_joints_in_boxes: Probability = 0.5
    """share of a camera's joints that must lie in the annotations' own boxes, or it is rejected; 0:
    not compared

    Sound cameras of InterHand2.6M have 0.98 to 1, one that was moved or exchanged 0.03.
    """
    max_fit_error_mm: NonNegativeFloat = 15.0
    """mean distance of a MANO fit from the joints; a farther one is not used, its hand is; 0: not
    compared"""
    fit_missing: bool = False
    """fit the hand model to the joints of training hands without a MANO fit

    All 21 joints must be known. A fit farther from them than `max_fit_error_mm` is not used. The
    samples are marked (`fit_made`); evaluated hands get none.
    """
    exclusions: str = "labels/exclusions.csv"
    """annotations that people left out, see docs/curation.md"""
    check_images: bool = True
    """decode every image once to find missing, truncated, black ones"""
    cameras_per_instant: NonNegativeInt = 0
    """views of a frame that train, of 80 to 140 in real data; 0: all"""
    trim_ends: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """share of a gesture sequence not trained on, at each end, where the hand is often still at
    rest; 0.1 for real data"""

    @pydantic.model_validator(mode="after")
    def _disjoint(self) -> IngestParams:
        both = sorted(set(self.validation_subjects) & set(self.test_subjects))
        if both:
            raise ValueError(
                f"subjects {both} are listed in both ingest.validation_subjects and "
                "ingest.test_subjects; a subject belongs to one split"
            )
        return self

    @property
    def each_hand(self) -> bool:
        """Whether an annotation of both hands becomes a sample of each."""
        return self.interacting != "drop"


class LabelParams(Section):
    """The gesture map, or what takes its place, and the handedness of the classes."""

    map: str = "labels/gesture_map.csv"
    """edited by hand, see labels/README.md"""
    hagrid_map: str = "labels/hagrid_map.csv"
    """the classes of HaGRID's gestures; read with `data.hagrid` alone"""
    handedness: Literal["handed", "canonical"] = "handed"
    """handed: 54/70 classes (paper); canonical: left mirrored, 27/35

    handed: a class per gesture and hand, images as they are; canonical: left images mirrored to
    right, one class per gesture.
    """
    source: Literal["gestures", "finger_states", "pose_clusters"] = "gestures"
    """of the classes: gestures: the map; finger_states: each finger straight, half bent or bent;
    pose_clusters: as many clusters of the hand pose as the map has classes

    The last two are controls: classes from the pose of each image, for the images that the map
    labels. The map decides in any case which folders are used.
    """
    shuffle: Literal["none", "folders", "sequences", "images"] = "none"
    """controls that teach no gesture: the map's classes are exchanged among folders, both hands
    alike, or among sequences or images of one split and hand

    folders: what folder an image is from is still learnt, but not which folders are alike.
    """
    seed: NonNegativeInt = 0
    """of `shuffle` and `pose_clusters`"""

    @pydantic.model_validator(mode="after")
    def _one_control(self) -> LabelParams:
        if self.source != "gestures" and self.shuffle != "none":
            raise ValueError(
                f"label.source is {self.source} and label.shuffle is {self.shuffle}: only the "
                "map's classes are shuffled; set label.shuffle to none, or label.source to gestures"
            )
        return self


class ShardParams(Section):
    """The crops that training reads."""

    box_scale: PositiveFloat = 1.4
    """ours; side of the input window / longer side of the joint box"""
    view_px: PositiveInt = 96
    """side of that window in a crop; encoder.image_px: no resampling"""
    crop_px: PositiveInt = 128
    """side of a crop: the window and a border for augmentation"""
    jpeg_quality: Quality = 95
    """of the crops that are encoded anew, 1 to 100"""
    lossless: Literal["never", "auto", "always"] = "never"
    """always: cut without decoding, needs libturbojpeg (real data)

    never: crops are resampled to crop_px; the same bytes on every machine. always: the photo's
    own pixels, cut out of its JPEG without decoding. auto: the photo's own pixels, encoded anew
    where libturbojpeg is missing, so that machines may differ.
    """
    samples_per_tar: PositiveInt = 1000
    """crops in one file"""
    seed: NonNegativeInt = 0
    """of the one global shuffle"""
    workers: NonNegativeInt = 0
    """processes; 0: every core; never changes a byte of the result"""

    @pydantic.model_validator(mode="after")
    def _centred(self) -> ShardParams:
        border = self.crop_px - self.view_px
        if border < 0 or border % 2:
            raise ValueError(
                f"shard.crop_px {self.crop_px} must be shard.view_px {self.view_px} plus an "
                "even border (the same whole pixels on every side); a third of the view is usual"
            )
        return self
