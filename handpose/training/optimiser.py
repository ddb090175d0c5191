"""AdamW as both stages use it: fused, its learning rate on the device of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from handpose.training.history import FitError


class FusedAdamW(torch.optim.AdamW):
    """AdamW that decays matrices and kernels (embeddings too), but no biases, norms and gates.

    On a GPU it can be captured in a CUDA graph: step counts and learning rates are tensors there,
    which the host overwrites before a step. On a CPU learning rates are Python's numbers.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        weight_decay: float,
        lr_factors: Mapping[str, float],
    ) -> None:
        """An optimiser of these parameters, by name, all on one device; set its rate before a step.

        Args:
            weights: what it changes.
            weight_decay: of matrices and kernels.
            lr_factors: factors of the learning rate, by the name of the parameter.

        Raises:
            FitError: a factor is of an unknown parameter.
        """
        if unknown := sorted(set(lr_factors) - set(weights)):
            raise FitError(f"learning rate factors for {unknown}, which are not trained parameters")
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, weight in weights.items():
            key = (lr_factors.get(name, 1.0), weight_decay if weight.dim() >= 2 else 0.0)
            groups.setdefault(key, []).append(weight)
        device = next(iter(weights.values())).device
        on_gpu = device.type != "cpu"
        super().__init__(
            [
                {"params": params, "lr_factor": factor, "weight_decay": decay}
                for (factor, decay), params in groups.items()
            ],
            fused=True,
            capturable=on_gpu,
        )
        if on_gpu:
            for group in self.param_groups:
                group["lr"] = torch.zeros((), device=device)

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next step, before factors."""
        for group in self.param_groups:
            rate = lr * group["lr_factor"]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the moments and step counts, from a run on whatever device."""
        own = [(group["lr"], group["capturable"]) for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, (lr, capturable) in zip(self.param_groups, own, strict=True):
            group["lr"], group["capturable"] = lr, capturable
