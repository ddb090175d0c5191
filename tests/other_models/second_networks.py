"""HaMeR and WiLoR once more, by numpy in float64, from the names and shapes of their checkpoints.

Written from reference/field.md and the authors' code (geopavlakos/hamer 3a01849,
rolpotamias/WiLoR 819369a), and not from handpose/other_models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float64]
State = dict[str, Array]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Size:
    """Of a network; the defaults are the published ones."""

    width: int = 1280
    depth: int = 32
    heads: int = 16
    token_width: int = 1024
    token_depth: int = 6
    token_heads: int = 8
    token_mlp: int = 1024


SMALL_TOKENS = (
    "backbone.pos_embed",
    "backbone.patch_embed.",
    "mano_head.transformer.to_token_embedding.",
    "mano_head.transformer.pos_embedding",
)
"""So small that the number in their norms counts, by which HaMeR's two kinds of norms differ."""


def linear(name: str, out: int, into: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into)} | ({f"{name}.bias": (out,)} if bias else {})


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def mean_hand(name: str) -> Shapes:
    return {
        f"{name}.init_hand_pose": (1, 96),
        f"{name}.init_betas": (1, 10),
        f"{name}.init_cam": (1, 3),
    }


def vit_shapes(size: Size) -> Shapes:
    c = size.width
    found: Shapes = {
        "backbone.pos_embed": (1, 193, c),
        "backbone.patch_embed.proj.weight": (c, 3, 16, 16),
        "backbone.patch_embed.proj.bias": (c,),
        **norm("backbone.last_norm", c),
    }
    for k in range(size.depth):
        block = f"backbone.blocks.{k}"
        found |= norm(f"{block}.norm1", c) | norm(f"{block}.norm2", c)
        found |= linear(f"{block}.attn.qkv", 3 * c, c) | linear(f"{block}.attn.proj", c, c)
        found |= linear(f"{block}.mlp.fc1", 4 * c, c) | linear(f"{block}.mlp.fc2", c, 4 * c)
    return found


def hamer_shapes(size: Size) -> Shapes:
    c, d, inner = size.width, size.token_width, 64 * size.token_heads
    head = "mano_head.transformer"
    found = vit_shapes(size) | linear(f"{head}.to_token_embedding", d, 1)
    found |= {f"{head}.pos_embedding": (1, 1, d)}
    for k in range(size.token_depth):
        layer = f"{head}.transformer.layers.{k}"
        for part in range(3):
            found |= norm(f"{layer}.{part}.norm", d)
        found |= linear(f"{layer}.0.fn.to_qkv", 3 * inner, d, bias=False)
        found |= linear(f"{layer}.0.fn.to_out.0", d, inner)
        found |= linear(f"{layer}.1.fn.to_kv", 2 * inner, c, bias=False)
        found |= linear(f"{layer}.1.fn.to_q", inner, d, bias=False)
        found |= linear(f"{layer}.1.fn.to_out.0", d, inner)
        found |= linear(f"{layer}.2.fn.net.0", size.token_mlp, d)
        found |= linear(f"{layer}.2.fn.net.3", d, size.token_mlp)
    found |= linear("mano_head.decpose", 96, d) | linear("mano_head.decshape", 10, d)
    return found | linear("mano_head.deccam", 3, d) | mean_hand("mano_head")


def batch_norm(name: str, channels: int) -> Shapes:
    statistics = {f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)}
    return norm(name, channels) | statistics | {f"{name}.num_batches_tracked": ()}


