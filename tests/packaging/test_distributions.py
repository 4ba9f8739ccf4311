"""What is published: complete, in step, and nothing that does not belong there."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from email.parser import HeaderParser
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from tests.packaging.conftest import NAMES, ROOT

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
