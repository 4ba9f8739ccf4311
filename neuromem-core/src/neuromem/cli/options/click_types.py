"""The base of our own option types, in every version of click."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from click import ParamType
else:
    import click

    class ParamType(click.ParamType):
        """Takes its result's type in brackets; click's own cannot do that in older versions."""

        def __class_getitem__(cls, result):
            return cls


__all__ = ["ParamType"]
