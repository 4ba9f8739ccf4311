"""Dates and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neuromem.cli.options.click_types import ParamType
from neuromem.errors import InputError

if TYPE_CHECKING:
    from click import Context, Parameter

FORM = "ISO 8601, such as 2023-05-08, 2023-05-08T13:56 or 2023-05-08T13:56:00+02:00; without a zone it is UTC"


def read_moment(text: object) -> datetime:
    """Return the moment that an ISO 8601 text names; one without a zone is taken as UTC."""
    try:
        if not isinstance(text, str):
            raise ValueError
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"{text!r} is no date; write it in {FORM}") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class Moment(ParamType[datetime]):
    """The type of an option that takes a moment."""

    name = "date"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        try:
            return read_moment(value)
        except InputError as error:
            self.fail(f"{error}.", param, ctx)
