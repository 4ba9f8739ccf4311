"""Dates and times as people write them on the command line and in files that they import."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from neuromem.errors import InputError

if TYPE_CHECKING:
    from click import Context, Parameter, ParamType
else:

    class ParamType(click.ParamType):
        """Click's own type, which in older versions of click does not take the type of its result in brackets."""

        def __class_getitem__(cls, result):
            return cls


DATETIME_FORMAT = (
    "ISO 8601, such as 2023-05-08, 2023-05-08T13:56 or 2023-05-08T13:56:00+02:00; without a zone it is UTC"
)


def parse_datetime(text: object) -> datetime:
    """Return the moment that an ISO 8601 text names, in UTC where it names no zone; raises `InputError`."""
    try:
        if not isinstance(text, str):
            raise ValueError
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"{text!r} is no date; write it in {DATETIME_FORMAT}") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class DatetimeType(ParamType[datetime]):
    """The type of an option that takes a date or a moment."""

    name = "date"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> datetime:
        """Return the moment; what cannot be read ends the command with an error about the option."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_datetime(value)
        except InputError as error:
            self.fail(f"{error}.", param, ctx)
