"""Receives an uploaded file in any form, in pieces, up to the allowed size."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable
from inspect import iscoroutinefunction
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias

from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PIECE = 1024 * 1024  # bytes


class Readable(Protocol):
    """An open file, in binary mode."""

    def read(self, size: int, /) -> Any:
        """Return up to ``size`` bytes, or an awaitable of them; none at the end."""
        ...


FileData: TypeAlias = "bytes | bytearray | memoryview | os.PathLike[str] | Readable | AsyncIterable[bytes]"


async def receive_file(data: FileData, into: IO[bytes], *, most: int, name: str, user_id: str) -> int:
    """Write an uploaded file into an open one and return its size in bytes.

    Args:
        data: The file.
        into: Where it is written.
        most: How many bytes it may have.
        name: Its name, for errors.
        user_id: Whose file it is, for errors.

    Raises:
        InputError: It is empty, too large, cannot be read, or does not give bytes.
    """
    size = 0
    async for piece in _pieces(data):
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise InputError(
                f"The file {name!r} of user {user_id!r} gives {type(piece).__name__} instead of bytes; open it in "
                "binary mode ('rb'). For a text use create_from_text()."
            )
        size += memoryview(piece).nbytes
        if size > most:
            raise InputError(
                f"The file {name!r} of user {user_id!r} is too large: it has more than {most:,} bytes "
                "(settings.files.max_size). Nothing was stored."
            )
        await asyncio.to_thread(into.write, piece)
    if not size:
        raise InputError(f"The file {name!r} of user {user_id!r} is empty; nothing was stored.")
    return size


async def read_pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Read a file from its beginning, piece by piece."""
    await asyncio.to_thread(file.seek, 0)
    while piece := await asyncio.to_thread(file.read, PIECE):
        yield piece


async def _pieces(data: FileData) -> AsyncIterator[Any]:
    if isinstance(data, bytes | bytearray | memoryview):
        yield data
    elif isinstance(data, os.PathLike):
        async for piece in _of_path(data):
            yield piece
    elif isinstance(data, AsyncIterable) and not hasattr(data, "read"):
        async for piece in data:
            yield piece
    elif hasattr(data, "read"):
        awaited = iscoroutinefunction(data.read)
        while piece := await (data.read(PIECE) if awaited else asyncio.to_thread(data.read, PIECE)):
            yield piece
    else:
        raise InputError(
            f"file_data must be bytes, a pathlib.Path, an open file or an async iterator of bytes, not "
            f"{type(data).__name__}. For a text use create_from_text()."
        )


async def _of_path(path: os.PathLike[str]) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(open, path, "rb")
    except (OSError, ValueError) as error:
        raise InputError(
            f"The file {os.fspath(path)!r} cannot be read: {error}. Nothing was stored."
        ) from error
    try:
        async for piece in read_pieces(file):
            yield piece
    except OSError as error:
        raise InputError(
            f"The file {os.fspath(path)!r} cannot be read: {error}. Nothing was stored."
        ) from error
    finally:
        file.close()
