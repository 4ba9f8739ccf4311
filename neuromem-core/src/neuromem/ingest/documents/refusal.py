"""Why a file cannot be taken."""

from __future__ import annotations


class Refused(Exception):  # noqa: N818  it is the file that is at fault
    """The file cannot be taken; the message continues "The file ... of user ...".

    ``extra`` names the extra of the distribution that would help.
    """

    def __init__(self, message: str, *, extra: str | None = None) -> None:
        super().__init__(message)
        self.extra = extra
