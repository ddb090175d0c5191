"""The hand model: MANO parameters of a right hand to mesh and 21 joints. The only use of smplx.

Without smplx, `skinned_hand.py` poses the hand.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from handpose.errors import HandPoseError
from handpose.file_content import recognise
from handpose.hand.joint_definition import SMPLX, TIP_VERTICES, JointDefinition
from handpose.hand.mirror import mirror_points
from handpose.hand.rotation import axis_angle_to_matrix
from handpose.hand.skinned_hand import SkinnedHand

SHAPES: dict[str, tuple[int, ...]] = {
    "v_template": (778, 3),
    "f": (1538, 3),
    "weights": (778, 16),
    "shapedirs": (778, 3, 10),
    "posedirs": (778, 3, 135),
    "J_regressor": (16, 778),
    "kintree_table": (2, 16),
    "hands_components": (45, 45),
    "hands_mean": (45,),
}
"""The arrays of a MANO file that smplx reads, and their required shapes."""

VERTICES, FACES = SHAPES["v_template"][0], SHAPES["f"][0]

NOT_MANO = "not MANO"
"""Ends the `model_name` of a hand in MANO's format that is another's: such a hand may have more
vertices, whose first are numbered as MANO's at the fingertips, and its own number of faces."""

FILE = "MANO_RIGHT.npz"
"""The file of a hand model's folder that is read."""

Side = Literal["right", "left"]

KNUCKLES = [1, 4, 7, 10]
"""MANO joint indices of the four fingers' MCPs."""


class ManoError(HandPoseError):
    """The hand model's file is missing or is not a MANO file."""


class ManoOutput(NamedTuple):
    """A posed mesh and its joints."""

    vertices: Tensor  # (B, 778, 3) m
    joints: Tensor  # (B, 21, 3) m, order of `hand/skeleton.py`


