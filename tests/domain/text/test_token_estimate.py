"""The estimates of tokens: an average adds up, and a budget is rather too high."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromem.domain.text.token_estimate import average_tokens, estimate_tokens


@given(st.text(), st.text())
def test_the_averages_of_parts_add_up(one: str, other: str) -> None:
    assert average_tokens(one + other) == pytest.approx(average_tokens(one) + average_tokens(other))


@given(st.text())
def test_an_estimate_is_a_number_of_tokens(text: str) -> None:
    assert estimate_tokens(text) >= bool(text.strip(" "))


@pytest.mark.parametrize(
    "text",
    ["She moved to Rome in May 2023 and works at a bank.", "她在北京的一家银行工作。", "SELECT a, b FROM t;"],
)
def test_a_budget_is_counted_higher_than_an_average(text: str) -> None:
    assert average_tokens(text) <= estimate_tokens(text)
