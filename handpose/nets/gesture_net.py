"""Stage 1: an image in, coarse and fine gesture logits out (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from handpose.nets.backbone import Backbone
from handpose.nets.gesture_heads import GestureHeads
from handpose.sample import GestureOutput


class GestureNet(nn.Module):
    """The gesture-aware encoder: HRNet and the two gesture heads on its pooled levels."""

    def __init__(
        self,
        *,
        backbone: Backbone,
        coarse_classes: int,
        fine_classes: int,
        gesture_levels: Sequence[int] = (32,),
        gesture_hidden: int = 0,
        gesture_dropout: float = 0.0,
    ) -> None:
        """Heads on the levels of these strides, pooled and put side by side."""
        super().__init__()
        self.backbone = backbone
        self.gesture_levels = tuple(gesture_levels)
        self.heads = GestureHeads(
            channels=[backbone.channels[stride] for stride in gesture_levels],
            coarse_classes=coarse_classes,
            fine_classes=fine_classes,
            hidden=gesture_hidden,
            dropout=gesture_dropout,
        )

    def forward(self, image: Tensor) -> GestureOutput:
        """What Stage 1 says of images (B, 3, S, S) uint8 RGB."""
        return self.gestures(self.backbone(image))

    def gestures(self, levels: dict[int, Tensor]) -> GestureOutput:
        """The same from feature maps by stride, for Stage 2, which needs those maps as well."""
        output: GestureOutput = self.heads([levels[stride] for stride in self.gesture_levels])
        return output
