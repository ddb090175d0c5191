"""Every `data.format` has a reader and a naming of folders."""

from __future__ import annotations

from typing import get_args

from stages.ingestion.formats import READERS
from stages.ingestion.naming import NAMINGS
from stages.params import DataParams


def test_the_formats_of_the_parameters_are_those_that_can_be_read() -> None:
    formats = set(get_args(DataParams.model_fields["format"].annotation))
    assert set(READERS) == formats
    assert set(NAMINGS) == formats
