"""The folder in which the local plugin keeps its data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT_HOME = Path("/var/lib/neuromem")


def default_home(env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of everything local.

    ``NEUROMEM_HOME`` when it is set, else ``/var/lib/neuromem`` for root, else the platform's user data
    folder.
    """
    if chosen := env.get("NEUROMEM_HOME"):
        return Path(chosen).expanduser().absolute()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ROOT_HOME
    return platformdirs.user_data_path("neuromem", appauthor=False)
