"""Times in questions: read precisely, never from words that only look like times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromem.domain.time.parser import read_time_spans

NOW = datetime(2024, 7, 10, 15, tzinfo=UTC)  # a Wednesday
CHINESE = "一二三四五六七八九十两几半零〇个月年天日周星期前后上下去今明大春夏秋冬的号之以来近过第每份末0129-/"
ENGLISH = [
    *(
        "last",
        "this",
        "next",
        "in",
        "on",
        "may",
        "march",
        "5",
        "10",
        "2023",
        "before",
        "after",
        "since",
        "until",
    ),
    *(
        "the",
        "spring",
        "week",
        "ago",
        "a",
        "few",
        "couple",
        "of",
        "two",
        "days",
        "years",
        "months",
        "weekend",
    ),
    *("monday", "early", "mid", "end", "yesterday", ",", "?", "99"),
]
MOMENTS = [
    NOW,
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime(2024, 2, 29, 23, 59, tzinfo=timezone(timedelta(hours=14))),
]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("What did I do last week?", "2024-07-01", "2024-07-08"),
        ("in May 2023", "2023-05-01", "2023-06-01"),
        ("on 8 May 2023", "2023-05-08", "2023-05-09"),
        ("on May 8th, 2023", "2023-05-08", "2023-05-09"),
        ("2023-05-08", "2023-05-08", "2023-05-09"),
        ("2023/5/8", "2023-05-08", "2023-05-09"),
        ("yesterday", "2024-07-09", "2024-07-10"),
        ("the day before yesterday", "2024-07-08", "2024-07-09"),
        ("this morning", "2024-07-10", "2024-07-11"),
        ("last Monday", "2024-07-08", "2024-07-09"),
        ("two weeks ago", "2024-06-23", "2024-06-30"),
        ("a few days ago", "2024-07-07", "2024-07-08"),
        ("in the spring", "2024-03-01", "2024-06-01"),
        ("last spring", "2024-03-01", "2024-06-01"),
        ("last summer", "2023-06-01", "2023-09-01"),
        ("this summer", "2024-06-01", "2024-09-01"),
        ("next spring", "2025-03-01", "2025-06-01"),
        ("at the end of May", "2024-05-01", "2024-06-01"),
        ("in March?", "2024-03-01", "2024-04-01"),
        ("on May 3 people came", "2024-05-03", "2024-05-04"),
        ("in December", "2023-12-01", "2024-01-01"),
        ("in 2022", "2022-01-01", "2023-01-01"),
        ("上周", "2024-07-01", "2024-07-08"),
        ("上周五去了哪", "2024-07-05", "2024-07-06"),
        ("周三", "2024-07-03", "2024-07-04"),
        ("前天", "2024-07-08", "2024-07-09"),
        ("去年五月", "2023-05-01", "2023-06-01"),
        ("2023年5月8号", "2023-05-08", "2023-05-09"),
        ("二〇二三年五月", "2023-05-01", "2023-06-01"),
        ("２０２３年５月", "2023-05-01", "2023-06-01"),
        ("上週五", "2024-07-05", "2024-07-06"),
        ("兩個半月前", "2024-04-11", "2024-05-12"),
        ("大前年", "2021-01-01", "2022-01-01"),
        ("三天前", "2024-07-07", "2024-07-08"),
        ("两个半月前", "2024-04-11", "2024-05-12"),
        ("上个月", "2024-06-01", "2024-07-01"),
        ("上个月五号", "2024-06-05", "2024-06-06"),
        ("去年夏天", "2023-06-01", "2023-09-01"),
    ],
)
def test_times_are_read_relative_to_now(text: str, start: str, end: str) -> None:
    (span,) = read_time_spans(text, NOW)
    assert (span.start.date().isoformat(), span.end.date().isoformat()) == (start, end)


@pytest.mark.parametrize(
    "text",
    [
        "spring framework",
        "in spring framework",
        "fall off the bike",
        "May I ask?",
        "may 10 people come?",
        "march on",
        "march forward",
        "march 20 miles",
        "April said",
        "10:30",
        "31 June",
        "room 2023b",
        "in 2000 words",
        "on my birthday",
        "第二天",
        "第三天前",
        "以前天气怎么样",
        "以后天天",
        "每周三",
        "一周三次",
        "五月天的演唱会",
    ],
)
def test_words_that_only_look_like_times_are_none(text: str) -> None:
    assert read_time_spans(text, NOW) == ()


@pytest.mark.parametrize("text", ["since 2022", "after 2022", "从2022年开始", "2022年以来", "2022年之后"])
def test_since_opens_a_span_to_now(text: str) -> None:
    (span,) = read_time_spans(text, NOW)
    assert (span.start.year, span.end >= NOW) == (2022, True)


@pytest.mark.parametrize("text", ["before May 2023", "until May 2023", "2023年五月之前", "2023年五月以前"])
def test_before_opens_a_span_into_the_past(text: str) -> None:
    (span,) = read_time_spans(text, NOW)
    assert span.start < datetime(2023, 1, 1, tzinfo=UTC)
    assert span.end == datetime(2023, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["What did I buy before the trip in spring?", "春天的旅行之前我买了什么？"])
def test_before_something_in_a_season_is_before_its_end(text: str) -> None:
    (span,) = read_time_spans(text, NOW)
    winter, april, now = (span.nearness(NOW - timedelta(days=days)) for days in (170, 90, 0))
    assert winter == april == 1 > now


def test_after_something_in_a_month_lasts_until_now_but_a_day_stays_a_day() -> None:
    (span,) = read_time_spans("after I met Anna in May 2023", NOW)
    assert (span.start, span.end) == (datetime(2023, 5, 1, tzinfo=UTC), NOW)
    assert read_time_spans("before lunch yesterday", NOW) == read_time_spans("yesterday", NOW)


@pytest.mark.parametrize("text", ["yesterday ", "since the spring ", "三年前", "一", "may ", "last the "])
def test_a_long_text_is_read_without_delay(text: str) -> None:
    """Linear in its length: quadratic reading of 100,000 characters would take minutes."""
    assert len(read_time_spans(text * (100_000 // len(text)), NOW)) <= 20


def test_a_day_begins_where_now_is() -> None:
    shanghai = timezone(timedelta(hours=8))
    (span,) = read_time_spans("昨天", datetime(2024, 7, 10, 2, tzinfo=shanghai))
    assert span.start == datetime(2024, 7, 8, 16, tzinfo=UTC)


# hypothesis takes naive bounds and puts the time zone on what it draws
@given(
    st.text(),
    st.datetimes(datetime(1000, 1, 1), datetime(3000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_no_text_raises_and_spans_are_in_order(text: str, now: datetime) -> None:
    for span in read_time_spans(f"last {text} in may 十一月{text}前 99 days ago", now):
        assert span.start < span.end
        assert 0 < span.nearness(now) <= 1


@given(
    st.one_of(st.text(CHINESE, max_size=12), st.lists(st.sampled_from(ENGLISH), max_size=9).map(" ".join)),
    st.sampled_from(MOMENTS),
)
@pytest.mark.parametrize("frame", ["{}", "before {}", "十一二月{}", "{}之前", "{}几年前"])
def test_no_mixture_of_time_words_raises(frame: str, text: str, now: datetime) -> None:
    for span in read_time_spans(frame.format(text), now):
        assert span.start < span.end