class Mano(nn.Module):
    """MANO for right hands; `hand` mirrors left ones.

    It has no parameters, and its buffers are not in `state_dict`: the checkpoint of a net that
    contains a `Mano` holds nothing of the licensed model.
    """

    J_regressor: Tensor
    hands_mean: Tensor
    hands_components: Tensor
    faces: Tensor
    edges: Tensor
    joint_matrix: Tensor

    def __init__(self, arrays: dict[str, NDArray[Any]], joints: JointDefinition = SMPLX) -> None:
        """Build the layer.

        Args:
            arrays: those of `SHAPES`, in metres and float.
            joints: the data set's definition of the 21 joints.
        """
        super().__init__()
        self.joint_definition = joints
        self.layer = _layer(arrays)
        for name, array, dtype in (
            ("J_regressor", arrays["J_regressor"], torch.float32),
            ("hands_mean", arrays["hands_mean"], torch.float32),
            ("hands_components", arrays["hands_components"], torch.float32),
            ("faces", arrays["f"].astype(np.int64), torch.int64),
            ("edges", edges_of(arrays["f"]), torch.int64),
            (
                "joint_matrix",
                joints.matrix(arrays["J_regressor"], arrays["weights"]),
                torch.float32,
            ),
            *(
                (
                    f"joints_{source}",
                    JointDefinition(source).matrix(arrays["J_regressor"], arrays["weights"]),
                    torch.float32,
                )
                for source in TIP_VERTICES
            ),
        ):
            self.register_buffer(name, torch.tensor(array, dtype=dtype), persistent=False)

    @classmethod
    def load(cls, folder: Path | str, joints: JointDefinition = SMPLX) -> Mano:
        """The right-hand model of this folder, from its `MANO_RIGHT.npz`.

        Stages take `stages/hand_model.py`, which chooses the joints' definition.

        Raises:
            ManoError: the file is missing, unreadable, lacks an array of the right shape, holds
                a left hand, or has not the vertices of the joints' regressor.
        """
        if Path(folder).is_file():
            raise ManoError(
                f"{folder}: is a file; expected the folder that holds MANO_RIGHT.npz: set "
                f"hand.mano in params.yaml to {Path(folder).parent}"
            )
        arrays = _read(Path(folder) / FILE)
        vertices = len(arrays["v_template"])
        if joints.regressor is not None and joints.regressor.shape[1] != vertices:
            raise ManoError(
                f"{Path(folder) / FILE}: has {vertices} vertices, but {joints.file} is of "
                f"a mesh of {joints.regressor.shape[1]}; set hand.joint_regressor to '', or "
                "hand.mano to the folder of your MANO_RIGHT.npz"
            )
        return cls(arrays, joints)

    def rest_wrist(self, betas: Tensor) -> Tensor:
        """J0 of the rest pose, the pivot of `global_orient`: betas (B, 10) -> (B, 3) m."""
        offset = torch.einsum("bk,vdk->bvd", betas, self.layer.shapedirs)
        return torch.einsum("v,bvd->bd", self.J_regressor[0], self.layer.v_template + offset)

    def rotations(self, hand_pose: Tensor) -> Tensor:
        """Full local rotations: hand_pose (B, 45) rad relative to hands_mean -> (B, 15, 3, 3).

        The only place where hands_mean is added: `smplx.MANOLayer` omits it.
        """
        return axis_angle_to_matrix((hand_pose + self.hands_mean).view(-1, 15, 3))

    def forward(self, global_orient: Tensor, rotations: Tensor, betas: Tensor) -> ManoOutput:
        """Mesh and joints of right hands, in metres, about MANO's own origin.

        Args:
            global_orient: (B, 3, 3) rotation of the root.
            rotations: (B, 15, 3, 3) full local rotations, see `rotations`.
            betas: (B, 10).
        """
        with torch.autocast(betas.device.type, enabled=False):  # bfloat16 is off by millimetres
            posed = self.layer(
                betas=betas.float(),
                global_orient=global_orient.float()[:, None],  # (B, 1, 3, 3)
                hand_pose=rotations.float(),
            )
        return ManoOutput(posed.vertices, self.joints_from(posed.vertices))

    def joints_from(self, vertices: Tensor, tips: str | None = None) -> Tensor:
        """Joints regressed from a mesh: vertices (B, 778, 3) -> (B, 21, 3).

        By this model's `joint_definition`; with `tips`, a key of `TIP_VERTICES`, by MANO's
        regressor and those fingertips.
        """
        matrix = self.joint_matrix if tips is None else self.get_buffer(f"joints_{tips}")
        with torch.autocast(vertices.device.type, enabled=False):
            return torch.einsum("jv,bvd->bjd", matrix, vertices.float())

    def hand(
        self, global_orient: Tensor, hand_pose: Tensor, betas: Tensor, is_left: Tensor
    ) -> ManoOutput:
        """Mesh and joints in camera axes: left hands mirrored, wrist joint at the origin.

        Args:
            global_orient: (B, 3) axis-angle, right-hand frame.
            hand_pose: (B, 45) axis-angle relative to hands_mean, right-hand frame.
            betas: (B, 10).
            is_left: (B,) bool.
        """
        right = self(axis_angle_to_matrix(global_orient), self.rotations(hand_pose), betas)
        wrist = right.joints[:, :1]  # (B, 1, 3)
        return ManoOutput(*(mirror_points(points - wrist, is_left) for points in right))


def _layer(arrays: dict[str, NDArray[Any]]) -> SkinnedHand:
    """The layer of smplx; where it is not installed our own, which agrees within a micrometre.

    Its licence is for non-commercial use: whoever may not use it can leave it out.
    """
    if importlib.util.find_spec("smplx") is None:
        return SkinnedHand.of_arrays(arrays)
    import smplx
    from smplx.utils import Struct

    with contextlib.redirect_stdout(io.StringIO()):  # smplx prints a warning about 10 betas
        layer = smplx.MANOLayer(
            "", data_struct=Struct(**arrays), is_rhand=True, create_body_pose=False
        )
    layer.parents = KinematicTree(layer._buffers.pop("parents"))
    for module in layer.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, buffer, persistent=False)
    return cast(SkinnedHand, layer)  # by names, arguments and results


