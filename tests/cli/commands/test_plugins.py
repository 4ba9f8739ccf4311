"""``neuromem plugins``: what is installed, active, broken and blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.cli.conftest import Cli


def test_it_shows_what_each_plugin_offers_and_what_of_it_is_active(cli: Cli) -> None:
    report = {plugin["name"]: plugin for plugin in cli.json("plugins")}
    assert report["acme"]["distribution"] == "acme-hash"
    assert report["acme"]["offers"] == [
        {"hook": "neuromem_embeddings", "name": "hash", "summary": "Hashes words", "active": True}
    ]
    (local,) = [o for o in report["local"]["offers"] if o["hook"] == "neuromem_embeddings"]
    assert local["active"] is False  # NEUROMEM_EMBEDDING names another
    shown = cli("plugins").stdout
    assert "acme  acme-hash 1.0  loaded" in shown
    assert "embeddings  hash           active  Hashes words" in shown


def test_broken_and_blocked_plugins_are_shown_and_end_nothing(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.distributions.install("acme-broken", plugin="broken", source="import no_such_module")
    cli.distributions.install("acme-quiet", plugin="quiet", source="raise SystemExit")
    monkeypatch.setenv("NEUROMEM_DISABLE_PLUGINS", "quiet")
    report = {plugin["name"]: plugin for plugin in cli.json("plugins")}
    assert report["broken"]["state"] == "broken"
    assert "no_such_module" in report["broken"]["error"]
    assert report["quiet"]["state"] == "blocked"
    assert "no_such_module" in cli("plugins").stdout
