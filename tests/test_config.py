"""Settings from the constructor and the environment; what cannot be used is named, never shown."""

from __future__ import annotations

from typing import Any

import pytest

from neuromem.config import Settings
from neuromem.errors import ConfigurationError


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
        ({}, {"NEUROMEM_WORK__POLL": "hunter2"}, r"work\.poll"),
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
