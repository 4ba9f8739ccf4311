"""What is written in several places says the same in all of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from neuromem.registry.hooks import HOOKS

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in ROOT.glob("neuromem-*/pyproject.toml"))
TEXTS = [ROOT / "README.md", *ROOT.glob("neuromem-*/README.md"), *ROOT.glob("docs/**/*.md")]
PACKAGES = {"neuromem_openai", "neuromem_siliconflow", "neuromem_s3", "neuromem_local", "neuromem_acme"}


def toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def test_no_text_names_a_hook_that_does_not_exist() -> None:
    for text in TEXTS:
        if text.exists():
            named = set(re.findall(r"\bneuromem_[a-z0-9_]+", text.read_text()))
            assert named <= set(HOOKS) | PACKAGES, text


def test_ci_runs_the_command_of_the_readme_then_the_linters_and_the_documentation() -> None:
    commands = re.findall(r"^python3 dev\.py .*$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert commands == ["python3 dev.py test", "python3 dev.py lint", "python3 dev.py docs"]
    readme = (ROOT / "README.md").read_text()
    assert "python3 dev.py test" in readme
    assert "python3 dev.py demo" in readme


def test_the_workspace_knows_every_distribution() -> None:
    workspace = toml(ROOT / "pyproject.toml")["tool"]["uv"]
    names = {toml(folder / "pyproject.toml")["project"]["name"] for folder in FOLDERS}
    assert set(workspace["workspace"]["members"]) == {folder.name for folder in FOLDERS}
    assert set(workspace["sources"]) == names
    mentioned = re.search(r"^DISTRIBUTIONS = \((.*)\)$", (ROOT / "dev.py").read_text(), re.MULTILINE)
    assert mentioned is not None
    assert {name.strip(' "') for name in mentioned[1].split(",")} == {folder.name for folder in FOLDERS}


def test_import_linter_sees_every_package() -> None:
    packages = {path.name for folder in FOLDERS for path in (folder / "src").iterdir() if path.is_dir()}
    for path in ("pyproject.toml", "tests/architecture/circles.toml"):
        assert set(toml(ROOT / path)["tool"]["importlinter"]["root_packages"]) == packages, path


def test_nothing_committed_knows_an_index_or_this_machine() -> None:
    """Ranges and names only: where packages come from is for the one who installs them to say."""
    for path in [
        *ROOT.glob("*.toml"),
        *ROOT.glob("neuromem-*/pyproject.toml"),
        ROOT / "dev.py",
        ROOT / ".ci/run",
    ]:
        assert not re.search(r"index-url|find-links|/simple\b|file://", path.read_text()), path
