"""Stage 1: an image in, coarse and fine gesture logits out (paper, section 3.1)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from handpose.nets.backbone import Backbone, Stride
from handpose.nets.gesture_heads import GestureHeads
from handpose.sample import GestureOutput


class GestureNet(nn.Module):
    """The gesture-aware encoder: a backbone and the two gesture heads on its pooled levels."""

    def __init__(
        self,
        *,
        backbone: str,
        feature_location: Literal["", "incre"],
        weights: str,
        frozen_stages: int,
        image_px: int,
        imagenet_normalisation: bool,
        gesture_levels: tuple[Stride, ...],
        gesture_hidden: int,
        gesture_dropout: float,
        coarse_classes: int,
        fine_classes: int,
    ) -> None:
        """The network before training.

        Args:
            backbone: timm's name of an HRNet, a ResNet, a ConvNeXt or a ViT; it and the next
                keywords are those of `Backbone`.
            feature_location: '' for the raw levels, 'incre' for an HRNet's wider maps.
            weights: '' random; 'imagenet'; or a file.
            frozen_stages: how many of the backbone's four stages are not trained.
            image_px: side S of the images it is trained on; a ViT takes no other.
            imagenet_normalisation: normalise the input as ImageNet; else RGB in [0, 1].
            gesture_levels: strides of the levels that are pooled and put side by side.
            gesture_hidden: width of the heads' hidden layer; 0 makes them linear.
            gesture_dropout: probability, in the heads.
            coarse_classes: number of them.
            fine_classes: number of them.

        Raises:
            BackboneError: see `Backbone`.
        """
        super().__init__()
        self.image_px = image_px
        self.gesture_levels = tuple(gesture_levels)
        self.backbone = Backbone(
            name=backbone,
            feature_location=feature_location,
            weights=weights,
            imagenet_normalisation=imagenet_normalisation,
            frozen_stages=frozen_stages,
            image_px=image_px,
        )
        self.heads = GestureHeads(
            channels=[self.backbone.channels[stride] for stride in gesture_levels],
            coarse_classes=coarse_classes,
            fine_classes=fine_classes,
            hidden=gesture_hidden,
            dropout=gesture_dropout,
        )

    def forward(self, image: Tensor) -> GestureOutput:
        """Logits and features of images (B, 3, S, S) uint8 RGB."""
        return self.gestures(self.backbone(image))

    def gestures(self, levels: dict[int, Tensor]) -> GestureOutput:
        """The same from feature maps by stride, for Stage 2, which needs those maps as well."""
        output: GestureOutput = self.heads([levels[stride] for stride in self.gesture_levels])
        return output
