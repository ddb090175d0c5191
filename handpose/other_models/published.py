"""HaMeR, WiLoR and AnyHand's versions of both, from the checkpoints that their authors publish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from handpose.hand.mano import Mano
from handpose.other_models.crop_hand import CropHand
from handpose.other_models.hamer import Hamer
from handpose.other_models.weights_file import WeightsError, misfits, read_weights
from handpose.other_models.wilor import Wilor

LEFT_OUT = ("mano", "discriminator", "initialized")
"""First words of entries that are no part of a network: MANO's own arrays, which its licence keeps
from being passed on, and two parts of the training."""

SUFFIXES = (".ckpt", ".pt", ".pth")

LICENCES = (
    "HaMeR (geopavlakos/hamer): its code is under MIT, and nothing is said of the weights; WiLoR "
    "(rolpotamias/WiLoR): code and weights are under CC BY-NC-ND 4.0; AnyHand "
    "(chen-si-cs/AnyHand): its README says CC BY-NC-ND of the weights, its LICENSE file CC0; MANO: "
    "non-commercial research only, also of what is made with it"
)

HOW_TO_GET = (
    "No weights come with this project. Their authors publish hamer.ckpt, wilor_final.ckpt, "
    "anyhand_hamer.ckpt and anyhand_wilor.ckpt: their repositories say where. Licences: " + LICENCES
)


class Architecture(NamedTuple):
    """A network that checkpoints are of."""

    name: str
    mark: str  # first word of an entry that only its checkpoints have
    build: Callable[..., nn.Module]  # from a `Mano` and sizes


ARCHITECTURES = (
    Architecture("HaMeR", "mano_head", lambda mano, **sizes: Hamer(**sizes)),
    Architecture("WiLoR", "refine_net", lambda mano, **sizes: Wilor(mano, **sizes)),
)


@dataclass(frozen=True)
class PublishedModel:
    """A network with the weights of a checkpoint."""

    name: str  # of the architecture
    net: nn.Module
    left_out: Mapping[str, int] = field(default_factory=dict)  # entries by their first word

    @classmethod
    def load(
        cls, path: Path, mano: Mano, *, device: torch.device | str = "cpu", **sizes: int
    ) -> PublishedModel:
        """The model of a checkpoint, ready to predict.

        Args:
            path: of the checkpoint; its entries determine the network.
            mano: the user's own; it moves to the device.
            device: of the network.
            sizes: of the network; by default the published ones.

        Raises:
            WeightsError: the file is missing, no checkpoint, more than weights, or of another
                architecture.
        """
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "not found"
            raise WeightsError(f"{path}: {what}; expected a checkpoint. {HOW_TO_GET}")
        found = read_weights(path)
        words = Counter(name.split(".")[0] for name in found)
        architecture = next((a for a in ARCHITECTURES if a.mark in words), None)
        if architecture is None:
            marks = " nor ".join(f"{a.mark}.* of {a.name}" for a in ARCHITECTURES)
            raise WeightsError(
                f"{path}: is of another architecture: among its {len(found):,} entries is neither "
                f"{marks}, but {', '.join(f'{word}.*' for word in list(words)[:5])}"
            )
        with torch.device("meta"):  # the weights lie in the file: no memory for others
            net = architecture.build(mano, **sizes)
        own = {name: w for name, w in found.items() if name.split(".")[0] not in LEFT_OUT}
        wanted = net.state_dict()
        if wrong := misfits(own, wanted):
            raise WeightsError(
                f"{path}: has {architecture.mark}.* as {architecture.name} has, but is of another "
                f"architecture; of the {len(wanted):,} entries of the published one: "
                f"{'; '.join(wrong)}"
            )
        typed = {name: weight.detach().to(wanted[name].dtype) for name, weight in own.items()}
        net.load_state_dict(typed, assign=True)
        net.requires_grad_(False)
        mano.to(device)
        left_out = {word: words[word] for word in LEFT_OUT if word in words}
        return cls(architecture.name, net.eval().to(device), left_out)

    @torch.no_grad()
    def __call__(self, crops: Tensor) -> CropHand:
        """The hand in each crop (B, 3, 256, 256) RGB in 0..255, left hands mirrored."""
        hand: CropHand = self.net(crops)
        return hand
