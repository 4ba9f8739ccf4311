"""The error of a file that cannot be stored."""

from __future__ import annotations


class RefusedFileError(Exception):
    """The file cannot be stored; the message continues "The file ... of user ...".

    Args:
        message: What is wrong with the file.
        extra: The extra of the distribution whose installation would help; None: none would.
    """

    def __init__(self, message: str, *, extra: str | None = None) -> None:
        super().__init__(message)
        self.extra = extra
