"""What everything that speaks HTTP must do when the other side does not behave."""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import (
    AuthenticationError,
    ProviderError,
    ProviderResponseError,
    ProviderUnavailableError,
    RateLimitError,
)
from neuromem.testing.contracts.base import Contract, close, missing
from neuromem.testing.http_server import HttpServer, Reply, Request, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator


class HttpContract(Contract):
    """Faults of a server become neuromem's errors; inherit it before the contract of the hook.

    Write `connect` and `answer`; use ``Retry(attempts=2, backoff=0.001)`` or its like, or the tests take long.
    """

    secret = "sk-a-key-that-must-never-be-seen-0123456789"

    def connect(self, url: str) -> Any:
        """Return what is tested, pointed at ``url`` and with ``self.secret`` as its key."""
        missing("connect()")

    def answer(self, request: Request) -> Reply:
        """Answer a request as the vendor would."""
        missing("answer()")

    @pytest.fixture
    def http_server(self) -> Iterator[HttpServer]:
        """A server on this machine that answers with `answer` until it is told otherwise."""
        with running_server() as server:
            server.always = self.answer
            yield server

    @pytest.fixture
    def subject(self, http_server: HttpServer) -> Any:
        """Return what is tested."""
        return self.connect(http_server.url)

    def fail(self, subject: Any, expected: type[ProviderError]) -> ProviderError:
        """Make a call that must fail in this way, and return the error."""
        with pytest.raises(expected) as caught:
            self.run(subject, self.use)
        assert caught.value.provider
        return caught.value

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_refused_key_is_an_authentication_error(
        self, http_server: HttpServer, subject: Any, status: int
    ) -> None:
        """And is not tried again."""
        http_server.always = Reply({"error": {"message": "Incorrect API key"}}, status=status)
        assert not self.fail(subject, AuthenticationError).retryable
        assert len(http_server.requests) == 1

    def test_a_short_retry_after_is_waited_for(self, http_server: HttpServer, subject: Any) -> None:
        """The call succeeds, and not before the server wanted it."""
        http_server.script(Reply("slow down", status=429, headers={"Retry-After": "1"}))
        loop_times: list[float] = []

        async def timed(subject: Any) -> None:
            loop = asyncio.get_running_loop()
            loop_times.append(loop.time())
            await self.use(subject)
            loop_times.append(loop.time())

        self.run(subject, timed)
        assert loop_times[1] - loop_times[0] >= 0.99
        assert len(http_server.requests) >= 2

    def test_a_long_retry_after_is_left_to_the_caller(self, http_server: HttpServer, subject: Any) -> None:
        """The error says when to come back; nobody sleeps for two hours."""
        http_server.always = Reply("slow down", status=429, headers={"Retry-After": "7200"})
        error = self.fail(subject, RateLimitError)
        assert error.retryable
        assert isinstance(error, RateLimitError)
        assert error.retry_after == pytest.approx(7200)
        assert len(http_server.requests) == 1

    def test_a_retry_after_that_is_a_date_is_understood(self, http_server: HttpServer, subject: Any) -> None:
        """HTTP has both forms."""
        back = datetime.now(UTC) + timedelta(hours=2)
        headers = {"Retry-After": format_datetime(back, usegmt=True)}
        http_server.always = Reply("slow down", status=429, headers=headers)
        error = self.fail(subject, RateLimitError)
        assert isinstance(error, RateLimitError)
        assert error.retry_after == pytest.approx(7200, abs=120)

    @pytest.mark.parametrize(
        "reply", [Reply("down", status=503), Reply("cut", cut_after=1), Reply(cut_after=-1)]
    )
    def test_an_outage_is_unavailable_and_can_be_retried(
        self, http_server: HttpServer, subject: Any, reply: Reply
    ) -> None:
        """A 5xx, and a connection that ends half-way."""
        http_server.always = reply
        assert self.fail(subject, ProviderUnavailableError).retryable

    def test_it_recovers_when_the_outage_is_over(self, http_server: HttpServer, subject: Any) -> None:
        """One failure is retried without the caller noticing."""
        http_server.script(Reply("down", status=503))
        self.run(subject, self.use)

    @pytest.mark.parametrize("body", ["<html>a proxy's page</html>", "{}", "[]", ""])
    def test_an_answer_that_cannot_be_used_is_an_error(
        self, http_server: HttpServer, subject: Any, body: str
    ) -> None:
        """Never an empty result."""
        http_server.always = Reply(body)
        self.fail(subject, ProviderResponseError)

    def test_a_server_that_echoes_the_key_does_not_spread_it(
        self, http_server: HttpServer, subject: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not in the message, its causes, the traceback or the log."""
        http_server.always = Reply({"error": {"message": f"Incorrect API key: {self.secret}"}}, status=401)
        with caplog.at_level(logging.DEBUG):
            error = self.fail(subject, AuthenticationError)
        self.assert_not_shown(*traceback.format_exception(error), repr(error), caplog.text)

    def test_closing_one_leaves_the_others_open(self, http_server: HttpServer, subject: Any) -> None:
        """Each closes what it opened: another one's connection stays."""
        other = self.connect(http_server.url)

        async def one_of_two(subject: Any) -> int:
            await self.use(other)
            await self.use(subject)
            before = http_server.connections
            await close(other)
            await self.use(subject)
            return http_server.connections - before

        assert self.run(subject, one_of_two) == 0, "it had to connect anew"

    def test_a_call_that_is_cancelled_while_the_server_thinks_ends_at_once(
        self, http_server: HttpServer, subject: Any
    ) -> None:
        """And the next call works."""
        http_server.script(Reply(hold=threading.Event()))

        async def cancelled(subject: Any) -> None:
            task = asyncio.ensure_future(self.use(subject))
            await asyncio.to_thread(http_server.wait_for, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await self.use(subject)

        self.run(subject, cancelled)
