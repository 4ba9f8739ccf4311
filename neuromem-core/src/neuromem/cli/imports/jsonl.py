"""Reads a history of messages from JSON Lines, checks it, and gives each message a key that is the same every time."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any

from neuromem.cli.options.datetimes import parse_datetime
from neuromem.domain import validation
from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from neuromem.domain.messages import MessageDict

KEYS = (
    "role",
    "content",
    "session",
    "speaker",
    "name",
    "date",
    "occurred_at",
    "metadata",
    "language",
    "id",
)
MAX_ERRORS = 10  # bad lines that one error lists
BATCH_LINES = 500
BATCH_CHARACTERS = 2_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a history, as `add_messages_batch` takes it, with the number of its line and its session."""

    number: int
    session: str
    message: MessageDict


class MessageFile:
    """A file of messages. It is read twice, to check and to store, and never held in memory as a whole.

    Args:
        file: The file, seekable.
        user: The user whose messages they are, named in errors.
        name: What errors call the file.
        session: The session of lines that name none.
        most: How many characters a message may have.
    """

    def __init__(self, file: IO[bytes], user: str, *, name: str, session: str, most: int) -> None:
        self._file = file
        self._user = user
        self._name = name
        self._session = session
        self._most = most

    def check(self) -> int:
        """Check every line and return the number of messages; raises `InputError` that lists the first bad lines."""
        count = 0
        bad: list[str] = []
        for result in self._read():
            if isinstance(result, Line):
                count += 1
            else:
                bad.append(str(result))
                if len(bad) == MAX_ERRORS:
                    bad.append("(the rest was not looked at)")
                    break
        if bad:
            raise InputError(f"{self._name} cannot be used, nothing was stored:\n" + "\n".join(bad))
        if not count:
            raise InputError(f"{self._name} has no messages; it must have one JSON object per line.")
        return count

    def lines(self) -> Iterator[Line]:
        """Yield the messages in the order of the file; raises `InputError` for a line that is bad."""
        for result in self._read():
            if isinstance(result, InputError):
                raise result
            yield result

    def _read(self) -> Iterator[Line | InputError]:
        self._file.seek(0)
        with closing(_Keys()) as keys:
            for number, raw in enumerate(self._file, start=1):
                if not (text := raw.strip()):
                    continue
                try:
                    yield self._line(number, text, keys)
                except InputError as error:
                    yield InputError(f"line {number}: {error}")

    def _line(self, number: int, text: bytes, keys: _Keys) -> Line:
        given = _parse(text)
        session = validation.identifier("session", given.get("session", self._session))
        name, moment = _either(given, "speaker", "name"), _either(given, "date", "occurred_at")
        message: MessageDict = {
            "role": validation.role(given.get("role")),
            "content": validation.content(given.get("content"), most=self._most, whose=self._user),
            "name": validation.optional_text("speaker", name),
            "occurred_at": None if moment is None else parse_datetime(moment),
            "metadata": validation.metadata(given.get("metadata")),
            "language": validation.language(given.get("language")),
        }
        message["idempotency_key"] = keys.of(number, session, message, given.get("id"))
        return Line(number, session, message)


def seekable(file: IO[bytes]) -> IO[bytes]:
    """Return the file itself, or a temporary copy of a pipe: a history is read twice."""
    if file.seekable():
        return file
    copy = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process, which has nothing else to do
    shutil.copyfileobj(file, copy)
    return copy


def batches(lines: Iterable[Line]) -> Iterator[dict[str, list[Line]]]:
    """Yield batches of at most about `BATCH_LINES` lines, each grouped by session in the order of the file."""
    sessions: dict[str, list[Line]] = {}
    count = characters = 0
    for line in lines:
        sessions.setdefault(line.session, []).append(line)
        count += 1
        characters += len(line.message["content"])
        if count == BATCH_LINES or characters >= BATCH_CHARACTERS:
            yield sessions
            sessions, count, characters = {}, 0, 0
    if sessions:
        yield sessions


class _Keys:
    """Gives each message the same idempotency key whenever the file is read.

    The key is the line's id within its session, else a fingerprint of content, time, speaker and session with a count:
    the second "ok" of a session is another message than the first. Lines that are added or removed do not change the
    keys of the others. The keys seen so far are in a temporary SQLite database, which moves to disk when it grows.
    """

    def __init__(self) -> None:
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute(
            "CREATE TABLE seen (key BLOB PRIMARY KEY, fingerprint BLOB, line INT, times INT) WITHOUT ROWID"
        )
        self._seen.execute("BEGIN")

    def close(self) -> None:
        self._seen.close()

    def of(self, number: int, session: str, message: MessageDict, given: object) -> str:
        """Return the key of the message at a line; ``given`` is its id, when it has one."""
        moment = message["occurred_at"]
        fingerprint = _digest(
            session,
            message["role"],
            message["name"],
            message["content"],
            None if moment is None else moment.timestamp(),
        )
        if given is None:
            _, times = self._count(fingerprint, fingerprint, number)
            return f"import:{fingerprint.hex()}:{times}"
        if not isinstance(given, str | int) or isinstance(given, bool):
            raise InputError(f"id must be a string or a whole number, not {given!r}.")
        before, _ = self._count(_digest(session, str(given)), fingerprint, number)
        if before is not None and before[0] != fingerprint:
            raise InputError(
                f"the id {given!r} is that of line {before[1]} of the session, which says otherwise."
            )
        return validation.identifier("id and session together", f"import:{given}@{session}")

    def _count(self, key: bytes, fingerprint: bytes, number: int) -> tuple[tuple[bytes, int] | None, int]:
        """Count a key; return fingerprint and line of the message that had it first, if any, and the count."""
        row = self._seen.execute("SELECT fingerprint, line, times FROM seen WHERE key = ?", (key,)).fetchone()
        if row is None:
            self._seen.execute("INSERT INTO seen VALUES (?, ?, ?, 1)", (key, fingerprint, number))
            return None, 1
        self._seen.execute("UPDATE seen SET times = times + 1 WHERE key = ?", (key,))
        return (row[0], row[1]), row[2] + 1


def _parse(text: bytes) -> dict[str, Any]:
    try:
        given = json.loads(text.removeprefix(b"\xef\xbb\xbf").decode())
    except UnicodeDecodeError:
        raise InputError("it is not UTF-8; save the file as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is no JSON ({error}).") from None
    if not isinstance(given, dict):
        raise InputError(f"it must be a JSON object, not {type(given).__name__}.")
    unknown = sorted(set(given) - set(KEYS))
    if unknown:
        raise InputError(
            f"unknown keys {', '.join(unknown)}; known are {', '.join(KEYS)}. "
            "Put anything else under 'metadata'."
        )
    # A key with null says as little as a missing one.
    return {key: value for key, value in given.items() if value is not None}


def _either(given: dict[str, Any], one: str, other: str) -> Any:
    """Return the value of a key that goes by two names."""
    if one in given and other in given and given[one] != given[other]:
        raise InputError(f"{one} and {other} mean the same and differ: {given[one]!r} and {given[other]!r}.")
    return given.get(one, given.get(other))


def _digest(*parts: object) -> bytes:
    return blake2b(json.dumps(parts, ensure_ascii=True).encode(), digest_size=16).digest()
