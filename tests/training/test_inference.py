"""A network over batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from handpose.sample import HandBatch
from handpose.training.inference import run_inference


class Counter(nn.Module):
    """Checks that it runs in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor) -> Tensor:
        assert not self.training
        return self.weight * image.sum()


def test_outputs_come_with_their_batches_in_evaluation_mode_without_gradients(
    make_batch: Callable[..., HandBatch],
) -> None:
    batches = [make_batch(2, side=8, seed=seed) for seed in range(3)]
    net = Counter().train()
    for number, (batch, output) in enumerate(
        run_inference(net, batches, lambda net, batch: net(batch.image))
    ):
        assert torch.equal(batch.image, batches[number].image)
        assert output.item() == batch.image.sum()
        assert not output.requires_grad
        assert torch.is_grad_enabled(), "the reader's own code is not touched"
        assert not torch.is_autocast_enabled("cpu")


def test_bf16_reaches_the_network(make_batch: Callable[..., HandBatch]) -> None:
    net = nn.Linear(3, 3)
    batch = make_batch(2, side=8)
    seen = {
        bf16: next(run_inference(net, [batch], lambda net, b: net(b.joints_cam), bf16=bf16))[
            1
        ].dtype
        for bf16 in (True, False)
    }
    assert seen == {True: torch.bfloat16, False: torch.float32}


def test_the_batch_is_not_changed(make_batch: Callable[..., HandBatch]) -> None:
    batch = make_batch(2, side=8)
    copy = {f.name: getattr(batch, f.name).clone() for f in dataclasses.fields(HandBatch)}
    list(run_inference(Counter(), [batch], lambda net, b: net(b.image)))
    assert all(torch.equal(getattr(batch, name), value) for name, value in copy.items())
