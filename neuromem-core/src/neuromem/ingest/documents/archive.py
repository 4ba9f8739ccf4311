"""The bytes of files in an export: writing them into the zip and storing them from it."""

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


def object_member(document_id: str) -> str:
    """Return the name of the part of the zip that holds the bytes of a document."""
    return f"objects/{document_id}"


async def export_objects(
    objects: Objects, stored: Sequence[StoredObject], archive: ZipFile
) -> dict[str, Any]:
    """Write the bytes of documents into a zip, one after the other, and return their entries for the manifest.

    A document that was deleted in the meantime is left out.

    Returns:
        By the document's id ``bytes``, their number, and ``sha256``.

    Raises:
        ConfigurationError: Bytes lie in another storage than the open one.
        StorageError: The storage failed.
    """
    described = {}
    for one in stored:
        if one.storage != objects.capability:
            raise ConfigurationError(
                f"The file of document {one.id!r} lies in another storage ({one.storage}); open NeuroMemory with that "
                "one, or export without objects."
            )
        try:
            data = await objects.download(one.key)
        except NotFoundError:
            continue
        await asyncio.to_thread(archive.writestr, object_member(one.id), data)
        described[one.id] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    return described


async def import_objects(
    database: Database,
    objects: Objects,
    user_id: str,
    described: Mapping[str, Any],
    read: Callable[[str], bytes],
) -> int:
    """Store the bytes of the imported documents that have none yet, and return how many were stored.

    Each document is stored and committed by itself: interrupted, the rest is stored the next time.

    Args:
        database: Where the documents' rows are.
        objects: The storage that the bytes go to.
        user_id: Whose documents.
        described: The manifest's entries, by the document's id.
        read: Returns the bytes of a document; called in a thread.
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
