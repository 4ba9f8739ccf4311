"""Reads exports of ChatGPT and Claude from an archive or a file, and stores their conversations."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from neuromem.cli.output import progress
from neuromem.errors import InputError
from neuromem.ingest.chat_exports import exported_conversations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.ingest.chat_exports import ExportedConversation

BATCH = 200  # messages in one transaction
MEMBER = "conversations"  # ChatGPT cuts large exports into conversations-000.json and so on


def read_export(file: BinaryIO) -> list[ExportedConversation]:
    """Return the conversations of an export, a .zip or conversations.json; raises `InputError` for any other file."""
    try:
        if file.seekable() and zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                names = sorted(n for n in archive.namelist() if _is_member(n))
                if not names:
                    raise InputError(
                        "The archive has no conversations.json; is it an export of ChatGPT or Claude?"
                    )
                return [
                    found
                    for name in names
                    for found in exported_conversations(json.loads(archive.read(name)))
                ]
        if file.seekable():
            file.seek(0)
        return list(exported_conversations(json.loads(file.read())))
    except (ValueError, RecursionError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The file is neither a whole archive nor JSON: {error}.") from error


def _is_member(name: str) -> bool:
    base = name.rpartition("/")[2]
    return base.startswith(MEMBER) and base.endswith(".json")


async def import_export(
    database: DatabaseOptions, user: str, found: Sequence[ExportedConversation]
) -> dict[str, int]:
    """Store each conversation as a session; messages that are stored already are not stored again.

    Returns:
        The numbers of ``sessions`` and ``messages`` in the export, and of messages that were left out as ``too_long``.
    """
    counts = {"sessions": 0, "messages": 0, "too_long": 0}
    async with database.memory(worker=False) as memory:
        most = memory.settings.max_content
        with progress() as bars:
            task = bars.add_task("Storing", total=sum(len(c.messages) for c in found))
            for conversation in sorted(found, key=_began):
                fitting = [m for m in conversation.messages if len(m["content"]) <= most]
                counts["too_long"] += len(conversation.messages) - len(fitting)
                for begin in range(0, len(fitting), BATCH):
                    batch = fitting[begin : begin + BATCH]
                    await memory.conversations.add_messages_batch(user, batch, conversation.session_id)
                    bars.advance(task, len(batch))
                session = await memory.conversations.get_session(user, conversation.session_id)
                if session is not None and session.title is None and conversation.title is not None:
                    await memory.conversations.update_session(user, session.id, title=conversation.title)
                counts["sessions"] += bool(fitting)
                counts["messages"] += len(fitting)
    return counts


def _began(conversation: ExportedConversation) -> datetime:
    """Return when a conversation began: sessions are stored in that order, the newest last."""
    return conversation.messages[0].get("occurred_at") or datetime.min.replace(tzinfo=UTC)
