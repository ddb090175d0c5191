"""A network as a table: every layer with its output's shape and its parameters, by running it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def describe(net: nn.Module, *inputs: Tensor, depth: int = 4) -> str:
    """A text table of the network's modules down to this depth, in the order of definition.

    The network runs once on `inputs`, without gradients, so shapes are what it really computes;
    they leave out the batch.
    Weights that a module holds itself (position encodings, gates) have a line of their own.
    """
    shapes = {name: _shape(values[-1]) for name, values in trace(net, *inputs).items()}
    rows = [("layer", "kind", "output", "parameters")]
    for name, module in net.named_modules():
        level = name.count(".") + 1 if name else 0
        if level > depth or not _worth_a_line(module):
            continue
        indent = "  " * level
        title = name.rsplit(".", 1)[-1] or "net"
        kind = type(module).__name__
        rows.append((indent + title, kind, shapes.get(name, ""), _count(module.parameters())))
        if _is_ours(module):
            rows += [
                (f"{indent}  {own}", "Parameter", "x".join(str(n) for n in p.shape), _count([p]))
                for own, p in module.named_parameters(recurse=False)
            ]
    trained = _count(p for p in net.parameters() if p.requires_grad)
    rows.append(("trained", "", "", trained))
    return _table(rows)


def trace(net: nn.Module, *inputs: Tensor) -> dict[str, tuple[Any, ...]]:
    """The inputs and, last, the output of every module in one run, by the module's name.

    The network runs in eval mode and without gradients, and is left as it was.
    """
    ran: dict[str, tuple[Any, ...]] = {}

    def record(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            ran[name] = (*given, output)

        return hook

    hooks = [m.register_forward_hook(record(name)) for name, m in net.named_modules()]
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(*inputs)
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return ran


def _shape(output: Any) -> str:
    if isinstance(output, Tensor):
        return "x".join(str(n) for n in output.shape[1:])
    if isinstance(output, Mapping):
        return ", ".join(f"/{key} {_shape(value)}" for key, value in output.items())
    if dataclasses.is_dataclass(output):
        return type(output).__name__
    if isinstance(output, Sequence):
        return ", ".join(_shape(value) for value in output)
    return type(output).__name__


def _worth_a_line(module: nn.Module) -> bool:
    """Modules with weights, and ours without any (MANO); no activations, no dropout."""
    return _is_ours(module) or any(True for _ in module.parameters())


def _is_ours(module: nn.Module) -> bool:
    return type(module).__module__.startswith("handpose.")


def _count(parameters: Any) -> str:
    return f"{sum(p.numel() for p in parameters):,}"


def _table(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """Columns padded to their widest cell, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    a, b, c, d = widths
    return "\n".join(f"{w:<{a}}  {x:<{b}}  {y:<{c}}  {z:>{d}}" for w, x, y, z in rows)
