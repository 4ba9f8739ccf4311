"""Tokens: no string raises or changes its meaning, and text and question meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuromem.domain.text.tokenizer import MAX_TOKEN, SNOWBALL, tokenize


@given(st.text(), st.sampled_from(["en", "zh", "de", "xx", "pt-BR", ""]))
def test_any_text_gives_tokens_that_can_be_stored(text: str, language: str) -> None:
    for token in tokenize(text, language):
        assert token
        assert not token.isspace()
        assert len(token) <= MAX_TOKEN


@given(st.text())
def test_case_and_width_do_not_matter(text: str) -> None:
    wide = text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    assert sorted(tokenize(wide.upper().lower())) == sorted(tokenize(text.upper().lower()))


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("we meet at 10:30", "10:30"),
        ("-foo is an option", "-foo"),
        ("I write C++", "C++"),
        ("I write C#", "c#?"),
        ("note: Alice called", "note: Alice"),
        ("mail me at alice@example.org", "alice@example.org"),
        ("Python 3.11.7 is out", "3.11.7"),
        ("call load_user_data()", "load_user_data"),
        ("我在谷歌工作", "谷歌"),
        ("我在谷歌工作 as a Pythonista", "pythonistas 工作"),
        ("हिन्दी में लिखा", "हिन्दी"),
        ("she was running", "runs"),
        ("we loved it 👍", "👍"),
        ("it’s Alice’s café", "alice's CAFÉ"),
        ("ภาษาไทย", "ไทย"),
        ("ひらがなを書く", "かな"),
        ("한국어를 배웁니다", "한국어"),
        ("اشترى الكتاب", "الكتاب"),
        ("call getUserName first", "user name"),
        ("parse HTTPServer logs", "server"),
        ("user_name is empty", "user name"),
        ("works at AT&T", "AT&T?"),
        ("flew to İstanbul", "istanbul"),
        ("the Donau\u00addampfer", "Donaudampfer"),
        ("caf\u00e9", "cafe\u0301"),
        ("met ❤️ there", "❤"),
    ],
)
def test_a_question_meets_the_text_it_is_about(text: str, question: str) -> None:
    assert set(tokenize(question)) & set(tokenize(text))


def test_compounds_are_found_as_a_whole_and_in_parts() -> None:
    assert {"3.11.7", "3", "11", "7"} == set(tokenize("3.11.7"))
    assert {"alice@example.org", "alic", "exampl", "org"} == set(tokenize("alice@example.org"))
    assert "c++" in tokenize("C++")
    assert "c++" not in tokenize("C#")


def test_an_identifier_is_found_as_a_whole_and_by_its_words() -> None:
    assert {"gethttprespons", "get", "http", "respons"} == set(tokenize("getHTTPResponse"))
    assert "gethttprespons" in tokenize("gethttpresponse")
    assert tokenize("APIs Apple USA word2vec") == tokenize("apis apple usa word2vec")


def test_chinese_gives_bigrams_and_single_characters() -> None:
    assert tokenize("谷歌") == ["谷", "歌", "谷歌"]


def test_stop_words_are_those_of_the_language() -> None:
    assert tokenize("the who", "en") == []
    assert tokenize("the who", "de") == ["the", "who"]


@pytest.mark.parametrize("language", sorted(SNOWBALL))
def test_every_language_has_its_stemmer(language: str) -> None:
    assert tokenize("telephone", language)