class KinematicTree(nn.Module):
    """The parents of MANO's joints, as smplx reads them: one by one, and all but the root's.

    One by one they are Python's numbers: reading a tensor on a GPU would synchronise. Together they
    are an index, on the device: one in the CPU's memory would be copied to the GPU in every step.
    """

    index: Tensor

    def __init__(self, parents: Tensor) -> None:
        """Parents (16,) int64; the root's is not read."""
        super().__init__()
        self.shape = parents.shape
        self._parents: list[int] = parents.tolist()
        self.register_buffer("index", parents, persistent=False)

    @overload
    def __getitem__(self, joint: int) -> int: ...
    @overload
    def __getitem__(self, joint: slice) -> Tensor: ...
    def __getitem__(self, joint: int | slice) -> int | Tensor:
        """The parent of a joint, or the index of several's."""
        return self._parents[joint] if isinstance(joint, int) else self.index[joint]


def edges_of(faces: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The edges of triangles (F, 3), each once: (E, 2) vertices, the smaller first."""
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(sides.astype(np.int64), axis=1), axis=0)


def side_of(arrays: dict[str, NDArray[Any]]) -> Side:
    """Side of a model's template: at rest, a right hand's fingers point along -x, a left's +x.

    This follows from the rest pose of the SMPL+H body, and from values that users of the official
    files print: right wrist 10 cm along +x and knuckles at 0 to 3 cm, left wrist 10 cm along -x
    (github.com/zdchan/artigrasp, `ref_r` and `ref_l`).
    """
    joints = arrays["J_regressor"] @ arrays["v_template"]  # (16, 3)
    return "left" if joints[KNUCKLES, 0].mean() > joints[0, 0] else "right"


def check_side(path: Path, arrays: dict[str, NDArray[Any]], expected: Side) -> None:
    """Refuse a left hand in a right hand's file, or the reverse: shapes cannot reveal it.

    Raises:
        ManoError: the template is of the other side.
    """
    if (found := side_of(arrays)) != expected:
        axis = {"right": "-x", "left": "+x"}
        raise ManoError(
            f"{path}: holds a {found} hand, expected a {expected} one: at rest its fingers point "
            f"from the wrist along {axis[found]}, not {axis[expected]}. The file was renamed or "
            "copied; unpack MANO's download anew and run `handpose mano import` on that"
        )


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Read and check the arrays of `SHAPES` from a MANO npz."""
    remedy = (
        "`handpose mano import DOWNLOAD` makes it from MANO's own files, and `handpose configure "
        "--profile interhand26m --mano FOLDER`, or hand.mano in params.yaml, names its folder. The "
        "stand-in hand is made by `dvc repro synthesize`, in data/stand_in alone"
    )
    if not path.is_file():
        raise ManoError(f"{path}: not found. {remedy}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in SHAPES if key in file}
            name = str(file["model_name"]) if "model_name" in file else ""
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        other = recognise(path)
        if other is not None and other.kind not in ("npz", "zip"):
            raise ManoError(f"{path}: {other}. {remedy}") from None
        raise ManoError(f"{path}: is not a readable npz file ({error}). {remedy}") from None
    wrong = [
        f"{key} is {'missing' if key not in arrays else arrays[key].shape}, expected {shape}"
        for key, shape in _shapes(arrays, name).items()
        if key not in arrays or arrays[key].shape != shape
    ]
    if wrong:
        raise ManoError(f"{path}: is not a MANO model: {'; '.join(wrong)}. {remedy}")
    check_side(path, arrays, "right")
    return arrays


def _shapes(arrays: dict[str, NDArray[Any]], name: str) -> dict[str, tuple[int, ...]]:
    """`SHAPES`; with a hand's own counts if its `model_name` says that it is not MANO."""
    own = [
        len(arrays[key]) if arrays.get(key, np.array(0)).ndim else 0 for key in ("v_template", "f")
    ]
    if not name.endswith(NOT_MANO) or own[0] < VERTICES:
        return SHAPES
    counts = {VERTICES: own[0], FACES: own[1]}
    return {key: tuple(counts.get(n, n) for n in shape) for key, shape in SHAPES.items()}
