"""The HTTP client of the providers, against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import threading
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import (
    AuthenticationError,
    ConfigurationError,
    InputError,
    ProviderError,
    ProviderResponseError,
    ProviderUnavailableError,
    RateLimitError,
)
from neuromem.plugin.http import HttpClient, HttpStatusError, Retry
from neuromem.plugin.http.retry import parse_retry_after
from tests.support.http_server import HttpServer, Reply, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

KEY = "sk-live-4242424242424242abcdef"
FAST = Retry(attempts=3, backoff=0.001)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with running_server() as running:
        yield running


@pytest.fixture
async def http(server: HttpServer) -> AsyncIterator[HttpClient]:
    client = HttpClient(
        f"{server.url}/v1/", provider="acme", api_key=KEY, key_hint="Set ACME_API_KEY.", retry=FAST
    )
    yield client
    await client.close()


async def test_posts_json_with_the_key_to_the_right_address(server: HttpServer, http: HttpClient) -> None:
    server.script(Reply({"answer": "süß 你好"}))
    assert await http.post_json("/things", {"text": "\ud83d\ude00 ü"}) == {"answer": "süß 你好"}
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/things")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.json["text"].endswith("ü")


async def test_without_a_key_no_authorization_is_sent(server: HttpServer) -> None:
    client = HttpClient(server.url, provider="acme", retry=FAST)
    server.script(Reply({}))
    await client.post_json("/x", {})
    await client.close()
    assert "authorization" not in server.requests[0].headers


async def test_query_of_the_base_url_is_kept_and_not_shown(server: HttpServer) -> None:
    client = HttpClient(f"{server.url}/api?version=7&sig=hush", provider="acme", retry=FAST)
    server.script(Reply({}), Reply("no", status=404))
    await client.post_json("/x", {})
    with pytest.raises(HttpStatusError) as caught:
        await client.post_json("/x", {})
    await client.close()
    assert server.requests[0].path == "/api/x?version=7&sig=hush"
    assert "hush" not in f"{caught.value}{client!r}"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
async def test_passing_faults_are_tried_again(server: HttpServer, http: HttpClient, status: int) -> None:
    server.script(Reply("busy", status=status), Reply("busy", status=status), Reply({"ok": 1}))
    assert await http.post_json("/x", {"n": 1}) == {"ok": 1}
    assert [request.json for request in server.requests] == [{"n": 1}] * 3


async def test_cut_connections_are_tried_again(server: HttpServer, http: HttpClient) -> None:
    server.script(Reply(cut_after=-1), Reply({"long": "x" * 5000}, cut_after=100), Reply({"ok": 1}))
    assert await http.post_json("/x", {}) == {"ok": 1}


async def test_cut_connections_end_as_unavailable(server: HttpServer, http: HttpClient) -> None:
    server.always = Reply({"long": "x" * 5000}, cut_after=100)
    with pytest.raises(ProviderUnavailableError, match=r"acme did not answer POST .*/v1/x.*tried 3 times"):
        await http.post_json("/x", {})
    assert len(server.requests) == 3


async def test_slow_server_ends_as_unavailable(server: HttpServer) -> None:
    client = HttpClient(
        server.url, provider="acme", read_timeout=0.05, retry=Retry(attempts=2, backoff=0.001)
    )
    server.always = Reply({}, hold=threading.Event())
    with pytest.raises(ProviderUnavailableError, match="Timeout"):
        await client.post_json("/x", {})
    await client.close()
    assert len(server.requests) == 2


async def test_an_attempt_is_bounded_in_all(server: HttpServer) -> None:
    client = HttpClient(
        server.url, provider="acme", attempt_timeout=0.05, retry=Retry(attempts=1, backoff=0.001)
    )
    server.always = Reply({}, hold=threading.Event())
    with pytest.raises(ProviderUnavailableError, match="TimeoutError"):
        await client.post_json("/x", {})
    await client.close()


async def test_nobody_listens() -> None:
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        client = HttpClient(f"http://127.0.0.1:{taken.getsockname()[1]}", provider="acme", retry=FAST)
        with pytest.raises(ProviderUnavailableError, match="proxy") as caught:
            await client.post_json("/x", {})
        await client.close()
    assert caught.value.provider == "acme"
    assert caught.value.retryable
    assert caught.value.__cause__ is not None


async def test_server_that_comes_back_is_used_again() -> None:
    with running_server() as first:
        port = first.url.rpartition(":")[2]
        client = HttpClient(first.url, provider="acme", retry=Retry(attempts=1))
        first.script(Reply({"n": 1}))
        assert await client.post_json("/x", {}) == {"n": 1}
    with pytest.raises(ProviderUnavailableError):
        await client.post_json("/x", {})
    with running_server(int(port)) as second:
        second.script(Reply({"n": 2}))
        assert await client.post_json("/x", {}) == {"n": 2}
    await client.close()


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_waited_for(server: HttpServer, http: HttpClient, form: str) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.script(
        Reply("slow", status=429, headers={"Retry-After": "1" if form == "seconds" else soon}), Reply({})
    )
    loop = asyncio.get_running_loop()
    before = loop.time()
    await http.post_json("/x", {})
    assert loop.time() - before >= 0.9  # a date has whole seconds: two from now is one at least


async def test_longer_retry_after_is_handed_to_the_caller(server: HttpServer, http: HttpClient) -> None:
    server.script(
        Reply({"error": {"message": "too fast"}}, status=429, headers={"Retry-After": "3600"}),
    )
    with pytest.raises(RateLimitError, match="too fast") as caught:
        await http.post_json("/x", {})
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


async def test_empty_account_is_not_asked_again_and_again(server: HttpServer, http: HttpClient) -> None:
    server.script(
        Reply({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, status=429),
        Reply({"error": {"message": "Insufficient Balance"}}, status=402),
    )
    for _ in range(2):
        with pytest.raises(RateLimitError, match="top it up"):
            await http.post_json("/x", {})
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_key(server: HttpServer, http: HttpClient, status: int) -> None:
    server.script(Reply({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=status))
    with pytest.raises(
        AuthenticationError, match=r"Incorrect API key provided.*Set ACME_API_KEY\."
    ) as caught:
        await http.post_json("/x", {})
    assert len(server.requests) == 1
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"error": {"message": "no such model", "code": "model_not_found"}},
            "no such model / model_not_found",
        ),
        ({"code": 20012, "message": "Model does not exist.", "data": None}, "Model does not exist. / 20012"),
        ({"error": "plain words"}, "plain words"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        ("<html>\n\n  Not here\x1b[31m  </html>", "<html> Not here [31m </html>"),
    ],
)
async def test_vendors_words_are_passed_on(
    server: HttpServer, http: HttpClient, body: object, words: str
) -> None:
    server.script(Reply(body, status=400))
    with pytest.raises(HttpStatusError) as caught:
        await http.post_json("/x", {})
    assert caught.value.status == 400
    assert words in caught.value.detail
    assert words in str(caught.value)


async def test_error_inside_of_a_200(server: HttpServer, http: HttpClient) -> None:
    server.script(Reply({"error": {"message": "upstream is out of tokens", "code": 429}}))
    with pytest.raises(RateLimitError, match="upstream is out of tokens"):
        await http.post_json("/x", {})


@pytest.mark.parametrize(
    "body",
    [b"<html>hello</html>", b"", b"\xff\xfe", b'{"cut": ', b"[1, 2]", b"null", b"[" * 100_000],
    ids=["html", "empty", "bytes", "cut", "list", "null", "deep"],
)
async def test_garbage_is_an_error_of_its_own(server: HttpServer, http: HttpClient, body: bytes) -> None:
    server.script(Reply(body))
    with pytest.raises(ProviderResponseError, match="base_url"):
        await http.post_json("/x", {})


async def test_body_that_is_not_what_its_encoding_says(server: HttpServer, http: HttpClient) -> None:
    server.script(Reply(b"not gzip", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(ProviderResponseError, match="decoded"):
        await http.post_json("/x", {})


async def test_answers_are_bounded_after_unpacking(server: HttpServer) -> None:
    client = HttpClient(server.url, provider="acme", retry=FAST, max_response_bytes=100_000)
    bomb = gzip.compress(b"0" * 50_000_000)
    server.script(Reply(bomb, headers={"Content-Encoding": "gzip"}), Reply(b'"' + b"x" * 200_000 + b'"'))
    for _ in range(2):
        with pytest.raises(ProviderResponseError, match="more than 100,000 bytes"):
            await client.post_json("/x", {})
    await client.close()


async def test_requests_are_bounded(server: HttpServer) -> None:
    client = HttpClient(server.url, provider="acme", max_request_bytes=1000)
    with pytest.raises(InputError, match="1,000"):
        await client.post_json("/x", {"text": "x" * 2000})
    assert server.requests == []


async def test_redirects_do_not_carry_the_key_away(server: HttpServer, http: HttpClient) -> None:
    with running_server() as other:
        server.script(Reply(status=307, headers={"Location": f"{other.url}/v1/x"}))
        with pytest.raises(HttpStatusError, match="base_url"):
            await http.post_json("/x", {})
        assert other.requests == []


async def test_connections_are_reused_and_closed(server: HttpServer, http: HttpClient) -> None:
    server.always = Reply({})
    for _ in range(5):
        await http.post_json("/x", {})
    assert server.connections == 1
    await http.close()
    await http.close()
    await http.post_json("/x", {})
    assert server.connections == 2


async def test_close_waits_for_nobody_and_cuts_nobody_off(server: HttpServer, http: HttpClient) -> None:
    go = threading.Event()
    server.script(Reply({"first": 1}, hold=go), Reply({"second": 2}))
    first = asyncio.create_task(http.post_json("/x", {}))
    await asyncio.to_thread(server.wait_for, 1)
    await http.close()
    assert await http.post_json("/x", {}) == {"second": 2}
    go.set()
    assert await first == {"first": 1}


async def test_cancelled_call_leaves_the_client_usable(server: HttpServer, http: HttpClient) -> None:
    server.script(Reply({}, hold=threading.Event()), Reply({"ok": 1}))
    call = asyncio.create_task(http.post_json("/x", {}))
    await asyncio.to_thread(server.wait_for, 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await http.post_json("/x", {}) == {"ok": 1}


def test_one_client_on_two_event_loops(server: HttpServer) -> None:
    client = HttpClient(server.url, provider="acme", retry=Retry(attempts=1))
    server.always = Reply({"ok": 1})

    async def call(*, close: bool) -> object:
        reply = await client.post_json("/x", {})
        if close:
            await client.close()
        return reply

    assert asyncio.run(call(close=True)) == {"ok": 1}
    assert asyncio.run(call(close=False)) == {"ok": 1}  # a loop that ends without a close is no obstacle
    assert asyncio.run(call(close=True)) == {"ok": 1}


async def test_many_calls_at_once(server: HttpServer, http: HttpClient) -> None:
    server.always = lambda request: Reply({"n": request.json["n"]})
    replies = await asyncio.gather(*(http.post_json("/x", {"n": n}) for n in range(100)))
    assert [reply["n"] for reply in replies] == list(range(100))


async def test_the_key_is_nowhere_to_be_read(
    server: HttpServer, http: HttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    errors: list[ProviderError] = []
    for reply in (
        Reply({"error": {"message": f"bad key {KEY}"}}, status=401),
        Reply(f"bad key {KEY[:10]}...{KEY[-6:]}", status=400),
        Reply({"error": {"message": f"bad key {KEY}"}}, status=503),
        Reply(cut_after=-1),
    ):
        server.always = reply
        with pytest.raises(ProviderError) as caught:
            await http.post_json("/x", {})
        errors.append(caught.value)
    shown = "".join(
        "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        for error in errors
    )
    server.always = Reply(f"<p>who is Bearer {KEY}?</p>")  # an answer is a local, so its message alone counts
    with pytest.raises(ProviderResponseError, match=r"who is Bearer \*\*\*") as caught:
        await http.post_json("/x", {})
    for text in (shown, str(caught.value), caplog.text, repr(http), str(vars(http))):
        assert KEY not in text
        assert KEY[:10] not in text
        assert KEY[-6:] not in text


def test_a_broken_key_is_refused_without_showing_it() -> None:
    for key in ("sk-ключ", "sk-a\nb", "sk-\x00b"):
        with pytest.raises(AuthenticationError, match="copied") as caught:
            HttpClient("https://api.example.com", provider="acme", api_key=key, key_hint="Set ACME_API_KEY.")
        assert key not in str(caught.value)
    assert HttpClient("https://api.example.com", provider="acme", api_key=" sk-padded\n") is not None


@pytest.mark.parametrize(
    "address", ["", "api.example.com", "ftp://example.com", "http://", "http://[::1", "https://:x"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigurationError, match="acme"):
        HttpClient(address, provider="acme")


async def test_a_broken_proxy_setting_is_explained(
    server: HttpServer, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://user:pass-word@127.0.0.1:70")
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        await http.post_json("/x", {})
    assert "pass-word" not in str(caught.value)


def test_retry_after_in_all_its_forms() -> None:
    assert parse_retry_after("7") == 7
    assert parse_retry_after("1.5") == 1.5
    assert parse_retry_after("-3") == 0
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    for nothing in (None, "", "soon", "nan", "inf", "Wed, 99 Foo 2015"):
        assert parse_retry_after(nothing) is None


def test_waits_grow_with_chance_and_end() -> None:
    retry = Retry(attempts=6, backoff=1.0, max_backoff=4.0, max_wait=10.0)
    for attempt, top in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (5, 4.0)):
        waits = {retry.delay(attempt, None) for _ in range(20)}
        assert len(waits) > 1
        assert all(wait is not None and top / 2 <= wait <= top for wait in waits)
    assert retry.delay(6, None) is None
    asked = retry.delay(1, 10.0)
    assert asked is not None
    assert 10.0 <= asked <= 11.0
    assert retry.delay(1, 10.5) is None
