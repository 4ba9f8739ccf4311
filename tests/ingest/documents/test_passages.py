"""Passages: they cover the text, fit a model, and begin and end where sentences do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromem.domain.text.token_estimate import average_tokens
from neuromem.ingest.documents.chunking import passage_ranges

PIECES = st.sampled_from(
    ["Word", " ", "。", "你好", ". ", "\n", "\n\n", "x" * 50, "- item\n", "! ", "e.g. a", "\t", "？"]
)
TEXTS = st.lists(PIECES, max_size=300).map("".join)


@given(TEXTS, st.integers(20, 100), st.integers(0, 40), st.booleans())
def test_passages_cover_the_text_in_order_and_are_small(
    text: str, tokens: int, overlap: int, by_line: bool
) -> None:
    ranges = passage_ranges(text, tokens=tokens, overlap=overlap, by_line=by_line)
    if not text.strip():
        assert ranges == []
        return
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(text)
    for (start, end), (following, end_of_it) in pairwise(ranges):
        assert start < following <= end < end_of_it
        assert average_tokens(text[following:end]) <= overlap
    assert all(average_tokens(text[start:end]) <= tokens + 64 for start, end in ranges)


def test_passages_of_prose_are_whole_sentences_that_overlap() -> None:
    sentences = [f"This is sentence number {n} of a long text, e.g. a report." for n in range(100)]
    text = " ".join(sentences)
    passages = [text[a:b].strip() for a, b in passage_ranges(text, tokens=100, overlap=30, by_line=False)]
    assert len(passages) > 10
    for passage in passages:
        assert passage.startswith("This is")
        assert passage.endswith("report.")
    for passage, following in pairwise(passages):
        shared = [sentence for sentence in sentences if sentence in passage and sentence in following]
        assert len(shared) == 2


def test_chinese_is_cut_at_its_full_stops() -> None:
    text = "我们今天讨论了第一季度的路线图，并决定推迟发布。大家都同意了吗？" * 40
    ranges = passage_ranges(text, tokens=100, overlap=20, by_line=False)
    assert len(ranges) > 10
    assert all(text[end - 1] in "。？" for _, end in ranges)


def test_code_is_cut_between_lines() -> None:
    text = "".join(f"    value_{n} = compute(value_{n - 1}). then()\n" for n in range(100))
    assert all(text[end - 1] == "\n" for _, end in passage_ranges(text, tokens=100, overlap=20, by_line=True))


@pytest.mark.parametrize(
    "text", ["." * 100_000, ". " * 50_000, "\n" * 100_000 + "a", "a" + ")" * 100_000, "-\n" * 50_000]
)
def test_odd_texts_are_cut_too(text: str) -> None:
    assert passage_ranges(text, tokens=300, overlap=50, by_line=False)[-1][1] == len(text)
