"""torch.compile of a network that is trained: fewer and wider kernels, where the machine can.

A compiled network shares its weights with the plain one, which stays what is saved, averaged and
validated: no name in a state dict changes. Compiling takes minutes, hence inductor's cache on disk.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import nn

from handpose.training.cuda_graph import Automatic
from handpose.training.history import FitError
from handpose.training.seeding import rng_state, set_rng_state

logger = logging.getLogger(__name__)

STEPS_WORTH_COMPILING = 5_000
"""`compile: auto` compiles no shorter training: it takes minutes, and saves tens of ms a step."""

CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""Environment variable that names the folder where compiled kernels are kept."""


def keep_kernels_in(folder: Path) -> None:
    """Keep compiled kernels there from run to run, unless the environment names a folder."""
    os.environ.setdefault(CACHE, str(folder.resolve()))


def missing_for_compiling() -> str:
    """What a GPU's compiler needs and this machine does not have; '' if it has all of it."""
    if importlib.util.find_spec("triton") is None:
        return "the package triton"
    if not any(map(shutil.which, filter(None, (os.environ.get("CC"), "gcc", "clang", "cc")))):
        return "a C compiler"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers (Python.h)"
    return ""


def should_compile(wanted: Automatic, steps: int, device: torch.device, processes: int) -> bool:
    """Whether the network of a training is to be compiled.

    Args:
        wanted: yes, no, or where it pays: in one process on a GPU, and not for a few steps.
        steps: of the training.
        device: that it runs on.
        processes: that share it.

    Raises:
        FitError: it is wanted in several processes.
    """
    if wanted is True and processes > 1:
        raise FitError(
            "compile is true, but this training is one of several processes, which train the "
            "network as it is. Set compile to auto, or processes to 1"
        )
    if wanted != "auto" or device.type != "cuda" or processes > 1:
        return wanted is True
    if steps < STEPS_WORTH_COMPILING:
        return False
    if missing := missing_for_compiling():
        logger.info("the network is not compiled: this machine lacks %s", missing)
    return not missing


def compiled_if_it_works(
    net: nn.Module,
    trial: Callable[[nn.Module], None],
    backend: str | Callable[..., object] = "inductor",
) -> nn.Module:
    """The network compiled, or itself where compiling fails; both have the same weights.

    Args:
        net: the network, in the mode that it is compiled for.
        trial: (network) -> runs it forward and backward, which compiles it. Whatever that does to
            buffers, gradients and random numbers is undone.
        backend: of torch.compile.
    """
    logger.info("compiles the network; that takes minutes unless %s has it", _cache())
    buffers = {name: value.clone() for name, value in net.named_buffers()}
    generators = rng_state()
    begun = time.monotonic()
    compiled = cast(nn.Module, torch.compile(net, backend=backend))
    try:
        trial(compiled)
    except Exception as error:  # compilers raise many kinds, none of them promised
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        logger.info(
            "the network cannot be compiled (%s); it is trained as it is, slower. compile: false "
            "omits the attempt",
            reason,
        )
        compiled = net
    else:
        logger.info("compiled in %.0f s", time.monotonic() - begun)
    with torch.no_grad():
        for name, value in net.named_buffers():
            value.copy_(buffers[name])
    net.zero_grad()
    set_rng_state(generators)
    return compiled


def _cache() -> str:
    return os.environ.get(CACHE, "torch's own cache")
