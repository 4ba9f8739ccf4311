"""NeuroMemory names the methods of its facades, each once, with their signatures."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import pytest

from neuromem import memory as module
from neuromem.errors import ClosedError
from neuromem.facades.conversations import Conversations
from neuromem.facades.files import Files
from neuromem.facades.graph import Graph
from neuromem.facades.kv import KeyValue
from neuromem.memory import NeuroMemory
from neuromem.testing import HashEmbedding
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMED = (Conversations, Files, Graph, KeyValue)
"""Facades with an attribute of their own on a NeuroMemory."""


def facades() -> Iterator[type]:
    """The classes of facades whose methods are those of NeuroMemory itself."""
    for value in vars(module).values():
        if inspect.isclass(value) and value.__module__.startswith("neuromem.facades.") and value not in NAMED:
            yield value


def test_every_public_method_of_a_facade_has_its_name_on_the_class() -> None:
    checked = 0
    for facade in facades():
        for name, method in inspect.getmembers(facade, inspect.isfunction):
            if not name.startswith("_"):
                named = getattr(NeuroMemory, name)
                assert inspect.unwrap(named) is method
                assert named.__qualname__ == f"NeuroMemory.{name}"
                assert inspect.iscoroutinefunction(named)
                checked += 1
    assert checked > 30


def test_signatures_and_docstrings_are_those_of_the_facade() -> None:
    shown = inspect.signature(NeuroMemory.get_memory)
    assert list(shown.parameters) == ["self", "user_id", "memory_id", "as_of"]
    assert inspect.signature(NeuroMemory.recall).parameters["neighbors"].default == 0
    assert (inspect.getdoc(NeuroMemory.pin) or "").startswith("Keep a memory")


def test_every_parameter_of_the_public_api_is_documented() -> None:
    parameters = [("NeuroMemory", NeuroMemory.__doc__, inspect.signature(NeuroMemory))]
    for owner in (NeuroMemory, *NAMED):
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_"):
                parameters.append((f"{owner.__name__}.{name}", method.__doc__, inspect.signature(method)))
    undocumented = [
        f"{name}({parameter})"
        for name, text, signature in parameters
        for parameter in signature.parameters
        if parameter != "self" and not re.search(rf"^ +\**{parameter}: ", text or "", re.MULTILINE)
    ]
    assert undocumented == []


async def test_a_method_that_was_taken_before_opening_works_while_it_is_open(database_url: str) -> None:
    nm = NeuroMemory(database_url, HashEmbedding(), "none")
    add, stats = nm.add_memory, nm.stats
    for call in (lambda: add("alice", "Likes tea"), lambda: stats("alice"), lambda: nm.drain()):
        with pytest.raises(ClosedError, match="not open"):
            await call()
    async with nm:
        await add("alice", "Likes tea")
        assert (await stats("alice"))["memories"] == 1
    with pytest.raises(ClosedError, match="not open"):
        await stats("alice")


async def test_a_subclass_may_extend_a_method(database_url: str) -> None:
    class Shouting(NeuroMemory):
        async def set_language(self, user_id: str, language: str | None) -> None:
            await super().set_language(user_id.lower(), language)

    async with opened(database_url) as plain:
        await plain.add_memory("alice", "Likes tea")
    async with Shouting(database_url, HashEmbedding(), "none") as nm:
        await nm.set_language("ALICE", "de")
        assert (await nm.verify_deleted("ALICE"))["rows"] == 0
