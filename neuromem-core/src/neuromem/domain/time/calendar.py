"""Spans on the calendar, in the time zone of the moment that they are seen from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from neuromem.domain.query import Span

DAY = timedelta(days=1)


def midnight(moment: datetime) -> datetime:
    """Return the beginning of the day."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def days(start: datetime, count: float) -> Span:
    """Return so many days."""
    return Span(start, start + timedelta(days=count))


def day(step: int, now: datetime) -> Span:
    """Return the day that lies ``step`` days from today."""
    return days(midnight(now) + timedelta(days=step), 1)


def date(year: int, month: int, number: int, now: datetime) -> Span:
    """Return a day of the calendar."""
    return days(datetime(year, month, number, tzinfo=now.tzinfo or UTC), 1)


def month(year: int, number: int, now: datetime) -> Span:
    """Return a month."""
    start = datetime(year, number, 1, tzinfo=now.tzinfo or UTC)
    return Span(start, (start + timedelta(days=32)).replace(day=1))


def season(first: int, year: int, now: datetime) -> Span:
    """Return a northern season by its first month; a winter begins in December of its year."""
    start = datetime(year, first, 1, tzinfo=now.tzinfo or UTC)
    return Span(start, (start + timedelta(days=95)).replace(day=1))


def year(number: int, now: datetime) -> Span:
    """Return a year."""
    zone = now.tzinfo or UTC
    return Span(datetime(number, 1, 1, tzinfo=zone), datetime(number + 1, 1, 1, tzinfo=zone))


def last_with(number: int, now: datetime) -> int:
    """Return the year of the last such month that has begun."""
    return now.year if number <= now.month else now.year - 1


def week(step: int, now: datetime) -> Span:
    """Return the week, from Monday on, that lies ``step`` weeks from this one."""
    today = midnight(now)
    return days(today - timedelta(days=today.weekday()) + timedelta(weeks=step), 7)


def weekend(step: int, now: datetime) -> Span:
    """Return the Saturday and Sunday of that week."""
    return days(week(step, now).start + timedelta(days=5), 2)


def month_from(step: int, now: datetime) -> Span:
    """Return the month that lies ``step`` months from this one."""
    months = now.year * 12 + now.month - 1 + step
    return month(months // 12, months % 12 + 1, now)


def weekday_before(number: int, now: datetime) -> Span:
    """Return the last such weekday before today, Monday being 0."""
    return day(-((now.weekday() - number) % 7 or 7), now)


def ago(count: float, size: int, now: datetime) -> Span:
    """Return what "count units ago" may mean: a day, or a unit around that moment."""
    middle = midnight(now) - timedelta(days=count * size)
    return Span(middle - timedelta(days=size // 2), middle + timedelta(days=size // 2 + 1))


def past(count: float, size: int, now: datetime) -> Span:
    """Return the last so many units, today included."""
    return Span(midnight(now) - timedelta(days=count * size), midnight(now) + DAY)


def recently(now: datetime) -> Span:
    """Return the last month."""
    return Span(now - timedelta(days=30), now + DAY)
