"""The handler of the ``extract`` jobs: reads a window, extracts outside any transaction, stores what came of it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from neuromem.domain.events import ExtractionEvent
from neuromem.domain.extraction import ExtractionStrategy, Window
from neuromem.domain.text.recalled_text import without_recalled
from neuromem.domain.text.tokenizer import tokenize
from neuromem.errors import BudgetError
from neuromem.ingest.extraction.commit import Result, Storing
from neuromem.store.conversations.extraction_queue import (
    ExtractionOutcome,
    LoadedWindow,
    load_window,
    nearest_memories,
)
from neuromem.store.conversations.messages import message_from_row
from neuromem.store.queue.job_kinds import EXTRACT
from neuromem.store.queue.jobs import Claim, postpone_jobs
from neuromem.store.queue.token_usage import next_budget_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.domain.extraction import Extraction
    from neuromem.domain.memories import Memory
    from neuromem.domain.messages import Message
    from neuromem.ingest.extraction.validate import Admitted
    from neuromem.observe import Call, MeteredLLM, Observers
    from neuromem.plugin.stages import Extractor
    from neuromem.store.database.database import Database
    from neuromem.store.database.rows import Row

logger = logging.getLogger("neuromem")


@dataclass(frozen=True, slots=True)
class Reread:
    """What an extractor makes of messages that it is shown again; nothing of it is stored."""

    admitted: Admitted | None
    ended: ExtractionOutcome
    origin: Mapping[str, Any]
    graph: bool


class ExtractionHandler:
    """Does the jobs of one extractor; ``graph`` returns whether relations are wanted."""

    def __init__(
        self,
        database: Database,
        name: str,
        extractor: Extractor,
        *,
        settings: Settings,
        strategy: ExtractionStrategy,
        observers: Observers,
        llm: MeteredLLM | None,
        graph: Callable[[], bool],
    ) -> None:
        self._database = database
        self._storing = Storing(database, settings, name)
        self._extractor = extractor
        self._settings = settings
        self._strategy = strategy
        self._observers = observers
        self._llm = llm
        self._graph = graph
        self.capability = EXTRACT.capability_for(name)

    async def handle(self, claim: Claim) -> Mapping[int, Exception]:
        """Extract the claim's messages; what came of each call commits together with the end of its jobs."""
        loaded, window, jobs_of = await self._load(claim)
        limit = self._settings.extraction.daily_tokens
        if limit is not None and loaded.spent >= limit and self._llm is not None:
            await self._pause(claim, limit, loaded.spent)
            return {}
        settled = [
            job.job for job in claim.jobs if job.job not in jobs_of.values()
        ]  # their messages are gone
        if settled:
            await self._storing.store(claim.only(settled), window, None, [])
        for messages in _portions(window.messages, self._settings.extraction.window_size):
            part = claim.only({jobs_of[message.id] for message in messages})
            earlier = [m for m in window.messages if m not in messages and m.position < messages[0].position]
            await self._serve(part, replace(window, messages=messages, context=[*window.context, *earlier]))
        return {}

    async def reread(
        self,
        user_id: str,
        entries: Sequence[int],
        known: Callable[[str], Sequence[Memory]],
        profile: Mapping[str, Any],
        calls: list[Call],
    ) -> Reread:
        """Extract messages anew; ``known`` returns what is known of a text, ``calls`` gets what was asked.

        Raises `BudgetError` when the user's tokens are spent.
        """
        async with self._database.reader(user_id) as transaction:
            loaded = await load_window(
                transaction,
                user_id,
                entries,
                before=self._settings.extraction.context_messages,
                idle=self._strategy.idle_timeout,
            )
        limit = self._settings.extraction.daily_tokens
        if limit is not None and loaded.spent >= limit and self._llm is not None:
            raise BudgetError(_spent(user_id, loaded.spent, limit))
        new = [self._message(row) for row in loaded.rows if row.entry in entries]
        window = Window(
            user_id=user_id,
            session_id=new[0].session_id if new else "",
            messages=new,
            context=[self._message(row) for row in loaded.rows if row.entry not in entries],
            known=known("\n".join(message.content for message in new)),
            profile=dict(profile),
            language=next((message.language for message in new if message.language), loaded.language),
            graph=self._graph(),
        )
        speaking = [message for message in new if message.content]
        found = await self._extract(replace(window, messages=speaking), calls) if speaking else None
        admitted = self._storing.admit(window, found)
        return Reread(
            admitted, self._storing.ended(window, found, admitted), self._storing.origin(found), window.graph
        )

    async def _serve(self, claim: Claim, window: Window) -> None:
        """Extract one window and store what came of it; everybody is told, also when it failed."""
        start = time.perf_counter()
        result, error = Result(), None
        calls: list[Call] = []
        try:
            speaking = [message for message in window.messages if message.content]
            found: Extraction | None = None
            if speaking:
                found = await self._extract(replace(window, messages=speaking), calls)
            result = await self._storing.store(claim, window, found, calls)
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            if calls:
                await self._storing.spend(claim.user_id, calls)
            raise
        finally:
            await self._observers.tell(
                "on_extraction",
                ExtractionEvent(
                    user_id=claim.user_id,
                    session_id=window.session_id,
                    duration=time.perf_counter() - start,
                    messages_processed=len(window.messages),
                    facts_extracted=result.facts,
                    episodes_extracted=result.episodes,
                    triples_extracted=result.relations,
                    profile_updates=result.profile,
                    error=error,
                ),
            )

    async def _extract(self, window: Window, calls: list[Call]) -> Extraction:
        if self._llm is None:
            return await self._extractor.extract(window)
        with self._llm.account() as account:
            try:
                return await self._extractor.extract(window)
            finally:
                calls.extend(account)

    async def _load(self, claim: Claim) -> tuple[LoadedWindow, Window, dict[str, int]]:
        """Return the window of a claim, and its jobs by message."""
        entries = {job.entry: job.job for job in claim.jobs if job.entry is not None}
        options = self._settings.extraction
        async with self._database.reader(claim.user_id) as transaction:
            loaded = await load_window(
                transaction,
                claim.user_id,
                list(entries),
                before=options.context_messages,
                idle=self._strategy.idle_timeout,
            )
            new = [self._message(row) for row in loaded.rows if row.entry in entries]
            language = next((message.language for message in new if message.language), loaded.language)
            known = []
            if options.known_memories and new:
                text = "\n".join(message.content for message in new)[: options.window_size]
                known = await nearest_memories(
                    transaction,
                    claim.user_id,
                    list(entries),
                    tokenize(text, language or self._settings.language),
                    most=options.known_memories,
                    bm25=self._settings.bm25,
                )
        window = Window(
            user_id=claim.user_id,
            session_id=new[0].session_id if new else "",
            messages=new,
            context=[self._message(row) for row in loaded.rows if row.entry not in entries],
            known=known,
            profile=loaded.profile,
            language=language,
            graph=self._graph(),
        )
        jobs_of = {str(row.message_id): entries[row.entry] for row in loaded.rows if row.entry in entries}
        return loaded, window, jobs_of

    def _message(self, row: Row) -> Message:
        """Return a message as an extractor sees it: in the speaker's time, without what had been recalled."""
        message = message_from_row(row)
        zone = _zone(row["utc_offset"], message.metadata.get("timezone"), self._settings.extraction.zone)
        content = without_recalled(message.content)
        if content == message.content and zone is message.occurred_at.tzinfo:
            return message
        return replace(message, content=content, occurred_at=message.occurred_at.astimezone(zone))

    async def _pause(self, claim: Claim, limit: int, spent: int) -> None:
        why = f"BudgetError: {_spent(claim.user_id, spent, limit)}"
        logger.warning("%s", why)
        await postpone_jobs(self._database, claim, why, next_budget_day())


def _spent(user_id: str, spent: int, limit: int) -> str:
    return (
        f"User {user_id!r} has spent {spent:,} of {limit:,} tokens today (settings.extraction.daily_tokens); "
        "extraction goes on tomorrow (UTC)."
    )


def _portions(messages: Sequence[Message], size: int) -> Iterator[list[Message]]:
    """Return windows of at most ``size`` characters, or of one message."""
    portion: list[Message] = []
    for message in messages:
        if portion and sum(len(m.content) for m in portion) + len(message.content) > size:
            yield portion
            portion = []
        portion.append(message)
    if portion:
        yield portion


def _zone(offset: int | None, named: object, default: tzinfo) -> tzinfo:
    """Return where a message's dates are meant: as its moment was given, as its metadata say, as is usual."""
    if isinstance(named, str):
        try:
            return ZoneInfo(named)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            logger.warning("There is no time zone %r; the usual one is used.", named)
    if offset is not None:
        return timezone(timedelta(minutes=offset)) if offset else UTC
    return default
