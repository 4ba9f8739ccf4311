"""What is published: complete, in step, and nothing that does not belong there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from email.parser import HeaderParser
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from tests.packaging.conftest import NAMES, ROOT, build

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("packaging")

PACKAGES = ["neuromem" if name == "neuromem-core" else name.replace("-", "_") for name in NAMES]


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wheel(package: str, dist: Path) -> Path:
    (found,) = dist.glob(f"{package}-[0-9]*.whl")
    return found


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


def test_twine_accepts_everything(dist: Path) -> None:
    files = sorted(dist.iterdir())
    assert len(files) == 2 * len(NAMES)
    command = (sys.executable, "-m", "twine", "check", "--strict", *map(str, files))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_in_the_wheels_is_what_belongs_there(dist: Path) -> None:
    wheels = map(str, sorted(dist.glob("*.whl")))
    command = (sys.executable, "-m", "check_wheel_contents", *wheels)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_another_folder_at_another_time_gives_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    again, place = tmp_path / "dist", tmp_path / "another place"
    place.mkdir()
    shutil.copy(ROOT / ".gitignore", place)  # an sdist holds it
    for name in NAMES:
        folder = place / name
        shutil.copytree(ROOT / name, folder, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        for path in folder.rglob("*"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
            path.chmod(0o700 if path.is_dir() else 0o600)
        build(folder, again)
    assert sorted(path.name for path in again.iterdir()) == sorted(path.name for path in dist.iterdir())
    for path in dist.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_licence_is_in_each_and_says_the_same_as_the_repositorys(package: str, wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert archive.read(name) == (ROOT / "LICENSE").read_bytes()
    classifiers = metadata(wheel).get_all("Classifier", [])
    for version in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {version}" in classifiers
    assert "Typing :: Typed" in classifiers


def test_a_wheel_holds_one_typed_package_and_its_licence(package: str, wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {package}
    assert f"{package}/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_a_wheel_holds_every_file_of_the_source_and_no_other(package: str, wheel: Path) -> None:
    folder = "neuromem-core" if package == "neuromem" else package.replace("_", "-")
    source = ROOT / folder / "src"
    found = [path.relative_to(source) for path in (source / package).rglob("*") if path.is_file()]
    files = {
        path.as_posix()
        for path in found
        if not any(part.startswith(".") or part == "__pycache__" for part in path.parts)  # tools' caches
    }
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == files


def test_an_sdist_holds_source_readme_and_licence(package: str, dist: Path) -> None:
    (found,) = dist.glob(f"{package}-[0-9]*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", f"src/{package}/py.typed"} <= names
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]


def test_versions_are_in_step_and_siblings_depend_by_range(
    package: str, wheel: Path, core_wheel: Path
) -> None:
    here, core = metadata(wheel), metadata(core_wheel)
    assert here["Version"] == core["Version"]
    assert here["Requires-Python"] == ">=3.11"
    assert here["License-Expression"] == "MIT"
    needed = [text for text in here.get_all("Requires-Dist", []) if text.startswith("neuromem")]
    assert needed == ([] if package == "neuromem" else ["neuromem<2,>=1.0"])


def test_no_address_of_an_index_and_no_path_of_a_machine_is_published(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    assert "file://" not in text
    assert " @ " not in text
