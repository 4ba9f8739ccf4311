"""Fragments of SQL and their parameters."""

from __future__ import annotations

import pytest

from neuromem.store.database.sql import NOTHING, TRUE, Fragment, all_of, fill, place_names


def test_a_template_takes_the_parameters_of_what_fills_it() -> None:
    inner = fill("x = {value} AND {rest}", value=Fragment(":x", {"x": 1}), rest="y")
    whole = fill("SELECT FROM {s}.t WHERE {condition}", condition=inner)
    assert whole == Fragment("SELECT FROM {s}.t WHERE x = :x AND y", {"x": 1})


def test_every_place_is_filled_and_everything_has_a_place() -> None:
    with pytest.raises(ValueError, match=r"Nothing fills the place \{b\}"):
        fill("{a} {b}", a="1")
    with pytest.raises(ValueError, match="no place for c"):
        fill("{a}", a="1", c="2")
    assert place_names("{a} FROM {s}.t WHERE {b}") == {"a", "b"}


def test_one_parameter_has_one_value() -> None:
    one, other = Fragment("a = :x", {"x": 1}), Fragment("b = :x", {"x": 2})
    with pytest.raises(ValueError, match="Two fragments give :x different values"):
        all_of([one, other])
    both = all_of([one, other.rename_parameter("x", "y")])
    assert both == Fragment("a = :x AND b = :y", {"x": 1, "y": 2})
    assert Fragment("a::x = :x AND :xy", {"x": 1}).rename_parameter("x", "y").sql == "a::x = :y AND :xy"


def test_a_conjunction_leaves_out_what_is_empty() -> None:
    assert all_of([]) == all_of([NOTHING]) == TRUE
    assert all_of([NOTHING, Fragment("a")]).sql == "a"
