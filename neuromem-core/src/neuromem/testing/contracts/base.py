"""What everything that waits must do: survive loops, cancellation and closing, and keep its secrets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Never

import pytest

from neuromem.errors import NeuroMemError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def missing(what: str) -> Never:
    """Say which fixture or method the author has to write."""
    raise NotImplementedError(f"Override {what} in your test class.")


async def close(subject: Any) -> None:
    """Close what can be closed."""
    if hasattr(subject, "close"):
        await subject.close()


class Contract:
    """The common part; ``subject`` is what is tested, `use` makes a typical call.

    ``secret`` is the key or password that the subject was built with: it must never be shown. What takes longer than
    ``patience`` seconds has failed: a call that waits for ever is a bug, too.
    """

    secret: str | None = None
    patience: float = 60.0

    @pytest.fixture
    def subject(self) -> Any:
        """Return what is tested, not yet used."""
        missing("the fixture")

    async def use(self, subject: Any) -> object:
        """Make one typical call."""
        missing("use()")

    def run(self, subject: Any, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Do the work on an event loop of its own, and close the subject there."""

        async def whole() -> Any:
            async with asyncio.timeout(self.patience):
                try:
                    return await work(subject)
                finally:
                    await close(subject)

        return asyncio.run(whole())

    def test_it_works_on_two_event_loops_one_after_the_other(self, subject: Any) -> None:
        """A connection or lock of the first loop is not used on the second, whether it was closed or not."""

        async def together() -> None:
            async with asyncio.timeout(self.patience):
                await asyncio.gather(*(self.use(subject) for _ in range(3)))

        asyncio.run(together())
        self.run(subject, lambda _: together())
        self.run(subject, lambda _: together())

    def test_calls_at_the_same_time_do_not_disturb_each_other(self, subject: Any) -> None:
        """One object serves many callers."""

        async def together(subject: Any) -> list[object]:
            return await asyncio.gather(*(self.use(subject) for _ in range(5)))

        assert len(self.run(subject, together)) == 5

    def test_a_cancelled_call_leaves_it_usable(self, subject: Any) -> None:
        """Whoever waits may give up at any point; the next call works."""

        async def cancelled(subject: Any) -> None:
            for turns in (0, 1, 3, 10):
                task = asyncio.ensure_future(self.use(subject))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await self.use(subject)

        self.run(subject, cancelled)

    def test_closing_twice_is_fine_and_it_opens_again(self, subject: Any) -> None:
        """``close()`` gives back what is held, and no more."""

        async def reopened(subject: Any) -> None:
            await close(subject)
            await self.use(subject)
            await close(subject)
            await close(subject)
            await self.use(subject)

        self.run(subject, reopened)

    def test_nothing_is_left_behind_when_it_is_closed(self, subject: Any) -> None:
        """No task, no thread, no socket, no file."""
        gc.collect()  # what others left behind is not this one's
        threads = set(threading.enumerate())

        async def alone(subject: Any) -> None:
            await self.use(subject)
            await close(subject)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks that nobody owns: {left}"

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always", ResourceWarning)
            self.run(subject, alone)
            gc.collect()
        leaks = [str(warning.message) for warning in seen if warning.category is ResourceWarning]
        assert not leaks, leaks
        running = {thread for thread in set(threading.enumerate()) - threads if not thread.daemon}
        assert not running, f"threads that nobody ends: {running}"

    def test_its_secret_is_not_shown(self, subject: Any, caplog: pytest.LogCaptureFixture) -> None:
        """Not in its repr, not in those of its parts, not in the log, not in a traceback."""
        if self.secret is None:
            pytest.skip("this test class sets no `secret`")
        with caplog.at_level(logging.DEBUG):
            self.assert_not_shown(repr(subject), str(subject), repr(getattr(subject, "__dict__", {})))
            try:
                self.run(subject, self.use)
            except NeuroMemError as error:
                self.assert_not_shown(*traceback.format_exception(error))
        self.assert_not_shown(caplog.text)

    def assert_not_shown(self, *texts: str) -> None:
        """Fail when the secret is in one of the texts."""
        assert self.secret is not None
        for text in texts:
            assert self.secret not in text, "the secret is shown"
