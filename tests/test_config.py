"""Settings from the constructor and the environment; what cannot be used is named, never shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from docs.gen.reference import settings as reference
from neuromem.config import Settings
from neuromem.domain.query import Query
from neuromem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

UNITS = (
    "Attempts|Bytes|Candidates|Characters|Files|Insights|Jobs|Length|Memories|Messages|Saturation|Seconds|Texts|Tokens|"
    "Users|Vectors"
)


def fields(model: type[BaseModel], prefix: str = "NEUROMEM_") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name.upper()}", field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name.upper()}__")


def test_the_environment_fills_what_the_constructor_leaves_open() -> None:
    env = {
        "NEUROMEM_RECALL__DEPTH": "200",
        "NEUROMEM_RECALL__TIMEOUT": "2.5",
        "NEUROMEM_LANGUAGE": "zh",
        "NEUROMEM_ENABLE": '["a", "b"]',
        "NEUROMEM_PLUGINS": '{"x": {"y": 1}}',
        "NEUROMEM_API_KEY": "not ours",
        "OTHER": "1",
    }
    settings = Settings.load({"recall": {"depth": 50}}, env)
    assert (settings.recall.depth, settings.recall.timeout, settings.language) == (50, 2.5, "zh")
    assert (settings.enable, settings.plugins) == (("a", "b"), {"x": {"y": 1}})


@pytest.mark.parametrize(
    ("given", "env", "says"),
    [
        ({"recal": {}}, {}, "recal"),
        ({"recall": {"dept": 1}}, {}, r"recall\.dept"),
        ({"recall": {"depth": 0}}, {}, r"recall\.depth"),
        ({"work": {"lease": -1}}, {}, r"work\.lease"),
        ({}, {"NEUROMEM_WORK__POLL": "hunter2"}, r"work\.poll \(NEUROMEM_WORK__POLL\): "),
        ({}, {"NEUROMEM_WORK": '{"poll": "hunter2"}'}, r"work\.poll \(NEUROMEM_WORK\): "),
        ({}, {"NEUROMEM_RECALL__DEPT": "hunter2"}, r"recall\.dept \(NEUROMEM_RECALL__DEPT\): "),
        ({}, {"NEUROMEM_LLM__KEY": "hunter2"}, r"llm \(NEUROMEM_LLM__KEY\): "),
        ({"enable": {b"\xff"}}, {"NEUROMEM_ENABLE": "[]"}, r"used: enable\.0: "),
        ({"work": {"poll": "hunter2"}}, {"NEUROMEM_WORK__POLL": "1"}, r"used: work\.poll: "),
        ({}, {"NEUROMEM_ENABLE": "hunter2"}, r"enable \(NEUROMEM_ENABLE\): "),
        ({}, {"NEUROMEM_EXTRACTION__FIELDS": "hunter2"}, r"fields \(NEUROMEM_EXTRACTION__FIELDS\): .*import"),
        ({}, {"NEUROMEM_RECALL": "hunter2"}, "recall"),
        ({}, {"NEUROMEM_RECALL": "hunter2", "NEUROMEM_RECALL__DEPTH": "3"}, "recall"),
        ({}, {"NEUROMEM_PLUGINS": "[hunter2"}, "plugins"),
        ({"extraction": {"timezone": "hunter2/town"}}, {}, r"extraction\.timezone.*no such time zone"),
    ],
)
def test_what_cannot_be_used_is_named(given: dict[str, Any], env: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        Settings.load(given, env)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None  # pydantic's error would have the value


@pytest.mark.parametrize(
    "wrong",
    [
        {"database_url": ["postgresql://app:hunter2@host/db"]},
        {"databas_url": "postgresql://app:hunter2@host/db"},
        {"recall": {"depth": "hunter2"}},
        {"extraction": {"fields": "hunter2:Ticket"}},
        {"extraction": {"timezone": "hunter2"}},
    ],
)
def test_what_the_constructor_refuses_is_not_shown(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**wrong)
    assert "hunter2" not in str(caught.value) + repr(caught.value)


def test_what_is_in_a_section_overrides_its_own_variable_in_any_order() -> None:
    env = {"NEUROMEM_RECALL__DEPTH": "7", "NEUROMEM_RECALL": ' {"depth": 5, "timeout": 2}'}
    for order in (env, dict(reversed(env.items()))):
        recall = Settings.load(env=order).recall
        assert (recall.depth, recall.timeout) == (7, 2)


def test_json_is_read_where_it_is_meant() -> None:
    env = {
        "NEUROMEM_PLUGINS__ACME__HOSTS": '["a", "b"]',
        "NEUROMEM_PLUGINS__ACME__KEY": "1234",
        "NEUROMEM_EXTRACTION__INSTRUCTIONS": '{"style": "brief"}',
    }
    settings = Settings.load(env=env)
    assert settings.plugins == {"acme": {"hosts": ["a", "b"], "key": "1234"}}
    assert settings.extraction.instructions == '{"style": "brief"}'


def test_secrets_are_not_shown() -> None:
    settings = Settings.load(
        {"database_url": "postgresql://app:hunter2@host/db", "plugins": {"x": {"key": "hunter2"}}}, {}
    )
    assert "hunter2" not in repr(settings) + str(settings)


def test_loading_changes_nothing_of_what_was_given() -> None:
    given: dict[str, Any] = {"recall": {"depth": 50}, "plugins": {"x": {}}}
    settings = Settings.load(given, {"NEUROMEM_PLUGINS": '{"x": {"a": 1}}', "NEUROMEM_RECALL__TIMEOUT": "1"})
    assert given == {"recall": {"depth": 50}, "plugins": {"x": {}}}
    assert settings.plugins == {"x": {"a": 1}}


@pytest.mark.parametrize(("name", "field"), list(fields(Settings)))
def test_every_setting_says_what_it_is_in_which_unit_and_what_it_is_unless_set(
    name: str, field: FieldInfo
) -> None:
    described, default = str(field.description), field.get_default(call_default_factory=True)
    assert re.match(r"[A-Z]", described), name
    assert described.endswith("."), name
    if type(default) in (int, float) or field.annotation in (int | None, float | None):
        assert re.match(rf"({UNITS})\b", described), name
    if default in (None, "", (), {}):
        assert re.search(r"Not set: |Empty: ", described), name
    if isinstance(default, BaseModel):
        assert described == type(default).__doc__
        return
    (row,) = (line for line in reference.page().splitlines() if line.startswith(f"| `{name}` |"))
    assert described.replace("|", "\\|") in row
    assert row.count("|") == 4, row
    if default not in (None, "", (), {}):
        assert row.split("|")[2].strip(), name


def test_a_question_is_as_deep_as_the_settings_unless_it_says_so() -> None:
    assert Query("alice", "Where?", datetime.now(UTC)).depth == Settings().recall.depth
