"""S3Storage against a real S3 server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from neuromem.errors import (
    AuthenticationError,
    InputError,
    NotFoundError,
    ProviderUnavailableError,
    StorageError,
)
from neuromem.plugin.http import Retry
from neuromem_s3 import S3Storage
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, VIRTUAL_DOMAIN, S3Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

FAST = Retry(attempts=2, backoff=0.01)
MB = 1024 * 1024


async def test_what_goes_up_comes_down(storage: S3Storage) -> None:
    assert await storage.upload("notes/a.txt", b"hello", "text/plain") == "notes/a.txt"
    assert await storage.download("notes/a.txt") == b"hello"
    assert await storage.exists("notes/a.txt")
    await storage.upload("notes/a.txt", b"", None)
    assert await storage.download("notes/a.txt") == b""


async def test_delete_says_whether_there_was_something(storage: S3Storage) -> None:
    await storage.upload("x", b"1")
    assert await storage.delete("x") is True
    assert await storage.delete("x") is False
    assert not await storage.exists("x")
    with pytest.raises(NotFoundError, match="'x'"):
        await storage.download("x")


@pytest.mark.parametrize(
    "key",
    [
        "with space/and +&=?#%.txt",
        "100%25.txt",
        "中文/文件.txt",
        "emoji 😀.pdf",
        "ü/é",
        "-._~!$'()*,;:@",
        "a/b/c/d",
        "...",
        "x" * 200,
    ],
)
async def test_keys_are_taken_literally(storage: S3Storage, key: str) -> None:
    assert await storage.upload(key, key.encode()) == key
    assert await storage.download(key) == key.encode()
    async with httpx.AsyncClient(trust_env=False) as plain:
        fetched = await plain.get(await storage.presigned_url(key))
    assert fetched.content == key.encode()
    assert await storage.delete(key)


@pytest.mark.parametrize(
    "key", ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a\nb", "x" * 1025]
)
async def test_keys_that_would_end_up_elsewhere_are_refused(storage: S3Storage, key: str) -> None:
    for refused in (
        storage.upload(key, b""),
        storage.download(key),
        storage.exists(key),
        storage.delete(key),
        storage.presigned_url(key),
    ):
        with pytest.raises(InputError, match="key of an object"):
            await refused


async def test_presigned_url_works_without_credentials_and_for_its_time_only(storage: S3Storage) -> None:
    await storage.upload("a.txt", b"hello", "text/plain")
    url = await storage.presigned_url("a.txt", expires_in=60)
    async with httpx.AsyncClient(trust_env=False) as plain:
        fetched = await plain.get(url)
        assert (fetched.content, fetched.headers["content-type"]) == (b"hello", "text/plain")
        assert (await plain.get(url.partition("?")[0])).status_code == 403
        assert (await plain.put(url, content=b"changed")).status_code == 403
    assert "X-Amz-Expires=60" in url
    assert SECRET_KEY not in url
    for seconds in (0, -1, 7 * 24 * 3600 + 1):
        with pytest.raises(InputError):
            await storage.presigned_url("a.txt", expires_in=seconds)


async def pieces(total: int, size: int) -> AsyncIterator[bytes]:
    for start in range(0, total, size):
        yield bytes([start // size % 256]) * min(size, total - start)


@pytest.mark.parametrize(("total", "size"), [(0, 1), (10, 3), (8 * MB, 100_000), (20 * MB + 7, 1_000_003)])
async def test_streams_of_any_length(storage: S3Storage, total: int, size: int) -> None:
    await storage.upload("stream", pieces(total, size), "application/octet-stream")
    assert await storage.download("stream") == b"".join([part async for part in pieces(total, size)])


async def test_large_bytes_go_up_in_parts(storage: S3Storage) -> None:
    data = bytes(range(256)) * (20 * MB // 256)
    await storage.upload("large", data)
    assert await storage.download("large") == data


async def test_a_stream_is_not_held_in_memory(s3: S3Server, bucket: str) -> None:
    gate = threading.Event()
    handed_out = 0
    asked = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        nonlocal handed_out
        for _ in range(150):
            handed_out += 1
            asked.set()
            if handed_out == 2:
                gate.clear()  # from now on nothing gets through
            yield bytes(MB)

    with relay(s3.port, gate) as address:
        gate.set()
        storage = S3Storage(address, ACCESS_KEY, SECRET_KEY, bucket, create_bucket=True, retry=FAST)
        await storage.upload("first", b"")
        upload = asyncio.create_task(storage.upload("long", source()))
        with contextlib.suppress(TimeoutError):
            while True:  # until nothing more is asked for
                asked.clear()
                await asyncio.wait_for(asked.wait(), 0.5)
        assert 2 <= handed_out <= 50
        gate.set()
        await upload
        assert handed_out == 150
        assert len(await storage.download("long")) == 150 * MB
        await storage.close()


async def unfinished(s3: S3Server, bucket: str) -> list[Any]:
    async with httpx.AsyncClient(trust_env=False) as plain:
        answer = await plain.get(
            f"{s3.filer_url}/buckets/{bucket}/.uploads/", headers={"Accept": "application/json"}
        )
    return (answer.json().get("Entries") or []) if answer.is_success else []


async def test_a_failing_source_leaves_nothing(s3: S3Server, storage: S3Storage, bucket: str) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield bytes(20 * MB)
        raise KeyError("the disk is gone")

    with pytest.raises(KeyError, match="the disk is gone"):
        await storage.upload("half", breaks())
    assert not await storage.exists("half")
    assert await unfinished(s3, bucket) == []


async def test_a_cancelled_upload_leaves_nothing(s3: S3Server, storage: S3Storage, bucket: str) -> None:
    waiting = asyncio.Event()

    async def hangs() -> AsyncIterator[bytes]:
        yield bytes(20 * MB)
        waiting.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(storage.upload("half", hangs()))
    await waiting.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert not await storage.exists("half")
    assert await unfinished(s3, bucket) == []


async def test_32_uploads_at_once_leave_the_loop_free(storage: S3Storage) -> None:
    await storage.upload("first", b"")
    turns = 0
    done = asyncio.Event()

    async def tick() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    data = [bytes([n]) * (2 * MB) for n in range(32)]
    await asyncio.gather(*(storage.upload(f"many/{n}", content) for n, content in enumerate(data)))
    done.set()
    await ticking
    assert turns > 100  # a loop that had to wait for 64 MB to be sent would have had a turn or two for each
    assert await asyncio.gather(*(storage.download(f"many/{n}") for n in range(32))) == data


async def test_wrong_keys(s3: S3Server, storage: S3Storage, bucket: str) -> None:
    await storage.upload("x", b"1")
    for access, secret in ((ACCESS_KEY, "wrong-secret-0123456789"), ("AKNOBODY", SECRET_KEY)):
        wrong = S3Storage(s3.url, access, secret, bucket, retry=FAST, create_bucket=True)
        for call in (wrong.upload("x", b"2"), wrong.download("x"), wrong.exists("x"), wrong.delete("x")):
            with pytest.raises(AuthenticationError, match="AWS_ACCESS_KEY_ID") as caught:
                await call
            assert caught.value.__traceback__ is not None
            beyond_this_test = caught.value.__traceback__.tb_next
            shown = traceback.TracebackException(
                type(caught.value), caught.value, beyond_this_test, capture_locals=True
            )
            assert secret not in "".join(shown.format())
        await wrong.close()
    assert await storage.download("x") == b"1"


async def test_a_missing_bucket_is_made_on_request_only(s3: S3Server, bucket: str) -> None:
    careful = S3Storage(s3.url, ACCESS_KEY, SECRET_KEY, bucket, retry=FAST)
    with pytest.raises(StorageError, match="create_bucket=True"):
        await careful.upload("x", b"1")
    with pytest.raises(StorageError, match="create_bucket=True"):
        await careful.download("x")
    assert not await careful.exists("x")
    assert await careful.delete("x") is False
    makers = [
        S3Storage(s3.url, ACCESS_KEY, SECRET_KEY, bucket, "eu-west-1", create_bucket=True, retry=FAST)
        for _ in range(5)
    ]
    await asyncio.gather(*(maker.upload(f"x{n}", b"1") for n, maker in enumerate(makers)))
    assert await careful.exists("x4")


async def test_server_down_and_back(s3: S3Server, storage: S3Storage) -> None:
    await storage.upload("x", b"1")
    s3.stop()
    try:
        for call in (
            storage.upload("y", b"2"),
            storage.download("x"),
            storage.exists("x"),
            storage.delete("x"),
        ):
            with pytest.raises(ProviderUnavailableError, match="try again later") as caught:
                await call
            assert caught.value.retryable
    finally:
        s3.start()
    assert await storage.download("x") == b"1"
    await storage.upload("y", b"2")


async def test_close_leaves_it_usable(storage: S3Storage) -> None:
    await storage.upload("x", b"1")
    await storage.close()
    await storage.close()
    assert await storage.download("x") == b"1"


def test_one_storage_on_two_event_loops(s3: S3Server, bucket: str) -> None:
    storage = S3Storage(s3.url, ACCESS_KEY, SECRET_KEY, bucket, create_bucket=True)
    asyncio.run(storage.upload("x", b"1"))
    assert asyncio.run(storage.download("x")) == b"1"


@contextlib.contextmanager
def relay(port: int, gate: threading.Event | None = None) -> Iterator[str]:
    """Pass connections on to a port while the gate is open; also a proxy for names that no DNS knows."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if gate is not None:
                    gate.wait(60)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def serve() -> None:
        while True:
            try:
                inward, _ = listener.accept()
            except OSError:
                return
            outward = socket.create_connection(("127.0.0.1", port))
            held.extend((inward, outward))
            for source, target in ((inward, outward), (outward, inward)):
                threading.Thread(target=pump, args=(source, target), daemon=True).start()

    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for one in held:
        one.close()


