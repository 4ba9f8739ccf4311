"""The site is built once for all tests that look at it; `xdist_group` keeps them on one worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.site import build

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install --group docs")
    folder = tmp_path_factory.mktemp("docs") / "site"
    build(folder)
    return folder
