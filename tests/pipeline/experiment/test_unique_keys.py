"""YAML without a key twice; what is merged may be overridden."""

from __future__ import annotations

import pytest
import yaml

from pipeline.experiment.unique_keys import DuplicateKeyError, load_unique

MERGED = """
variants:
  plain:
    set: &own {a: 1, b: 2}
  twice: {set: &other {<<: *own, a: 3}}
  both: {set: {<<: [*own, *other], b: 4}}
  after: {set: {b: 5, <<: *other}}
  again: {set: *other}
"""


def test_merged_keys_may_be_overridden() -> None:
    found = load_unique(MERGED)
    assert found == yaml.safe_load(MERGED)
    sets = {name: one["set"] for name, one in found["variants"].items()}
    assert sets == {
        "plain": {"a": 1, "b": 2},
        "twice": {"a": 3, "b": 2},
        "both": {"a": 1, "b": 4},
        "after": {"a": 3, "b": 5},
        "again": {"a": 3, "b": 2},
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: {c: 1}\na: 2\n", r"line 3: the key 'a' .* on line 1 already"),
        ("a:\n  b:\n    c: 1\n    'c': 2\n", r"line 4: the key 'c' .* on line 3 already"),
        ("a: {b: 1, b: 1}\n", r"line 1: the key 'b' .* on line 1 already"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n  b: 2\n  b: 3\n", r"line 5: the key 'b' .* on line 4"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n  <<: *a\n", r"line 4: the key '<<' .* on line 3"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(text: str, words: str) -> None:
    assert yaml.safe_load(text) is not None, "plain YAML takes it"
    with pytest.raises(DuplicateKeyError, match=words):
        load_unique(text)


def test_the_same_key_in_other_mappings_is_none_twice() -> None:
    assert load_unique("a: {b: 1}\nc: {b: 1}\nd: [{b: 1}, {b: 2}]\n")["d"] == [{"b": 1}, {"b": 2}]
