"""Chinese times: patterns over simplified characters, each with the function that makes a span of a match.

`RULES` has the same form as the rules of `english`; `simplified` turns a text into what they match.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from neuromem.domain.time import calendar

if TYPE_CHECKING:
    import re
    from datetime import datetime

    from neuromem.domain.query import Span
    from neuromem.domain.time.english import Rule

DIGITS = "〇一二三四五六七八九"
NUMBERS = {
    "零": 0,
    "两": 2,
    "十": 10,
    "几": 3,
    "半": 0.5,
    **{digit: value for value, digit in enumerate(DIGITS)},
}
SIZES = {"天": 1, "日": 1, "周": 7, "星期": 7, "礼拜": 7, "月": 30, "年": 365}
YEARS = {"大前年": -3, "前年": -2, "去年": -1, "今年": 0, "明年": 1, "后年": 2}
SEASONS = {"春": 3, "夏": 6, "秋": 9, "冬": 12}
NAMED = {
    "大前天": -3,
    "前天": -2,
    "昨天": -1,
    "昨晚": -1,
    "昨夜": -1,
    "昨日": -1,
    "今天": 0,
    "今晚": 0,
    "今早": 0,
    "今日": 0,
    "明天": 1,
    "明日": 1,
    "后天": 2,
    "大后天": 3,
}
WEEKDAYS = "一二三四五六日天"

_SIMPLE = str.maketrans("週個禮兩後幾號過這來開從間時陣", "周个礼两后几号过这来开从间时阵")


def simplified(text: str) -> str:
    """Return a text in which the traditional characters of words for times are replaced by simplified ones."""
    return text.translate(_SIMPLE)


def _number(text: str) -> float:
    """Return a number up to 99 of digits or characters; raises `LookupError` for anything else, such as 二三."""
    if text.isdigit():
        return int(text)
    if "十" not in text:
        return NUMBERS[text]
    tens, _, ones = text.partition("十")  # 十一, 二十, 二十三
    return (NUMBERS[tens] if tens else 1) * 10 + (NUMBERS[ones] if ones else 0)


def _year(text: str, now: datetime) -> int:
    if text in YEARS:
        return now.year + YEARS[text]
    return int("".join(str(int(NUMBERS.get(digit, digit))) for digit in text.rstrip("年")))


def _weekday(text: str) -> int:
    return min(WEEKDAYS.index(text), 6)


def _date(match: re.Match[str], now: datetime) -> Span:
    month = int(_number(match["month"]))
    year = _year(match["year"], now) if match["year"] else calendar.latest_year_of(month, now)
    return (
        calendar.date_span(year, month, int(_number(match["day"])), now)
        if match["day"]
        else calendar.month_span(year, month, now)
    )


def _season(match: re.Match[str], now: datetime) -> Span:
    first = SEASONS[match["season"]]
    year = _year(match["year"], now) if match["year"] else calendar.latest_year_of(first, now)
    return calendar.season_span(first, year, now)


def _unit(match: re.Match[str], now: datetime) -> Span:
    step = {"上上": -2, "上": -1, "下": 1, "下下": 2}.get(match["which"], 0)
    if match["month"]:
        span = calendar.month_span_from(step, now)
        day = match["day"]
        return calendar.date_span(span.start.year, span.start.month, int(_number(day)), now) if day else span
    if match["unit"] == "周末":
        return calendar.weekend_span(step, now)
    week = calendar.week_span(step, now)
    return (
        calendar.days_span(week.start + timedelta(days=_weekday(match["weekday"])), 1)
        if match["weekday"]
        else week
    )


def _count(match: re.Match[str]) -> float:
    return _number(match["n"]) + (0.5 if match["half"] else 0.0)


_HAN = r"(?:\d{1,2}|[一二三四五六七八九十]{1,3})"
_N = r"(?P<n>\d{1,3}|[一二两三四五六七八九十几半]{1,3})个?(?P<half>半)?"
_SIZE = "(?P<unit>天|日|周|星期|礼拜|月|年)"
_YEAR = rf"(?:(?:19|20)\d{{2}}|[一二][{DIGITS}零]{{3}})年|大?前年|去年|今年|明年|后年"

# 五月天 is a band, 第三天 a day of a count, 以前天气 and 以后天天 are cut elsewhere.
RULES: tuple[Rule, ...] = (
    (rf"(?P<year>{_YEAR})?的?(?P<month>{_HAN})月份?(?!天(?!气))(?:(?P<day>{_HAN})[日号])?", _date),
    (rf"(?P<year>{_YEAR})?的?(?P<season>[春夏秋冬])[天季]", _season),
    (
        rf"(?<![第个]){_N}{_SIZE}(?:以|之)?前",
        lambda m, now: calendar.span_ago(_count(m), SIZES[m["unit"]], now),
    ),
    (
        rf"(?:过去|近){_N}{_SIZE}",
        lambda m, now: calendar.last_units(_count(m), SIZES[m["unit"]], now),
    ),
    (
        r"(?P<which>上上|上|这|本|下下|下)个?(?:(?P<month>月)(?![球台])"
        rf"(?:(?P<day>{_HAN})[日号])?|(?P<unit>周末|周|星期|礼拜)(?P<weekday>[{WEEKDAYS}])?)",
        _unit,
    ),
    (
        rf"(?<![每隔一两几\d])(?:周|星期|礼拜)(?P<weekday>[{WEEKDAYS}])(?![次年])",
        lambda m, now: calendar.weekday_before(_weekday(m["weekday"]), now),
    ),
    (
        r"大前天|(?<![以之])前天(?!气)|昨[天晚夜日]|今[天晚早日]|明[天日]|大后天|(?<![以之])后天(?!气)",
        lambda m, now: calendar.day_span(NAMED[m.group()], now),
    ),
    (
        "最近|近来|近期|[前这]几天|[前这]阵子|[前这]段时间",
        lambda m, now: calendar.recent_span(now),
    ),
    (rf"(?P<year>{_YEAR})", lambda m, now: calendar.year_span(_year(m["year"], now), now)),
)
