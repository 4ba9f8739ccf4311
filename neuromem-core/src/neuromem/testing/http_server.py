"""A real HTTP server on loopback that answers what a test tells it to, faults included."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer.

    ``body`` is bytes, text, or something to be written as JSON. ``cut_after`` closes the connection after so
    many bytes of the body (-1: before the status line). ``hold`` waits for the event, or the server's end,
    before it answers.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    hold: threading.Event | None = None

    @property
    def content(self) -> bytes:
        """The body as it goes over the wire."""
        if isinstance(self.body, bytes):
            return self.body
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()


Answer = Reply | Callable[[Request], Reply]


class HttpServer:
    """Answers with the scripted replies in their order, then with ``always``; keeps what arrived."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.always: Answer = Reply({"error": {"message": "the test scripted no more replies"}}, status=418)
        self.arrived = threading.Condition()
        self._script: deque[Answer] = deque()
        self._closing = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def script(self, *answers: Answer) -> None:
        """Answer the next requests with these."""
        self._script.extend(answers)

    def wait_for(self, count: int, timeout: float = 30.0) -> None:
        """Block until so many requests have arrived; call it off the event loop."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, timeout), "no request arrived"

    def close(self) -> None:
        """Stop; replies that are held are let go."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in tuple(self._sockets):  # those that are kept alive, too
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def answer(self, request: Request) -> Reply:
        """Note the request and return its reply."""
        with self.arrived:
            self.requests.append(request)
            answer = self._script.popleft() if self._script else self.always
            self.arrived.notify_all()
        reply = answer if isinstance(answer, Reply) else answer(request)
        while reply.hold is not None and not reply.hold.wait(0.02) and not self._closing.is_set():
            pass
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                owner.connections += 1
                owner._sockets.add(self.request)
                super().setup()

            def finish(self) -> None:
                super().finish()
                owner._sockets.discard(self.request)

            def handle(self) -> None:
                try:
                    super().handle()
                except ConnectionError:  # the client was told to hang up
                    self.close_connection = True

            def do_POST(self) -> None:
                self._reply()

            def do_GET(self) -> None:
                self._reply()

            def do_PUT(self) -> None:
                self._reply()

            def log_message(self, format: str, *args: Any) -> None:
                return

            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = owner.answer(Request(self.command, self.path, headers, body))
                if reply.cut_after == -1:
                    self.close_connection = True
                    return
                content = reply.content
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if reply.cut_after is not None:
                    content = content[: reply.cut_after]
                    self.close_connection = True
                self.wfile.write(content)

        return Handler


@contextlib.contextmanager
def running_server(port: int = 0) -> Iterator[HttpServer]:
    """Run a server for the length of a ``with`` block."""
    server = HttpServer(port)
    try:
        yield server
    finally:
        server.close()