def wilor_shapes(size: Size) -> Shapes:
    c = size.width
    found = vit_shapes(size) | mean_hand("backbone")
    for name, n in (("pose", 6), ("shape", 10), ("cam", 3)):
        found |= linear(f"backbone.{name}_emb", c, n) | linear(f"backbone.dec{name}", n, c)
    net = "refine_net.deconv"
    found |= {f"{net}.first_conv.0.weight": (c // 2, c, 1, 1)}
    found |= {f"{net}.first_conv.0.bias": (c // 2,)}
    for name, into, out in (
        (f"{net}.deconv.0.0", c // 2, c // 4),
        (f"{net}.deconv.1.0", c // 2, c // 4),
        (f"{net}.deconv.1.3", c // 4, c // 8),
    ):
        found |= {f"{name}.weight": (into, out, 4, 4)}
        found |= batch_norm(f"{name[:-1]}{int(name[-1]) + 1}", out)
    gathered = c // 8 + c // 4 + c // 2
    for name, n in (("dec_pose", 96), ("dec_cam", 3), ("dec_shape", 10)):
        found |= linear(f"refine_net.{name}", n, gathered)
    return found


def random_state(shapes: Shapes, seed: int = 0) -> State:
    """Weights with outputs of a sensible size; a hand that is in front of the camera."""
    rng = np.random.default_rng(seed)
    state: State = {}
    for name, shape in shapes.items():
        values = rng.normal(size=shape)
        if name.endswith("running_var"):
            values = 0.5 + np.abs(values)
        elif "norm" in name and name.endswith("weight"):
            values = 1 + 0.2 * values
        elif len(shape) > 1 and name.endswith("weight"):
            values = values / np.sqrt(np.prod(shape[1:]))
        elif name.endswith("init_cam"):
            values = np.array([[0.9, 0.01, -0.02]])
        elif "num_batches" in name:
            values = np.array(7.0)
        else:
            values = 0.3 * values
        if ".deccam." in name or ".dec_cam." in name:
            values = 0.05 * values
        if name.startswith(SMALL_TOKENS):
            values = 0.003 * values
        state[name] = np.asarray(values)
    return state


# --- parts ---------------------------------------------------------------------------------------


def layer_norm(state: State, name: str, x: Array, eps: float) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
    return np.asarray(scaled * state[f"{name}.weight"] + state[f"{name}.bias"])


def through(state: State, name: str, x: Array) -> Array:
    bias = state.get(f"{name}.bias", np.zeros(()))
    return np.asarray(x @ state[f"{name}.weight"].T + bias)


def gelu(x: Array) -> Array:
    return np.asarray(x * (1 + erf(x / np.sqrt(2))) / 2)


def attention(q: Array, k: Array, v: Array, heads: int) -> Array:
    """(N, D), (M, D), (M, D) of one image -> (N, D), head by head."""
    size = q.shape[1] // heads
    parts = []
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        logits = q[:, own] @ k[:, own].T / np.sqrt(size)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        parts.append(weights / weights.sum(1, keepdims=True) @ v[:, own])
    return np.concatenate(parts, 1)


def patch_tokens(state: State, crop: Array) -> Array:
    """(3, 256, 256) in 0..255 -> (192, C)."""
    mean = np.array([0.485, 0.456, 0.406])[:, None, None]
    std = np.array([0.229, 0.224, 0.225])[:, None, None]
    seen = ((crop / 255 - mean) / std)[:, :, 32:224]
    padded = np.pad(seen, ((0, 0), (2, 2), (2, 2)))
    weight = state["backbone.patch_embed.proj.weight"]
    position = state["backbone.pos_embed"][0]
    tokens: list[Array] = []
    for row in range(16):
        for column in range(12):
            y, x = 16 * row, 16 * column
            patch = padded[:, y : y + 16, x : x + 16]
            token = (weight * patch).sum((1, 2, 3)) + state["backbone.patch_embed.proj.bias"]
            tokens.append(token + position[0] + position[1 + len(tokens)])
    return np.array(tokens)


def encoded(state: State, tokens: Array, size: Size) -> Array:
    for k in range(size.depth):
        block = f"backbone.blocks.{k}"
        y = layer_norm(state, f"{block}.norm1", tokens, 1e-6)
        q, k_, v = np.split(through(state, f"{block}.attn.qkv", y), 3, 1)
        tokens = tokens + through(state, f"{block}.attn.proj", attention(q, k_, v, size.heads))
        y = layer_norm(state, f"{block}.norm2", tokens, 1e-6)
        tokens = tokens + through(
            state, f"{block}.mlp.fc2", gelu(through(state, f"{block}.mlp.fc1", y))
        )
    return layer_norm(state, "backbone.last_norm", tokens, 1e-6)


# --- HaMeR ---------------------------------------------------------------------------------------


def hamer(state: State, crop: Array, size: Size) -> tuple[Array, Array, Array]:
    """Raw 6D pose (96,), betas (10,) and camera (3,) of one crop."""
    features = encoded(state, patch_tokens(state, crop), size)
    head = "mano_head.transformer"
    token = through(state, f"{head}.to_token_embedding", np.zeros((1, 1)))
    token = token + state[f"{head}.pos_embedding"][0]
    for k in range(size.token_depth):
        layer = f"{head}.transformer.layers.{k}"
        y = layer_norm(state, f"{layer}.0.norm", token, 1e-5)
        q, k_, v = np.split(through(state, f"{layer}.0.fn.to_qkv", y), 3, 1)
        token = token + through(
            state, f"{layer}.0.fn.to_out.0", attention(q, k_, v, size.token_heads)
        )
        y = layer_norm(state, f"{layer}.1.norm", token, 1e-5)
        k_, v = np.split(through(state, f"{layer}.1.fn.to_kv", features), 2, 1)
        q = through(state, f"{layer}.1.fn.to_q", y)
        token = token + through(
            state, f"{layer}.1.fn.to_out.0", attention(q, k_, v, size.token_heads)
        )
        y = layer_norm(state, f"{layer}.2.norm", token, 1e-5)
        y = gelu(through(state, f"{layer}.2.fn.net.0", y))
        token = token + through(state, f"{layer}.2.fn.net.3", y)
    pose, shape, cam = (
        through(state, f"mano_head.dec{n}", token)[0] + state[f"mano_head.init_{i}"][0]
        for n, i in (("pose", "hand_pose"), ("shape", "betas"), ("cam", "cam"))
    )
    return pose, shape, cam


# --- WiLoR ---------------------------------------------------------------------------------------

Vertices = Callable[[Array, Array], Array]
"""Rotations (16, 3, 3) and betas (10,) -> vertices (778, 3)."""


def rotations(rot6d: Array) -> Array:
    """(96,) -> (16, 3, 3): three numbers of one column, then three of the next."""
    found = []
    for a1, a2 in rot6d.reshape(16, 2, 3):
        b1 = a1 / np.linalg.norm(a1)
        b2 = a2 - (b1 @ a2) * b1
        b2 = b2 / np.linalg.norm(b2)
        found.append(np.stack([b1, b2, np.cross(b1, b2)], 1))
    return np.array(found)


def transposed_convolution(x: Array, weight: Array) -> Array:
    """Kernel 4, stride 2, padding 1, no bias: x (I, H, W), weight (I, O, 4, 4) -> (O, 2H, 2W)."""
    _, height, width = x.shape
    whole = np.zeros((weight.shape[1], 2 * height + 2, 2 * width + 2))
    for i in range(4):
        for j in range(4):
            part = np.einsum("iyx,io->oyx", x, weight[:, :, i, j])
            whole[:, i : i + 2 * height : 2, j : j + 2 * width : 2] += part
    return whole[:, 1:-1, 1:-1]


def enlarged(state: State, name: str, at: int, x: Array) -> Array:
    y = transposed_convolution(x, state[f"{name}.{at}.weight"])
    bn = f"{name}.{at + 1}"
    mean, var = state[f"{bn}.running_mean"], state[f"{bn}.running_var"]
    factor = state[f"{bn}.weight"] / np.sqrt(var + 1e-5)
    y = (y - mean[:, None, None]) * factor[:, None, None] + state[f"{bn}.bias"][:, None, None]
    return np.maximum(y, 0)


def read_at(level: Array, x: float, y: float) -> Array:
    """Bilinear at a cell, zero outside: (C,)."""
    total = np.zeros(len(level))
    left, top = int(np.floor(x)), int(np.floor(y))
    for column, a in ((left, left + 1 - x), (left + 1, x - left)):
        for row, b in ((top, top + 1 - y), (top + 1, y - top)):
            if 0 <= row < level.shape[1] and 0 <= column < level.shape[2]:
                total += a * b * level[:, row, column]
    return total


def wilor(
    state: State, crop: Array, size: Size, vertices_of: Vertices
) -> tuple[Array, Array, Array]:
    """Raw 6D pose (96,), betas (10,) and camera (3,) of one crop."""
    pose, shape, cam = (state[f"backbone.init_{n}"][0] for n in ("hand_pose", "betas", "cam"))
    own = [through(state, "backbone.pose_emb", pose.reshape(16, 6))]
    own.append(through(state, "backbone.shape_emb", shape[None]))
    own.append(through(state, "backbone.cam_emb", cam[None]))
    tokens = encoded(state, np.concatenate([*own, patch_tokens(state, crop)]), size)
    pose = pose + through(state, "backbone.decpose", tokens[:16]).ravel()
    shape = shape + through(state, "backbone.decshape", tokens[16])
    cam = cam + through(state, "backbone.deccam", tokens[17])
    features = tokens[18:].T.reshape(size.width, 16, 12)

    net = "refine_net.deconv"
    coarse = np.einsum("oi,iyx->oyx", state[f"{net}.first_conv.0.weight"][..., 0, 0], features)
    coarse = coarse + state[f"{net}.first_conv.0.bias"][:, None, None]
    middle = enlarged(state, f"{net}.deconv.0", 0, coarse)
    fine = enlarged(state, f"{net}.deconv.1", 3, enlarged(state, f"{net}.deconv.1", 0, coarse))
    vertices = vertices_of(rotations(pose), shape)
    gathered: list[Any] = []
    for level in (fine, middle, coarse):
        px = level.shape[1]
        seen = vertices + np.array([cam[1], cam[2], 2 * 5000 / (px * cam[0] + 1e-9)])
        at = 5000 / px * seen[:, :2] / seen[:, 2:]  # -0.5..0.5, read as a cell
        gathered.append(np.max([read_at(level, x, y) for x, y in at], 0))
    joined = np.concatenate(gathered)
    return (
        pose + through(state, "refine_net.dec_pose", joined),
        shape + through(state, "refine_net.dec_shape", joined),
        cam + through(state, "refine_net.dec_cam", joined),
    )
