"""The list of job kinds: the queue is made from it, and nothing else names all the kinds."""

from __future__ import annotations

import re
from pathlib import Path

import neuromem
from neuromem.config import WorkSettings
from neuromem.store.queue import job_kinds
from neuromem.store.queue.job_kinds import JOB_KINDS, JobKind, kind_array

SOURCES = Path(neuromem.__file__).parent


def test_names_and_capabilities_are_unique_and_what_is_waited_for_exists() -> None:
    names = {kind.name for kind in JOB_KINDS}
    assert len(names) == len({kind.capability for kind in JOB_KINDS}) == len(JOB_KINDS)
    assert all(set(kind.waits_for) <= names - {kind.name} for kind in JOB_KINDS)


def test_every_kind_that_is_defined_is_in_the_list() -> None:
    defined = {id(value) for value in vars(job_kinds).values() if isinstance(value, JobKind)}
    assert defined == {id(kind) for kind in JOB_KINDS}


def test_batches_are_of_the_size_that_settings_say() -> None:
    settings = WorkSettings(embed_batch=7, extract_batch=5)
    sizes = {kind.name: kind.batch_size(settings) for kind in JOB_KINDS}
    assert sizes == {"embed": 7, "extract": 5, "digest": 1, "reembed": 1, "index": 1, "object": 1}


def test_an_array_of_kinds_is_sql_also_when_it_is_empty() -> None:
    assert kind_array(["embed", "index"]) == "CAST(ARRAY['embed', 'index'] AS text[])"
    assert kind_array([]) == "CAST(ARRAY[] AS text[])"


def test_no_statement_lists_what_the_table_of_kinds_knows() -> None:
    """Such as the kinds that do not count as pending: a new kind would have to be added there too."""
    names = "|".join(kind.name for kind in JOB_KINDS)
    listed = re.compile(rf"NOT IN \(\s*'({names})'|kind <> '({names})'")
    found = [
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        if "migrations" not in path.parts and listed.search(path.read_text())
    ]
    assert found == []
