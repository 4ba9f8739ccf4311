"""The ``neuromem`` command; what it does is in `neuromem.cli`, which needs the extra ``cli``."""

from __future__ import annotations

import sys

EXTRA = ("click", "rich")


def main() -> None:
    """Run the command, or say in one sentence which extra is missing."""
    try:
        from neuromem.cli.app import neuromem
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRA:
            raise
        sys.exit("The neuromem command needs the extra 'cli': pip install 'neuromem[cli]'")
    neuromem()


if __name__ == "__main__":
    main()