async def test_virtual_host_style(s3: S3Server, bucket: str) -> None:
    with relay(s3.port) as proxy, pytest.MonkeyPatch.context() as environment:
        environment.setenv("HTTP_PROXY", proxy)
        environment.setenv("http_proxy", proxy)
        storage = S3Storage(
            f"http://{VIRTUAL_DOMAIN}:{s3.port}",
            ACCESS_KEY,
            SECRET_KEY,
            bucket,
            virtual_host=True,
            create_bucket=True,
            retry=FAST,
        )
        await storage.upload("a b/ü.txt", b"hello")
        assert await storage.download("a b/ü.txt") == b"hello"
        url = await storage.presigned_url("a b/ü.txt")
        assert url.startswith(f"http://{bucket}.{VIRTUAL_DOMAIN}:{s3.port}/a%20b/")
        async with httpx.AsyncClient() as plain:
            assert (await plain.get(url)).content == b"hello"
        await storage.close()
    by_path = S3Storage(s3.url, ACCESS_KEY, SECRET_KEY, bucket)
    assert await by_path.exists("a b/ü.txt")  # the same bucket, seen the other way


async def test_no_secret_is_logged(
    s3: S3Server, storage: S3Storage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await storage.upload("x", b"1")
    await storage.presigned_url("x")
    assert SECRET_KEY not in f"{caplog.text} {storage!r} {vars(storage)}"
