"""The workflow files and CONTRIBUTING speak of chores that exist, and publishing is kept apart from building."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import dev
from neuromem.cli.app import neuromem
from neuromem.cli.plugin_kit.scaffold import KINDS
from tests.packaging.conftest import ROOT
from tests.slow import SLOW

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
VERBS = set(re.findall(r"python3 dev\.py (\w+)", dev.__doc__ or ""))


def jobs(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())["jobs"]
    return loaded


def test_contributing_names_every_chore() -> None:
    assert set(re.findall(r"python3 dev\.py (\w+)", CONTRIBUTING)) == VERBS
    assert all(callable(getattr(dev, verb)) for verb in VERBS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_chores_that_exist_and_may_do_little(path: Any) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] in ({}, {"contents": "read"})
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"dev\.py (\w+)", text)) <= VERBS
    assert not re.search(r"secrets\.|password|token:", text.replace("id-token:", ""))


def test_what_ci_runs_is_what_this_repository_runs() -> None:
    ran = {
        verb
        for job in jobs("ci.yml").values()
        for step in job["steps"]
        for verb in re.findall(r"dev\.py (\w+)", step.get("run", ""))
    }
    assert ran == VERBS - {"demo", "build"}  # packages builds, and the tests run the demo


def test_the_fast_tests_are_those_that_are_not_marked_slow() -> None:
    assert dev.pytest_arguments(["tests/recall", "--fast", "-x"]) == ["-m", "not slow", "tests/recall", "-x"]
    assert dev.pytest_arguments(["tests/recall", "-x"]) == ["tests/recall", "-x"]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert [marker.partition(":")[0] for marker in settings["markers"]] == ["slow"]


def test_what_is_listed_as_slow_exists() -> None:
    for line in SLOW:
        file, _, name = line.partition("::")
        path = ROOT / "tests" / file
        assert path.is_dir() if file.endswith("/") else path.is_file(), line
        assert not name or name.partition("[")[0] in path.read_text(encoding="utf-8"), line


def test_publishing_runs_no_code_of_ours_and_building_cannot_publish() -> None:
    build, publish = jobs("release.yml")["build"], jobs("release.yml")["publish"]
    assert build["permissions"] == {"contents": "read"}
    assert publish["permissions"] == {"id-token": "write"}
    assert (publish["needs"], publish["environment"]) == ("build", "pypi")
    assert all("run" not in step and "checkout" not in step["uses"] for step in publish["steps"])


def test_files_and_options_that_contributing_names_exist() -> None:
    for name in re.findall(r"`((?:tests|benchmarks|\.github)/[\w/.]*)`", CONTRIBUTING):
        assert (ROOT / name).exists(), name
    shown = CliRunner().invoke(neuromem, ["plugins", "new", "--help"]).output
    assert all(kind in shown for kind in KINDS)
