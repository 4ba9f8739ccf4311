"""Contracts of what is chosen once: embeddings, LLMs, object storages."""

from __future__ import annotations

import asyncio
import copy
import math
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import NotFoundError
from neuromem.plugin.providers import ChatReply
from neuromem.testing.contracts.base import Contract, missing
from neuromem.testing.contracts.http import HttpContract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from neuromem.plugin.providers import ChatMessage, EmbeddingProvider, LLMProvider, ObjectStorage

_TEXTS = ("I work at Google", "我养了一只猫，名字叫豆包", "The weather is fine today", "naïve café ☕ 🙂")


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of two vectors; two zero vectors are equal."""
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(x * y for x, y in zip(one, other, strict=True)) / lengths if lengths else float(one == other)


class EmbeddingContract(Contract):
    """Override the fixture ``embedding``, or inherit `HttpContract` before this one."""

    many = 300
    """How many texts are embedded in one call; more than any vendor takes at once."""

    @pytest.fixture
    def embedding(self) -> EmbeddingProvider:
        """Return the provider, not yet used."""
        missing("the fixture `embedding`")

    @pytest.fixture
    def subject(self, embedding: EmbeddingProvider) -> Any:
        """Return what is tested."""
        return embedding

    async def use(self, subject: Any) -> object:
        """Embed one text."""
        return await subject.embed(_TEXTS[0])

    def test_it_says_what_it_is(self, subject: EmbeddingProvider) -> None:
        """Model, dims, revision and provider name the embedding space."""
        assert isinstance(subject.model, str)
        assert subject.model
        assert isinstance(subject.provider, str)
        assert subject.provider
        assert isinstance(subject.revision, str)
        assert 1 <= subject.dims <= 4000

    def test_no_texts_are_no_vectors(self, subject: EmbeddingProvider) -> None:
        """An empty batch is no error."""
        assert self.run(subject, lambda one: one.embed_batch([])) == []

    def test_vectors_come_in_the_order_of_the_texts(self, subject: EmbeddingProvider) -> None:
        """A batch gives what the texts give alone."""

        async def both(subject: EmbeddingProvider) -> tuple[list[list[float]], list[list[float]]]:
            return await subject.embed_batch(list(_TEXTS)), [await subject.embed(text) for text in _TEXTS]

        batch, alone = self.run(subject, both)
        for position, vector in enumerate(batch):
            assert cosine(vector, alone[position]) > 0.99, f"text {position} has another vector alone"
        assert cosine(batch[0], batch[2]) < 0.999, "texts that say different things have one vector"

    def test_texts_at_the_same_time_get_their_own_vectors(self, subject: EmbeddingProvider) -> None:
        """What one caller embeds never reaches another one."""

        async def both(subject: EmbeddingProvider) -> tuple[list[list[float]], list[list[float]]]:
            together = await asyncio.gather(*map(subject.embed, _TEXTS))
            return together, [await subject.embed(text) for text in _TEXTS]

        for together, alone in zip(*self.run(subject, both), strict=True):
            assert cosine(together, alone) > 0.99

    def test_long_batches_are_split_and_put_together_again(self, subject: EmbeddingProvider) -> None:
        """However many texts are given: one vector for each, in their order, as long as ``dims`` says."""
        texts = [f"note number {n} is about {_TEXTS[n % len(_TEXTS)]}" for n in range(self.many)]
        places = (0, self.many // 3, self.many // 2, self.many - 2, self.many - 1)

        async def both(subject: EmbeddingProvider) -> tuple[list[list[float]], list[list[float]]]:
            vectors = await subject.embed_batch(texts)
            return vectors, [await subject.embed(texts[place]) for place in places]

        vectors, alone = self.run(subject, both)
        assert len(vectors) == len(texts)
        assert {len(vector) for vector in vectors} == {subject.dims}
        for place, vector in zip(places, alone, strict=True):
            assert cosine(vectors[place], vector) > 0.99, f"text {place} has another vector alone"

    def test_vectors_are_finite_numbers_for_any_text(self, subject: EmbeddingProvider) -> None:
        """Blank, one letter, long, in any script."""
        texts = [" ", "a", "?!", "word " * 2000, "漢字" * 200, "\u200b", *_TEXTS]
        for vector in self.run(subject, lambda one: one.embed_batch(texts)):
            assert len(vector) == subject.dims
            assert all(isinstance(x, float) and math.isfinite(x) for x in vector)

    def test_the_same_text_has_the_same_vector(self, subject: EmbeddingProvider) -> None:
        """Today and tomorrow, in one process and the next."""

        async def twice(subject: EmbeddingProvider) -> tuple[list[float], list[float]]:
            return await subject.embed(_TEXTS[0]), await subject.embed(_TEXTS[0])

        assert cosine(*self.run(subject, twice)) > 0.999

    def test_a_question_has_the_same_dims(self, subject: EmbeddingProvider) -> None:
        """Questions and texts live in one space."""
        assert len(self.run(subject, lambda one: one.embed_query("Where does she work?"))) == subject.dims

    def test_the_texts_are_left_alone(self, subject: EmbeddingProvider) -> None:
        """They belong to the caller."""
        texts = list(_TEXTS)
        self.run(subject, lambda one: one.embed_batch(texts))
        assert texts == list(_TEXTS)


class LLMContract(Contract):
    """Override the fixture ``llm``, or inherit `HttpContract` before this one."""

    messages: Sequence[ChatMessage] = (
        {"role": "system", "content": "You answer in one word."},
        {"role": "user", "content": "What color is the sky?"},
    )

    @pytest.fixture
    def llm(self) -> LLMProvider:
        """Return the provider, not yet used."""
        missing("the fixture `llm`")

    @pytest.fixture
    def subject(self, llm: LLMProvider) -> Any:
        """Return what is tested."""
        return llm

    async def use(self, subject: Any) -> object:
        """Ask one question."""
        return await subject.chat(self.messages)

    def test_it_says_what_it_is(self, subject: LLMProvider) -> None:
        """The name of the model goes into every event."""
        assert isinstance(subject.model, str)
        assert subject.model
        assert isinstance(subject.provider, str)

    def test_a_reply_is_text_and_knows_its_cost_when_it_says_so(self, subject: LLMProvider) -> None:
        """A `ChatReply` has counts or None, never nonsense."""
        reply = self.run(subject, self.use)
        assert isinstance(reply, str)
        assert reply
        if isinstance(reply, ChatReply):
            for count in (reply.prompt_tokens, reply.completion_tokens):
                assert count is None or (isinstance(count, int) and count >= 0)
            for text in (reply.model, reply.finish_reason):
                assert text is None or isinstance(text, str)

    def test_every_argument_of_the_hook_is_taken(self, subject: LLMProvider) -> None:
        """Temperature, limit and schema, by keyword."""
        schema = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}

        async def all_of_them(subject: LLMProvider) -> str:
            return await subject.chat(self.messages, temperature=0.0, max_tokens=50, json_schema=schema)

        assert isinstance(self.run(subject, all_of_them), str)

    def test_questions_at_the_same_time_are_not_mixed(
        self, subject: LLMProvider, request: pytest.FixtureRequest
    ) -> None:
        """Each is sent as it was asked: an object that keeps the messages of a call mixes its users."""
        if not isinstance(self, HttpContract):
            pytest.skip("what is asked can be seen over HTTP only")
        questions = [f"Is {number} prime?" for number in (101, 202, 303, 404)]

        async def together(subject: LLMProvider) -> None:
            await asyncio.gather(*(subject.chat([{"role": "user", "content": text}]) for text in questions))

        self.run(subject, together)
        sent = [asked.body.decode() for asked in request.getfixturevalue("http_server").requests]
        for question in questions:
            assert sum(question in body for body in sent) == 1, f"{question!r} was not asked once"

    def test_the_messages_are_left_alone(self, subject: LLMProvider) -> None:
        """They belong to the caller."""
        before = copy.deepcopy(list(self.messages))
        self.run(subject, self.use)
        assert list(self.messages) == before


class StorageContract(Contract):
    """Override the fixture ``storage``; it should be empty."""

    @pytest.fixture
    def storage(self) -> ObjectStorage:
        """Return the storage, not yet used."""
        missing("the fixture `storage`")

    @pytest.fixture
    def subject(self, storage: ObjectStorage) -> Any:
        """Return what is tested."""
        return storage

    async def use(self, subject: Any) -> object:
        """Store something and read it."""
        await subject.upload("kit/used", b"used")
        return await subject.download("kit/used")

    @pytest.mark.parametrize(
        "data", [b"", b"text", bytes(range(256)) * 1000], ids=["empty", "text", "binary"]
    )
    def test_what_was_stored_comes_back(self, subject: ObjectStorage, data: bytes) -> None:
        """Byte for byte, under the key that was given."""

        async def there_and_back(subject: ObjectStorage) -> bytes:
            assert await subject.upload("kit/a", data, "application/octet-stream") == "kit/a"
            assert await subject.exists("kit/a")
            return await subject.download("kit/a")

        assert self.run(subject, there_and_back) == data

    def test_a_stream_is_stored_whole(self, subject: ObjectStorage) -> None:
        """Parts of any size, in their order."""

        async def parts() -> AsyncIterator[bytes]:
            for part in (b"one", b"", b"two" * 1000, b"!"):
                yield part

        async def there_and_back(subject: ObjectStorage) -> bytes:
            await subject.upload("kit/stream", parts())
            return await subject.download("kit/stream")

        assert self.run(subject, there_and_back) == b"one" + b"two" * 1000 + b"!"

    def test_a_stream_that_breaks_replaces_nothing(self, subject: ObjectStorage) -> None:
        """Half an object is worse than none."""

        async def parts() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("the sender went away")

        async def broken(subject: ObjectStorage) -> bytes:
            await subject.upload("kit/whole", b"before")
            with pytest.raises(Exception, match="the sender went away"):
                await subject.upload("kit/whole", parts())
            return await subject.download("kit/whole")

        assert self.run(subject, broken) == b"before"

    @pytest.mark.parametrize("key", ["plain.txt", "a/b/c.md", "with space", "文件/豆包.txt", "100%+&?#=.txt"])
    def test_any_key_works(self, subject: ObjectStorage, key: str) -> None:
        """Keys are not paths and not URLs; whatever they are turned into is not the caller's concern."""

        async def there_and_back(subject: ObjectStorage) -> bytes:
            await subject.upload(key, key.encode())
            return await subject.download(key)

        assert self.run(subject, there_and_back) == key.encode()

    def test_the_second_upload_replaces_the_first(self, subject: ObjectStorage) -> None:
        """One key, one object."""

        async def twice(subject: ObjectStorage) -> bytes:
            await subject.upload("kit/a", b"a longer first")
            await subject.upload("kit/a", b"second")
            return await subject.download("kit/a")

        assert self.run(subject, twice) == b"second"

    def test_objects_at_the_same_time_are_not_mixed(self, subject: ObjectStorage) -> None:
        """Nor are those whose keys resemble each other."""
        keys = ("kit/a", "kit/A", "kit/aa", "kit/a.txt", "kit-a")

        async def there_and_back(subject: ObjectStorage) -> list[bytes]:
            await asyncio.gather(*(subject.upload(key, key.encode()) for key in keys))
            return await asyncio.gather(*map(subject.download, keys))

        assert self.run(subject, there_and_back) == [key.encode() for key in keys]

    def test_what_is_deleted_is_gone(self, subject: ObjectStorage) -> None:
        """``delete()`` tells whether there was something."""

        async def gone(subject: ObjectStorage) -> tuple[bool, bool, bool]:
            await subject.upload("kit/a", b"a")
            return await subject.delete("kit/a"), await subject.delete("kit/a"), await subject.exists("kit/a")

        assert self.run(subject, gone) == (True, False, False)

    def test_what_was_never_there_is_not_found(self, subject: ObjectStorage) -> None:
        """With the error that says so."""
        with pytest.raises(NotFoundError):
            self.run(subject, lambda one: one.download("kit/never"))

    def test_a_presigned_url_is_a_text_without_the_secret(self, subject: ObjectStorage) -> None:
        """Whoever gets it gets one object, not the account."""

        async def sign(subject: ObjectStorage) -> str:
            await subject.upload("kit/a", b"a")
            return await subject.presigned_url("kit/a", expires_in=60)

        url = self.run(subject, sign)
        assert isinstance(url, str)
        assert url
        if self.secret is not None:
            self.assert_not_shown(url)
