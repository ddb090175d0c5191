"""The machine of a training: what its digits depend on beside code, data and parameters."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from handpose.cores import usable_cores

CPUINFO = Path("/proc/cpuinfo")
NVIDIA = Path("/proc/driver/nvidia/version")
WIDEST = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX"}
"""Flags of /proc/cpuinfo for vector instructions, widest first."""


@dataclass(frozen=True)
class Machine:
    """What the digits of a training depend on beside code, data and parameters."""

    cpu: str
    cores: int
    omp_num_threads: str | None  # the environment variable, which limits torch's threads
    gpu: str | None
    python: str
    torch: str
    numpy: str

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        return cls(
            cpu=_cpu(CPUINFO.read_text("utf-8") if CPUINFO.exists() else ""),
            cores=usable_cores(),
            omp_num_threads=os.environ.get("OMP_NUM_THREADS"),
            gpu=_gpu(),
            python=platform.python_version(),
            torch=metadata.version("torch"),
            numpy=metadata.version("numpy"),
        )

    def differences(self, record: Mapping[str, Any]) -> list[str]:
        """What a record of another training has otherwise, as `torch 2.14.0 (here 2.15.0)`."""
        return [
            f"{key} {record.get(key)} (here {value})"
            for key, value in asdict(self).items()
            if record.get(key) != value
        ]


def _cpu(cpuinfo: str) -> str:
    """The model from the text of /proc/cpuinfo, as `AMD EPYC (AVX2)`; ARM's has none.

    Processors of one name may differ in their widest instructions, and with them in the last bits
    of what they compute.
    """
    fields = [line.partition(":") for line in cpuinfo.splitlines()]
    values = {key.strip(): value.strip() for key, _, value in fields}
    name = values.get("model name", "") or platform.processor() or platform.machine()
    flags = values.get("flags", "").split()
    widest = next((words for flag, words in WIDEST.items() if flag in flags), "")
    return f"{name} ({widest})" if widest else name


def _gpu() -> str | None:
    """Torch takes seconds to import, so only where there is a driver."""
    if not NVIDIA.exists():
        return None
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
