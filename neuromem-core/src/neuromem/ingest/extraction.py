"""Serves the ``extract`` jobs: a window is read, extracted outside any transaction, judged, stored with its state."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from neuromem.domain.events import ExtractionEvent
from neuromem.domain.extraction import ExtractionStrategy, Window
from neuromem.domain.profile import PROFILE, json_text
from neuromem.domain.quoting import without_recalled
from neuromem.domain.searchable import Words
from neuromem.domain.tokens import tokenize
from neuromem.errors import BudgetError
from neuromem.ingest.admitting import admit, merged
from neuromem.ingest.judging import judge
from neuromem.store import extraction as store
from neuromem.store import index, jobs, kv, memories, usage
from neuromem.store.messages import message_of
from neuromem.store.profile import said
from neuromem.store.relate import relate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.domain.extraction import Extraction
    from neuromem.domain.memories import Memory
    from neuromem.domain.messages import Message
    from neuromem.ingest.admitting import Admitted
    from neuromem.observe import Call, MeteredLLM, Observers
    from neuromem.plugin.stages import Extractor
    from neuromem.store.engine import Database, Transaction
    from neuromem.store.rows import Row

logger = logging.getLogger("neuromem")

OPERATION = "extraction"
NOTHING = "nothing worth keeping"
ECHO = "only what had been recalled"


def needs(extractor: str) -> str:
    """Return what a worker must have to serve an extractor's jobs, as jobs name it."""
    return f"extract:{extractor}"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a window: how many of each were stored."""

    facts: int = 0
    episodes: int = 0
    relations: int = 0
    profile: int = 0


@dataclass(frozen=True, slots=True)
class Reread:
    """What an extractor makes of messages that it is shown again; nothing of it is stored."""

    admitted: Admitted | None
    ended: store.Ended
    origin: Mapping[str, Any]
    graph: bool


class _TakenOverError(Exception):
    """Another worker has the jobs by now: nothing may be stored."""


class ExtractionHandler:
    """Serves the jobs of one extractor; ``graph`` tells whether relations are wanted."""

    def __init__(
        self, database: Database, name: str, extractor: Extractor, *, settings: Settings,
        strategy: ExtractionStrategy, observers: Observers, llm: MeteredLLM | None, graph: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._database = database
        self._name = name
        self._extractor = extractor
        self._settings = settings
        self._strategy = strategy
        self._observers = observers
        self._llm = llm
        self._graph = graph

    async def __call__(self, claim: jobs.Claim) -> Mapping[int, Exception]:
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
            await self._store(claim.only(settled), window, None, [])
        for messages in _portions(window.messages, self._settings.extraction.window_size):
            part = claim.only({jobs_of[message.id] for message in messages})
            earlier = [m for m in window.messages if m not in messages and m.position < messages[0].position]
            await self._serve(part, replace(window, messages=messages, context=[*window.context, *earlier]))
        return {}

    async def reread(
        self, user_id: str, entries: Sequence[int], known: Callable[[str], Sequence[Memory]],
        profile: Mapping[str, Any], calls: list[Call],
    ) -> Reread:  # fmt: skip
        """Extract messages anew; ``known`` returns what is known of a text, ``calls`` gets what was asked.

        Raises `BudgetError` when the user's tokens are spent.
        """
        async with self._database.reader(user_id) as transaction:
            loaded = await store.window(
                transaction, user_id, entries, before=self._settings.extraction.context_messages,
                idle=self._strategy.idle_timeout,
            )  # fmt: skip
        limit = self._settings.extraction.daily_tokens
        if limit is not None and loaded.spent >= limit and self._llm is not None:
            raise BudgetError(_spent(user_id, loaded.spent, limit))
        new = [self._message(row) for row in loaded.rows if row.entry in entries]
        window = Window(
            user_id=user_id, session_id=new[0].session_id if new else "", messages=new,
            context=[self._message(row) for row in loaded.rows if row.entry not in entries],
            known=known("\n".join(message.content for message in new)), profile=dict(profile),
            language=next((message.language for message in new if message.language), loaded.language),
            graph=self._graph(),
        )  # fmt: skip
        speaking = [message for message in new if message.content]
        found = await self._extract(replace(window, messages=speaking), calls) if speaking else None
        admitted = admit(window, found, self._name, self._settings.max_content) if found is not None else None
        return Reread(admitted, self._ended(window, found, admitted), self._origin(found), window.graph)

    def _origin(self, found: Extraction | None) -> dict[str, Any]:
        return {"by": "extractor", "extractor": self._name, **(found.origin if found is not None else {})}

    async def _serve(self, claim: jobs.Claim, window: Window) -> None:
        """Extract one window and store what came of it; everybody is told, also when it failed."""
        start = time.perf_counter()
        result, error = Result(), None
        calls: list[Call] = []
        try:
            speaking = [message for message in window.messages if message.content]
            found: Extraction | None = None
            if speaking:
                found = await self._extract(replace(window, messages=speaking), calls)
            result = await self._store(claim, window, found, calls)
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            if calls:
                await self._spend(claim.user_id, calls)
            raise
        finally:
            await self._observers.tell(
                "on_extraction",
                ExtractionEvent(
                    user_id=claim.user_id, session_id=window.session_id, duration=time.perf_counter() - start,
                    messages_processed=len(window.messages), facts_extracted=result.facts,
                    episodes_extracted=result.episodes, triples_extracted=result.relations,
                    profile_updates=result.profile, error=error,
                ),
            )  # fmt: skip

    async def _extract(self, window: Window, calls: list[Call]) -> Extraction:
        if self._llm is None:
            return await self._extractor.extract(window)
        with self._llm.account() as account:
            try:
                return await self._extractor.extract(window)
            finally:
                calls.extend(account)

    async def _load(self, claim: jobs.Claim) -> tuple[store.Loaded, Window, dict[str, int]]:
        """Return the window of a claim, and its jobs by message."""
        entries = {job.entry: job.job for job in claim.jobs if job.entry is not None}
        options = self._settings.extraction
        async with self._database.reader(claim.user_id) as transaction:
            loaded = await store.window(
                transaction, claim.user_id, list(entries), before=options.context_messages,
                idle=self._strategy.idle_timeout,
            )  # fmt: skip
            new = [self._message(row) for row in loaded.rows if row.entry in entries]
            language = next((message.language for message in new if message.language), loaded.language)
            known = []
            if options.known_memories and new:
                text = "\n".join(message.content for message in new)[: options.window_size]
                known = await store.known(
                    transaction, claim.user_id, list(entries), tokenize(text, language or self._settings.language),
                    most=options.known_memories,
                )  # fmt: skip
        window = Window(
            user_id=claim.user_id, session_id=new[0].session_id if new else "", messages=new,
            context=[self._message(row) for row in loaded.rows if row.entry not in entries], known=known,
            profile=loaded.profile, language=language, graph=self._graph(),
        )  # fmt: skip
        jobs_of = {str(row.message_id): entries[row.entry] for row in loaded.rows if row.entry in entries}
        return loaded, window, jobs_of

    def _message(self, row: Row) -> Message:
        """Return a message as an extractor sees it: in the speaker's time, without what had been recalled."""
        message = message_of(row)
        zone = _zone(row.utc_offset, message.metadata.get("timezone"), self._settings.extraction.zone)
        return replace(
            message,
            content=without_recalled(message.content),
            occurred_at=message.occurred_at.astimezone(zone),
        )

    async def _store(
        self, claim: jobs.Claim, window: Window, found: Extraction | None, calls: Sequence[Call]
    ) -> Result:
        """Store what was found together with the state of the messages and the end of their jobs."""
        admitted = admit(window, found, self._name, self._settings.max_content) if found is not None else None
        statements = admitted.statements if admitted is not None else []
        changed: dict[str, Any] = {}
        try:
            async with self._database.user(claim.user_id) as transaction:
                moment = await index.begin(transaction, claim.user_id, len(statements))
                if not await store.acknowledge(
                    transaction, claim, self._ended(window, found, admitted), moment.now
                ):
                    raise _TakenOverError
                if admitted is None:
                    return Result()
                if statements:
                    versions = await memories.chains(
                        transaction, claim.user_id, hashes=[s.digest for s in statements],
                        slots=[s.new.slot for s in statements if s.new.slot],
                        targets=[s.target for s in statements if s.target],
                    )  # fmt: skip
                    await memories.learn(
                        transaction, claim.user_id, judge(statements, versions), moment,
                        tokens=Words(self._settings.language),
                    )  # fmt: skip
                origin = self._origin(found)
                if admitted.edges:
                    await relate(transaction, claim.user_id, admitted.edges, moment.now, origin)
                if admitted.profile or admitted.withdrawn:
                    changed = await self._profile(transaction, window, admitted, origin, moment.now)
                if calls:
                    await usage.add(transaction, claim.user_id, OPERATION, calls)
        except _TakenOverError:
            logger.info("The extraction of user %r was finished by another worker.", claim.user_id)
            if calls:
                await self._spend(claim.user_id, calls)
            return Result()
        return Result(admitted.count("fact"), admitted.count("episodic"), len(admitted.edges), len(changed))

    async def _profile(
        self,
        transaction: Transaction,
        window: Window,
        admitted: Admitted,
        origin: Mapping[str, Any],
        now: datetime,
    ) -> dict[str, Any]:
        """Store what the profile gains and loses; returns what changed, None where nothing is left."""
        user_id = window.user_id
        changed = merged(await kv.profile(transaction, user_id), admitted.profile, admitted.withdrawn)
        if admitted.profile:
            await said(transaction, user_id, admitted.profile, [message.id for message in window.messages])
        pairs = {
            key: json_text(value, whose=f"the profile's {key!r}")
            for key, value in changed.items() if value is not None
        }  # fmt: skip
        if pairs:
            await kv.write(transaction, user_id, kv.Change(PROFILE, pairs, None, origin), now)
        for key in changed.keys() - pairs.keys():
            await kv.remove(transaction, user_id, PROFILE, key, now)
        return changed

    def _ended(self, window: Window, found: Extraction | None, admitted: Admitted | None) -> store.Ended:
        cited = admitted.cited if admitted is not None else set()
        why = (found.why if found is not None else None) or NOTHING
        rejected = dict(admitted.rejected) if admitted is not None else {}
        if rejected and not cited:
            why = "of no use: " + ", ".join(
                f"{reason} ({count})" for reason, count in sorted(rejected.items())
            )
        states: dict[str, tuple[str, str | None]] = {}
        for message in window.messages:
            told = admitted is not None and (admitted.profile or admitted.withdrawn)
            if message.id in cited or (told and message.content and not cited):
                states[message.id] = ("done", None)
            else:
                states[message.id] = ("empty", why[:500] if message.content else ECHO)
        origin = {
            **(found.origin if found is not None else {}),
            **({"rejected": rejected} if rejected else {}),
        }
        return store.Ended(self._name, states, found is not None and found.complete, origin)

    async def _spend(self, user_id: str, calls: Sequence[Call]) -> None:
        async with self._database.user(user_id) as transaction:
            await usage.add(transaction, user_id, OPERATION, calls)

    async def _pause(self, claim: jobs.Claim, limit: int, spent: int) -> None:
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        why = f"BudgetError: {_spent(claim.user_id, spent, limit)}"
        logger.warning("%s", why)
        await jobs.defer(self._database, claim, why, tomorrow)


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
