"""The bytes of files, into an archive and out of it."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from neuromem.errors import ConfigurationError, NotFoundError
from neuromem.store.documents.objects import StoredObject, attach_object, documents_without_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zipfile import ZipFile

    from neuromem.ingest.documents.object_store import Objects
    from neuromem.store.database.database import Database


def member(document_id: str) -> str:
    """Return under which name an archive has the bytes of a document."""
    return f"objects/{document_id}"


async def carry_out(objects: Objects, kept: Sequence[StoredObject], archive: ZipFile) -> dict[str, Any]:
    """Write the bytes of documents into an archive, one after the other; returns what the manifest says of them.

    A document that was deleted meanwhile is left out. Raises `ConfigurationError` when bytes lie in another storage.
    """
    described = {}
    for one in kept:
        if one.storage != objects.capability:
            raise ConfigurationError(
                f"The file of document {one.id!r} lies in another storage ({one.storage}); open NeuroMemory with that "
                "one, or export without objects."
            )
        try:
            data = await objects.download(one.key)
        except NotFoundError:
            continue
        await asyncio.to_thread(archive.writestr, member(one.id), data)
        described[one.id] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    return described


async def carry_in(
    database: Database,
    objects: Objects,
    user_id: str,
    described: Mapping[str, Any],
    read: Callable[[str], bytes],
) -> int:
    """Store the bytes of those documents that lack theirs; returns how many were stored.

    Each is a step of its own: interrupted, the rest is done the next time.
    """
    stored = 0
    for document_id, content_type in (
        await documents_without_object(database, user_id, list(described))
    ).items():
        data = await asyncio.to_thread(read, document_id)
        async with objects.stored(user_id, data, content_type) as claim:
            if not await attach_object(database, user_id, document_id, claim):
                await objects.remove(claim)
                continue
        stored += 1
    return stored
