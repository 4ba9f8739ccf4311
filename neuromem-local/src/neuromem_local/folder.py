"""A folder as an object storage."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterable
from pathlib import Path
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING

from neuromem.errors import InputError, NotFoundError, StorageError
from neuromem.plugin import ObjectStorage
from neuromem_local.paths import default_home

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_KEY_BYTES = 1024  # as in S3, so that objects can move there
_MAX_NAME = 200  # file systems allow 255
_PLAIN = frozenset((ascii_lowercase + digits + "._-").encode())
_TRIES = 100  # to put an object into a folder that others remove as often
_ABANDONED = 24 * 3600.0  # age in seconds of an upload that its process did not live to finish


class FolderStorage(ObjectStorage):
    """Keeps objects as files under a folder that only its owner may enter.

    An object appears whole or not at all and survives a power cut. Keys may hold anything: what a file system
    could misunderstand is encoded, so no key leads out of the folder and no two keys meet, whatever the
    letter case. The content type is not kept; nothing asks for it.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        """Use ``root``, by default ``objects`` in the local home; it is made with the first upload."""
        self.root = Path(root).expanduser().absolute() if root is not None else default_home() / "objects"
        self._tidied = False

    def __repr__(self) -> str:
        return f"FolderStorage({str(self.root)!r})"

    async def upload(
        self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
    ) -> str:
        """Store ``data`` under ``key``, replacing what was there, and return the key.

        A stream is written as it comes, never held whole.
        """
        target = self._path(key)
        with self._errors("store", key):
            fd, name = await asyncio.to_thread(self._begin)
            try:
                if isinstance(data, AsyncIterable):
                    async for chunk in data:
                        await asyncio.to_thread(_write, fd, chunk)
                else:
                    await asyncio.to_thread(_write, fd, data)
                await asyncio.to_thread(self._finish, fd, name, target)
            finally:
                os.close(fd)
                with contextlib.suppress(FileNotFoundError):  # there only when something failed
                    os.unlink(name)
        return key

    async def download(self, key: str) -> bytes:
        """Return the bytes stored under ``key``; raises `NotFoundError` when there are none."""
        with self._errors("read", key):
            return await asyncio.to_thread(self._path(key).read_bytes)

    async def delete(self, key: str) -> bool:
        """Delete what is stored under ``key``, and folders that become empty; True when there was any."""
        try:
            with self._errors("delete", key):
                await asyncio.to_thread(self._delete, self._path(key))
        except NotFoundError:
            return False
        return True

    async def exists(self, key: str) -> bool:
        """Return whether there is an object ``key``."""
        with self._errors("look for", key):
            return await asyncio.to_thread(self._path(key).is_file)

    async def presigned_url(self, key: str, expires_in: int = 3600) -> str:
        """Return the ``file://`` URL of the object: good on this machine, for its owner, for ever."""
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        if not key or len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
            raise InputError(f"The key of an object has 1 to {MAX_KEY_BYTES} bytes, unlike {key[:80]!r}.")
        *folders, name = (_encode(part) for part in key.split("/"))
        # the mark on folders lets the keys "a" and "a/b" stand side by side
        return self.root.joinpath(*(f"{folder}+" for folder in folders), name)

    def _begin(self) -> tuple[int, str]:
        incoming = self.root / "+incoming"
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        incoming.mkdir(mode=0o700, exist_ok=True)
        if not self._tidied:
            self._tidied = True
            for path in incoming.iterdir():
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > _ABANDONED:
                        path.unlink()
        return tempfile.mkstemp(dir=incoming)

    def _finish(self, fd: int, name: str, target: Path) -> None:
        os.fsync(fd)
        made: list[Path] = []
        for last in (*[False] * _TRIES, True):
            made += [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
            try:
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.replace(name, target)
                break
            except (FileNotFoundError, FileExistsError):
                # A delete has just removed the empty folder, maybe while it was looked at: Python says then that it
                # exists, and is none.
                if last or not os.path.exists(name):
                    raise
        for folder in {target.parent, *(folder.parent for folder in made)}:
            _sync(folder)

    def _delete(self, path: Path) -> None:
        path.unlink()
        _sync(path.parent)
        for folder in path.parents:
            if folder == self.root:
                break
            try:
                folder.rmdir()
            except OSError:  # not empty
                break

    @contextlib.contextmanager
    def _errors(self, action: str, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no object {key!r} in {self.root}.") from error
        except OSError as error:
            raise StorageError(
                f"Cannot {action} the object {key!r} in {self.root}: {error.strerror}. Check the folder's "
                "owner and the free space.",
                provider=self.provider,
            ) from error


def _encode(part: str) -> str:
    raw = part.encode("utf-8", "surrogatepass")
    if not part.strip("."):  # "", "." and ".." mean something to the system
        return "%" + "%2e" * len(raw)
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in raw)
    if len(name) > _MAX_NAME:
        name = f"{name[: _MAX_NAME - 66]}%+{hashlib.sha256(raw).hexdigest()}"
    return name


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync(folder: Path) -> None:
    if sys.platform == "win32":  # has no such call
        return
    try:
        fd = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # its last object was deleted meanwhile, and it with it
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
