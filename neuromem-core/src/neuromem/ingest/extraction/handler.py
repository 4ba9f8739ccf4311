"""Serves the ``extract`` jobs: loads a window, extracts it outside any transaction, commits what was found."""

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
from neuromem.ingest.extraction.commit import ExtractionCommit, StoredCounts
from neuromem.store.conversations.extraction_window import LoadedWindow, load_window, nearest_memories
from neuromem.store.conversations.messages import message_from_row
from neuromem.store.queue.job_kinds import EXTRACT
from neuromem.store.queue.jobs import Claim, postpone_jobs
from neuromem.store.queue.token_budget import check_budget, next_budget_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.domain.extraction import Extraction
    from neuromem.domain.memories import Memory
    from neuromem.domain.messages import Message
    from neuromem.ingest.extraction.validate import ValidExtraction
    from neuromem.observe import LLMCall, MeteredLLM, Observers
    from neuromem.plugin.stages import Extractor
    from neuromem.store.conversations.extraction_outcomes import ExtractionOutcome
    from neuromem.store.database.database import Database
    from neuromem.store.database.rows import Row

logger = logging.getLogger("neuromem")


@dataclass(frozen=True, slots=True)
class UncommittedExtraction:
    """What an extractor found in a window, not committed.

    Attributes:
        valid: What may be stored; None when there was nothing to extract.
        outcome: The states that the messages would get.
        origin: The origin that would be stored.
        graph: Whether relations were wanted.
    """

    valid: ValidExtraction | None
    outcome: ExtractionOutcome
    origin: Mapping[str, Any]
    graph: bool


class ExtractionHandler:
    """Serves the jobs of one extractor.

    Args:
        database: The database.
        name: The extractor's name.
        extractor: The extractor.
        settings: The settings.
        strategy: When messages are extracted; its idle time bounds the context before a session.
        observers: Get an event for each window.
        llm: The model whose calls are counted; None when the extractor uses none.
        graph: Returns whether relations are wanted.
    """

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
        self._commit = ExtractionCommit(database, settings, name)
        self._extractor = extractor
        self._settings = settings
        self._strategy = strategy
        self._observers = observers
        self._llm = llm
        self._graph = graph
        self.capability = EXTRACT.capability_for(name)

    async def handle(self, claim: Claim) -> Mapping[int, Exception]:
        """Extract the messages of a claim, window by window; each window commits together with its jobs."""
        loaded, window, jobs_of = await self._load(claim)
        try:
            self._check_budget(claim.user_id, loaded.spent)
        except BudgetError as error:
            logger.warning("BudgetError: %s", error)
            await postpone_jobs(self._database, claim, f"BudgetError: {error}", next_budget_day())
            return {}
        without_message = [job.job for job in claim.jobs if job.job not in jobs_of.values()]
        if without_message:
            await self._commit.store(claim.only(without_message), window, None, [])
        for messages in _windows(window.messages, self._settings.extraction.window_size):
            part = claim.only({jobs_of[message.id] for message in messages})
            earlier = [m for m in window.messages if m not in messages and m.position < messages[0].position]
            await self._serve(part, replace(window, messages=messages, context=[*window.context, *earlier]))
        return {}

    async def extract_again(
        self,
        user_id: str,
        entries: Sequence[int],
        known: Callable[[str], Sequence[Memory]],
        profile: Mapping[str, Any],
        calls: list[LLMCall],
    ) -> UncommittedExtraction:
        """Extract messages again, without storing anything.

        Args:
            user_id: The user.
            entries: Numbers of the messages' index entries.
            known: Returns the known memories that are nearest to a text.
            profile: The profile that the extractor is shown.
            calls: Gets the calls of models that it took.

        Raises:
            BudgetError: The user's budget of tokens is used up.
        """
        async with self._database.reader(user_id) as transaction:
            loaded = await load_window(
                transaction,
                user_id,
                entries,
                before=self._settings.extraction.context_messages,
                idle=self._strategy.idle_timeout,
            )
        self._check_budget(user_id, loaded.spent)
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
        found = await self._extract(window, calls)
        valid = self._commit.validate(window, found)
        outcome = self._commit.outcome(window, found, valid)
        return UncommittedExtraction(valid, outcome, self._commit.origin(found), window.graph)

    async def _serve(self, claim: Claim, window: Window) -> None:
        """Extract one window, commit what was found, and tell the observers, also of a failure."""
        start = time.perf_counter()
        counts, error = StoredCounts(), None
        calls: list[LLMCall] = []
        try:
            found = await self._extract(window, calls)
            counts = await self._commit.store(claim, window, found, calls)
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            if calls:
                await self._commit.record_usage(claim.user_id, calls)
            raise
        finally:
            await self._observers.notify(
                "on_extraction",
                ExtractionEvent(
                    user_id=claim.user_id,
                    session_id=window.session_id,
                    duration=time.perf_counter() - start,
                    messages_processed=len(window.messages),
                    facts_extracted=counts.facts,
                    episodes_extracted=counts.episodes,
                    triples_extracted=counts.relations,
                    profile_updates=counts.profile,
                    error=error,
                ),
            )

    async def _extract(self, window: Window, calls: list[LLMCall]) -> Extraction | None:
        """Extract the messages of a window that have text left without what was recalled; None when none has."""
        with_text = [message for message in window.messages if message.content]
        if not with_text:
            return None
        window = replace(window, messages=with_text)
        if self._llm is None:
            return await self._extractor.extract(window)
        with self._llm.account() as account:
            try:
                return await self._extractor.extract(window)
            finally:
                calls.extend(account)

    async def _load(self, claim: Claim) -> tuple[LoadedWindow, Window, dict[str, int]]:
        """Return the window of a claim, and the number of its job by message id."""
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
        """Return a message as an extractor is given it: in the speaker's time zone, without recalled text."""
        message = message_from_row(row)
        zone = _zone(row["utc_offset"], message.metadata.get("timezone"), self._settings.extraction.zone)
        content = without_recalled(message.content)
        if content == message.content and zone is message.occurred_at.tzinfo:
            return message
        return replace(message, content=content, occurred_at=message.occurred_at.astimezone(zone))

    def _check_budget(self, user_id: str, used: int) -> None:
        if self._llm is not None:
            check_budget(user_id, used, self._settings.extraction.daily_tokens, operation="extraction")


def _windows(messages: Sequence[Message], size: int) -> Iterator[list[Message]]:
    """Yield neighboring messages of at most ``size`` characters together, or one longer message."""
    window: list[Message] = []
    for message in messages:
        if window and sum(len(m.content) for m in window) + len(message.content) > size:
            yield window
            window = []
        window.append(message)
    if window:
        yield window


def _zone(offset: int | None, named: object, default: tzinfo) -> tzinfo:
    """Return the time zone of a message's speaker: of its metadata, of its time, or the configured one."""
    if isinstance(named, str):
        try:
            return ZoneInfo(named)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            logger.warning("There is no time zone %r; the configured one is used.", named)
    if offset is not None:
        return timezone(timedelta(minutes=offset)) if offset else UTC
    return default
