"""An OpenAI-compatible server that replies with what was once extracted: LoCoMo's ``observation``.

Facts are the recorded ones. LoCoMo records no episodes, relations or profile: the few here (`hand_written`) are made up
from who spoke when, so that those ways are walked too.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.support.datasets import EVIDENCE, session_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Place = tuple[str, str, str]  # when, who, what was said


class Replies(Protocol):
    """Says what a model would reply."""

    def reply(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the model would have said about a window."""
        ...


class Replay:
    """What to reply to a window: the facts whose last turn is among the new ones."""

    def __init__(self, samples: Sequence[Mapping[str, Any]]) -> None:
        self._turns: dict[Place, str] = {}
        self._facts: dict[str, list[tuple[str, frozenset[str], str]]] = {}
        self._first: dict[str, tuple[str, str]] = {}
        self.calls = 0
        for sample in samples:
            self._read(sample)

    def _read(self, sample: Mapping[str, Any]) -> None:
        conversation, name = sample["conversation"], sample["sample_id"]
        for key, date in conversation.items():
            if not key.endswith("_date_time"):
                continue
            session = key.removesuffix("_date_time")
            when = session_time(date).strftime("%Y-%m-%d %H:%M")
            order = []
            for turn in conversation.get(session, ()):
                caption = turn.get("blip_caption")
                text = turn["text"] + (f" [shared image: {caption}]" if caption else "")
                place = (when, turn["speaker"], " ".join(text.split()))
                order.append(f"{name} {turn['dia_id']}")
                self._turns.setdefault(place, order[-1])
            if order:
                self._first[order[0]] = (conversation["speaker_a"], conversation["speaker_b"])
            for speaker, said in sample["observation"].get(f"{session}_observation", {}).items():
                for text, source in said:
                    turns = frozenset(f"{name} {d}" for d in EVIDENCE.findall(json.dumps(source)))
                    if turns & set(order):
                        last = max(turns & set(order), key=order.index)
                        self._facts.setdefault(last, []).append((text, turns, speaker))

    def reply(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the model would have said about a window."""
        self.calls += 1
        at: dict[str, Mapping[str, Any]] = {}
        for turn in shown["conversation"]:
            found = self._turns.get((turn["time"][:16], turn["speaker"], " ".join(turn["text"].split())))
            if found is not None:
                at[found] = turn
        new = [key for key, turn in at.items() if turn.get("new")]
        facts = [
            {"content": text, "subject": speaker, "sources": [at[t]["id"] for t in sorted(turns) if t in at]}
            for key in new
            for text, turns, speaker in self._facts.get(key, ())
        ]
        made_up = [hand_written(at[key], *self._first[key]) for key in new if key in self._first]
        return {
            "facts": facts,
            "episodes": [one["episode"] for one in made_up],
            "relations": [one["relation"] for one in made_up],
            "profile": {"relationships": [one["friend"] for one in made_up]},
            "nothing": None if facts else "nothing was recorded",
        }


def hand_written(turn: Mapping[str, Any], one: str, other: str) -> dict[str, Any]:
    """Return what is made up about a session from its first turn: not part of LoCoMo."""
    day = turn["time"][:10]
    return {
        "episode": {"content": f"{one} and {other} talked on {day}.", "date": day, "sources": [turn["id"]]},
        "relation": {
            "subject": one,
            "subject_type": "PERSON",
            "relation": "KNOWS",
            "object": other,
            "object_type": "PERSON",
            "sources": [turn["id"]],
        },
        "friend": f"{one} is a friend of {other}",
    }


@contextmanager
def replaying(replay: Replies) -> Iterator[str]:
    """Run the server; gives the base URL of its API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(replay))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(replay: Replies) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            shown = json.loads(next(m["content"] for m in asked["messages"] if m["role"] == "user"))
            content = json.dumps(replay.reply(shown), ensure_ascii=False)
            message = {"role": "assistant", "content": content}
            usage = {"prompt_tokens": len(str(asked)) // 4, "completion_tokens": len(content) // 4}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            body = json.dumps({"model": "replay", "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler
