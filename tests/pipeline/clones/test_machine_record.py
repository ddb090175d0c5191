"""What is recorded of the machine of a training."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from pipeline.clones import machine_record
from pipeline.clones.machine_record import Machine

MODEL = "processor\t: 0\nmodel name\t: AMD EPYC\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (f"{MODEL}flags\t\t: fpu avx avx2 avx512f avx512bw\n", "AMD EPYC (AVX-512)"),
        (f"{MODEL}flags\t\t: fpu avx avx2\n\n{MODEL}flags\t\t: fpu avx avx2\n", "AMD EPYC (AVX2)"),
        (f"{MODEL}flags\t\t: fpu sse4_2\n", "AMD EPYC"),
        (MODEL, "AMD EPYC"),
    ],
)
def test_processors_of_one_name_are_told_apart_by_their_widest_instructions(
    cpuinfo: str, name: str
) -> None:
    """What they compute differs in last bits."""
    assert machine_record._cpu(cpuinfo) == name


def test_without_a_name_it_is_the_platform_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert machine_record._cpu("") == "aarch64"


def test_differences_name_both_machines() -> None:
    here = Machine.here()
    assert here.differences(asdict(here)) == []
    other = replace(here, cpu="Another", cores=here.cores + 1)
    assert other.differences(asdict(here)) == [
        f"cpu {here.cpu} (here Another)",
        f"cores {here.cores} (here {here.cores + 1})",
    ]
