"""Spans on the calendar, all in the time zone of ``now``.

``now`` is everywhere the moment at which the question is asked, with a time zone; days begin at midnight of that zone.
Every function raises `ValueError` or `OverflowError` for a date that does not exist or lies outside of the years 1 to
9999.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from neuromem.domain.query import Span

DAY = timedelta(days=1)


def midnight(moment: datetime) -> datetime:
    """Return the moment at which the day of ``moment`` begins."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def days_span(start: datetime, count: float) -> Span:
    """Return ``count`` days from ``start`` on."""
    return Span(start, start + timedelta(days=count))


def day_span(step: int, now: datetime) -> Span:
    """Return the day ``step`` days from today: 0 is today, -1 yesterday."""
    return days_span(midnight(now) + timedelta(days=step), 1)


def date_span(year: int, month: int, day: int, now: datetime) -> Span:
    """Return the day with this date."""
    return days_span(datetime(year, month, day, tzinfo=now.tzinfo or UTC), 1)


def month_span(year: int, month: int, now: datetime) -> Span:
    """Return a month, 1 being January."""
    start = datetime(year, month, 1, tzinfo=now.tzinfo or UTC)
    return Span(start, (start + timedelta(days=32)).replace(day=1))


def season_span(first_month: int, year: int, now: datetime) -> Span:
    """Return the three months of a northern season; a winter begins in December of its year."""
    start = datetime(year, first_month, 1, tzinfo=now.tzinfo or UTC)
    return Span(start, (start + timedelta(days=95)).replace(day=1))


def year_span(year: int, now: datetime) -> Span:
    """Return a year."""
    zone = now.tzinfo or UTC
    return Span(datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone))


def latest_year_of(month: int, now: datetime) -> int:
    """Return the year in which this month began for the last time: this year, or the last one."""
    return now.year if month <= now.month else now.year - 1


def week_span(step: int, now: datetime) -> Span:
    """Return the week, Monday to Sunday, ``step`` weeks from this one."""
    today = midnight(now)
    return days_span(today - timedelta(days=today.weekday()) + timedelta(weeks=step), 7)


def weekend_span(step: int, now: datetime) -> Span:
    """Return the Saturday and Sunday of the week ``step`` weeks from this one."""
    return days_span(week_span(step, now).start + timedelta(days=5), 2)


def month_span_from(step: int, now: datetime) -> Span:
    """Return the month ``step`` months from this one."""
    months = now.year * 12 + now.month - 1 + step
    return month_span(months // 12, months % 12 + 1, now)


def weekday_before(weekday: int, now: datetime) -> Span:
    """Return the last such day before today; 0 is Monday. On a Monday, Monday is a week ago."""
    return day_span(-((now.weekday() - weekday) % 7 or 7), now)


def span_ago(count: float, unit_days: int, now: datetime) -> Span:
    """Return what "``count`` units ago" may mean: a day, or a whole unit with that day in its middle.

    Args:
        count: How many units; 0.5 is half of one.
        unit_days: Days of a unit: 1, 7, 30 or 365.
        now: The moment from which it is counted.
    """
    center = midnight(now) - timedelta(days=count * unit_days)
    return Span(center - timedelta(days=unit_days // 2), center + timedelta(days=unit_days // 2 + 1))


def last_units(count: float, unit_days: int, now: datetime) -> Span:
    """Return the last ``count`` units of ``unit_days`` days each, today included."""
    return Span(midnight(now) - timedelta(days=count * unit_days), midnight(now) + DAY)


def recent_span(now: datetime) -> Span:
    """Return what "recently" means: the last 30 days, today included."""
    return Span(now - timedelta(days=30), now + DAY)
