from __future__ import annotations

import torch
from torch import nn

from handpose.nets.transformer import Attention, Transformer


def test_attention_agrees_with_torchs_own() -> None:
    ours = Attention(dim=16, heads=4)
    torchs = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        torchs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        torchs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        torchs.out_proj.weight.copy_(ours.out.weight)
        torchs.out_proj.bias.copy_(ours.out.bias)
    x, context = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    torch.testing.assert_close(ours(x, context), torchs(x, context, context)[0])


def test_tokens_have_no_order_of_their_own() -> None:
    net = Transformer(dim=16, heads=2, layers=2).eval()
    x, order = torch.randn(2, 6, 16), torch.randperm(6)
    torch.testing.assert_close(net(x[:, order]), net(x)[:, order])


def test_context_is_heard_in_any_order() -> None:
    net = Transformer(dim=16, heads=2, layers=2, cross=True).eval()
    x, context = torch.randn(2, 6, 16), torch.randn(2, 3, 16)
    heard = net(x, context)
    torch.testing.assert_close(heard, net(x, context.flip(1)))
    assert not torch.allclose(heard, net(x, torch.randn(2, 3, 16)))


def test_context_counts_by_its_direction_and_not_by_its_size() -> None:
    net = Transformer(dim=16, heads=2, layers=2, cross=True).eval()
    x, context = torch.randn(2, 6, 16), torch.randn(2, 3, 16)
    torch.testing.assert_close(net(x, 10 * context), net(x, context), atol=1e-4, rtol=1e-4)
