"""Writes a complete distribution for a new plugin: code, entry points and tests by the contract; needs no extra."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from neuromem._first_party import EXPORTS
from neuromem.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of plugin.

    Attributes:
        port: The class in `neuromem.plugin` that its factory builds.
        shape: The template of its ``plugin.py``.
        summary: What it is, for the description of the distribution.
        offer: What stands before its name in ``neuromem plugins``.
        usage: How it is used, for the README.
        needs: Extras of neuromem that it depends on.
    """

    port: str
    shape: str
    summary: str
    offer: str
    usage: str
    needs: str = ""


def _chosen(argument: str, variable: str) -> str:
    return (
        f"```\nNEUROMEM_{argument.upper()}=$plugin {variable}=...\n```\n\n"
        f'or `NeuroMemory({argument}="$plugin")`, or `from neuromem import $Class`.'
    )


_SWITCH = (
    'Switch it on with `NEUROMEM_ENABLE=\'["$plugin"]\'`, or `NeuroMemory(settings={"enable": ["$plugin"]})`.'
)
_KEY = "${VARIABLE}_API_KEY"

KINDS = {
    "embedding": Kind(
        "EmbeddingProvider", "model", "an embedding provider", "Embeddings of", _chosen("embedding", _KEY)
    ),
    "llm": Kind("LLMProvider", "model", "an LLM provider", "Models of", _chosen("llm", _KEY)),
    "storage": Kind(
        "ObjectStorage",
        "storage",
        "an object storage",
        "Files kept by",
        _chosen("storage", "${VARIABLE}_FOLDER"),
    ),
    "database": Kind(
        "DatabaseProvider",
        "database",
        "a place to get a PostgreSQL from",
        "The PostgreSQL of",
        "Whoever gives no `database_url` gets it; where neuromem-local is installed, too, which offers another, block "
        'that one with `NEUROMEM_DISABLE_PLUGINS=local`. Its URL:\n\n```\nNEUROMEM_PLUGINS=\'{"$plugin": {"url": '
        '"postgresql://..."}}\'\n```',
    ),
    "extractor": Kind(
        "Extractor",
        "stage",
        "an extractor of memories",
        "What is kept by",
        "Use it with `NEUROMEM_EXTRACTION__EXTRACTORS='[\"$plugin\"]'`, or "
        '`NeuroMemory(settings={"extraction": {"extractors": ["$plugin"]}})`.',
    ),
    "retriever": Kind(
        "Retriever", "stage", "a source of candidates for recall", "The candidates of", _SWITCH
    ),
    "fusion": Kind(
        "Fusion",
        "stage",
        "a fusion of what retrievers find",
        "The fusion of",
        "Use it with `NEUROMEM_RECALL__FUSION=$plugin`, or "
        '`NeuroMemory(settings={"recall": {"fusion": "$plugin"}})`.',
    ),
    "scorer": Kind("Scorer", "stage", "a signal for recall", "The signal of", _SWITCH),
    "reranker": Kind(
        "Reranker",
        "stage",
        "a judge of the best hits",
        "The judgment of",
        "Use it with `NEUROMEM_RECALL__RERANKERS='[\"$plugin\"]'`, or "
        '`NeuroMemory(settings={"recall": {"rerankers": ["$plugin"]}})`.',
    ),
    "observer": Kind("Observer", "stage", "an observer of calls and events", "What is told to", _SWITCH),
    "command": Kind(
        "",
        "command",
        "a subcommand of `neuromem`",
        "The command of",
        "```\nneuromem $plugin\n```",
        needs="[cli]",
    ),
}
"""The kinds of plugins that can be written, one for every hook."""

_WORDS = {"llm": "LLM"}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write_distribution(name: str, kind: str, into: Path) -> list[Path]:
    """Write the distribution ``neuromem-NAME`` into a new folder of that name.

    Args:
        name: The name of the plugin, with or without "neuromem-" before it.
        kind: A key of `KINDS`.
        into: The folder in which to make the new one.

    Returns:
        The files that were written, ``pyproject.toml`` first.

    Raises:
        InputError: The name cannot be used or the folder exists; nothing is written then.
    """
    plugin = name.removeprefix("neuromem-")
    distribution, package = f"neuromem-{plugin}", f"neuromem_{plugin.replace('-', '_')}"
    if not _NAME.fullmatch(plugin) or plugin == "none":
        raise InputError(
            f"The name {name!r} cannot be used: lower-case letters, digits and single hyphens, as 'acme'."
        )
    if distribution in EXPORTS.values() or plugin in {"core", "builtin"}:
        raise InputError(f"{distribution} is neuromem's own: give your distribution another name.")
    folder = into / distribution
    if folder.exists():
        raise InputError(
            f"{folder} exists already: remove it, or choose another name or --into another folder."
        )
    chosen = KINDS[kind]
    shown = " ".join(word.capitalize() for word in plugin.split("-"))
    values = {
        "plugin": plugin,
        "distribution": distribution,
        "package": package,
        "kind": kind,
        "Name": shown,
        "Class": shown.replace(" ", "") + _WORDS.get(kind, kind.capitalize()),
        "Port": chosen.port,
        "VARIABLE": plugin.replace("-", "_").upper(),
        "summary": chosen.summary,
        "needs": chosen.needs,
        "offer": f"{chosen.offer} {shown}",
        "year": str(datetime.now(UTC).year),
    }
    values["usage"] = Template(chosen.usage).substitute(values)
    source, tests = folder / "src" / package, folder / "tests"
    templates = {
        folder / "pyproject.toml": "distribution/pyproject.toml",
        folder / "README.md": "distribution/README.md",
        folder / "LICENSE": "distribution/LICENSE",
        source / "__init__.py": "distribution/init.py",
        source / "plugin.py": f"plugins/{chosen.shape}.py",
        source / f"{kind}.py": f"{kind}/code.py",
        tests / "test_plugin.py": "distribution/test_plugin.py",
        tests / f"test_{kind}.py": f"{kind}/test.py",
    }
    texts = {path: _template(name).substitute(values) for path, name in templates.items()}
    texts[source / "py.typed"] = ""
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _template(name: str) -> Template:
    found = resources.files("neuromem.cli").joinpath("templates", f"{name}.txt")
    return Template(found.read_text(encoding="utf-8"))
