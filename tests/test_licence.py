"""LICENSE, NOTICE, CITATION.cff and pyproject.toml agree on what may be done with this code."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt."""


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    return dict(yaml.safe_load(text))


def test_licence_is_the_unchanged_text_of_apache_2() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_the_licence_is_declared_alike_everywhere(citation: dict[str, Any]) -> None:
    assert PROJECT["license"] == citation["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE", "NOTICE"]
    assert "Apache License, Version 2.0 (see LICENSE)" in flowing(ROOT / "NOTICE")


@pytest.mark.parametrize(
    ("party", "limit"),
    [
        ("smplx", "forbids redistribution"),
        ("MANO", "no redistribution"),
        ("InterHand2.6M", "CC BY-NC 4.0"),
        ("Weights and results derived", "non-commercial research only"),
    ],
)
def test_notice_says_what_third_parties_forbid(party: str, limit: str) -> None:
    sections = (ROOT / "NOTICE").read_text("utf-8").split("\n\n")
    found = [" ".join(s.split()) for s in sections if s.lstrip().startswith(party)]
    assert len(found) == 1
    assert limit in found[0]


def test_notice_names_the_one_dependency_that_is_not_open_source() -> None:
    assert "smplx" in PROJECT["dependencies"]
    assert (ROOT / "handpose" / "hand" / "mano.py").is_file()
    assert "handpose/hand/mano.py" in flowing(ROOT / "NOTICE")


def test_citation_has_what_format_1_2_0_requires(citation: dict[str, Any]) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert {"authors", "cff-version", "message", "title"} <= set(citation)
    assert all("name" in author or "family-names" in author for author in citation["authors"])
    assert citation["version"] == PROJECT["version"]


def test_citation_names_the_paper(citation: dict[str, Any]) -> None:
    paper = citation["preferred-citation"]
    assert {"type", "title", "authors"} <= set(paper)  # required of every reference
    assert [author["family-names"] for author in paper["authors"]] == ["Hong", "Košecká"]
    assert re.fullmatch(r"10\.\d{4,9}/[\w.]+", paper["doi"])
    arxiv = paper["doi"].removeprefix("10.48550/arXiv.")
    assert paper["url"].endswith(f"/{arxiv}")
    assert f"arXiv {arxiv}" in flowing(ROOT / "README.md")


def flowing(path: Path) -> str:
    """The text of a file, without its line breaks."""
    return " ".join(path.read_text("utf-8").split())
