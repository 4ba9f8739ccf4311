"""Times in questions: read precisely, never from words that only look like times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromem.recall.moments import read

NOW = datetime(2024, 7, 10, 15, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("What did I do last week?", "2024-07-01", "2024-07-08"),
        ("in May 2023", "2023-05-01", "2023-06-01"),
        ("on 8 May 2023", "2023-05-08", "2023-05-09"),
        ("on May 8th, 2023", "2023-05-08", "2023-05-09"),
        ("2023-05-08", "2023-05-08", "2023-05-09"),
        ("yesterday", "2024-07-09", "2024-07-10"),
        ("last Monday", "2024-07-08", "2024-07-09"),
        ("before the trip in spring", "2024-03-01", "2024-06-01"),
        ("last summer", "2024-06-01", "2024-09-01"),
        ("in March?", "2024-03-01", "2024-04-01"),
        ("in December", "2023-12-01", "2024-01-01"),
        ("in 2022", "2022-01-01", "2023-01-01"),
        ("上周", "2024-07-01", "2024-07-08"),
        ("上周五去了哪", "2024-07-05", "2024-07-06"),
        ("去年五月", "2023-05-01", "2023-06-01"),
        ("2023年5月8号", "2023-05-08", "2023-05-09"),
        ("三天前", "2024-07-07", "2024-07-08"),
        ("上个月", "2024-06-01", "2024-07-01"),
        ("去年夏天", "2023-06-01", "2023-09-01"),
    ],
)
def test_times_are_read_relative_to_now(text: str, start: str, end: str) -> None:
    (span,) = read(text, NOW)
    assert (span.start.date().isoformat(), span.end.date().isoformat()) == (start, end)


@pytest.mark.parametrize(
    "text",
    ["spring framework", "in spring framework", "May I ask?", "march on", "10:30", "31 June", "room 2023b"],
)
def test_words_that_only_look_like_times_are_none(text: str) -> None:
    assert read(text, NOW) == ()


def test_since_and_before_open_a_span() -> None:
    (since,) = read("since 2022", NOW)
    assert (since.start.year, since.end >= NOW) == (2022, True)
    (before,) = read("before May 2023", NOW)
    assert before.end == datetime(2023, 5, 1, tzinfo=UTC)


# hypothesis takes naive bounds and puts the time zone on what it draws
@given(
    st.text(),
    st.datetimes(datetime(1000, 1, 1), datetime(3000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_no_text_raises_and_spans_are_in_order(text: str, now: datetime) -> None:
    for span in read(f"last {text} in may 十一月{text}前 99 days ago", now):
        assert span.start < span.end
        assert 0 < span.nearness(now) <= 1
