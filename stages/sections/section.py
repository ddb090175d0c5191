"""A section of `params.yaml` as a frozen, checked object, and its faults in plain words.

The text under a field is its meaning, unit and source. Its first paragraph is the comment of the
key in `params.yaml`, where `python -m pipeline.profiles.comments` writes it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin

import pydantic
import yaml
from pydantic import Field

Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Device = Literal["auto", "cpu", "cuda"]
LoaderWorkers = Annotated[int, Field(ge=-1)]
Automatic = Literal["auto", True, False]


class Section(pydantic.BaseModel):
    """A part of `params.yaml`: read-only, and a key it does not know is an error."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    one_line: ClassVar[bool] = False
    """Whether `params.yaml` has it on one line, as {key: value, ...}."""

    def keywords(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Its keys as keyword arguments of the constructor that takes them.

        tests/stages/test_keywords.py holds names and types against each constructor's signature.
        """
        fields = type(self).model_fields
        return {name: getattr(self, name) for name in fields if name not in without}


AnySection = TypeVar("AnySection", bound=Section)


def section_of(schema: type[Section], key: str) -> type[Section] | None:
    """The class of the section under this key, or of those by name; None if it holds a value."""
    annotation = schema.model_fields[key].annotation
    if get_origin(annotation) is dict:
        annotation = get_args(annotation)[1]
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None


def plain(section: Section) -> dict[str, Any]:
    """The section as `params.yaml` has it: dictionaries, lists and values."""
    return {key: _plain(getattr(section, key)) for key in type(section).model_fields}


def defaults(schema: type[Section]) -> dict[str, Any]:
    """Every key with its default, likewise."""
    return plain(schema())


def as_yaml(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return text.removesuffix("...\n").strip()


def checked(schema: type[AnySection], values: Any) -> tuple[AnySection | None, list[str]]:
    """The section with these values, or None and a line for each fault."""
    try:
        return schema.model_validate(values), []
    except pydantic.ValidationError as error:
        return None, list(explain(schema, error))


def missing_keys(schema: type[Section], values: Any) -> Iterator[str]:
    """A line for each key that `values`, read from the file, does not have."""
    yield from _missing(values, defaults(schema), "")


def _missing(values: Any, default: Mapping[str, Any], prefix: str) -> Iterator[str]:
    if not isinstance(values, dict):
        return  # pydantic's message says so
    for key, value in default.items():
        if key not in values:
            yield f"  {prefix}{key}: is missing; its default is {as_yaml(value)}"
        elif isinstance(value, dict):
            yield from _missing(values[key], value, f"{prefix}{key}.")


def explain(schema: type[Section], error: pydantic.ValidationError) -> Iterator[str]:
    """A line for each fault: the dotted key, what is wrong, and the nearest known key."""
    for detail in error.errors():
        *sections, name = [str(part) for part in detail["loc"]] or ["(whole file)"]
        key = ".".join([*sections, name])
        message = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, _known(schema, sections), n=1)
            hint = f"; did you mean {'.'.join([*sections, near[0]])}?" if near else ""
            yield f"  {key}: unknown key{hint}"
        elif detail["loc"] and not isinstance(detail["input"], dict):
            yield f"  {key}: {message} (found {detail['input']!r})"
        else:
            yield f"  {key}: {message}"


def _known(schema: type[Section], sections: list[str]) -> list[str]:
    """The keys of the section with this path."""
    for name in sections:
        if name in schema.model_fields:  # else it is the name of one of several sections
            schema = section_of(schema, name) or schema
    return list(schema.model_fields)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return plain(value)
    return list(value) if isinstance(value, tuple) else value
