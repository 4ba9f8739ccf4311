"""The user that the server runs as, and which folders that user can reach.

PostgreSQL refuses to run as root. Then the server runs as the owner of its data; new data gets a numeric user
id of its own that no account has, so nothing is added to the machine and no other service shares it.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# Outside the ranges of accounts, of Debian's and of systemd's dynamic users, yet small enough to be mapped in
# containers.
RESERVED_IDS = range(65533, 65519, -1)
# Accounts that every Linux has and that run nothing: initdb, unlike the server, wants an account.
IDLE_ACCOUNTS = ("bin", "daemon", "nobody")


class SetupError(Exception):
    """The server cannot run; the message says why and what to do, and becomes the client's error."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and a group; ``drop`` says whether a child has to switch to them."""

    uid: int
    gid: int
    drop: bool

    @property
    def popen(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` that make the child run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drop else {}

    @property
    def account(self) -> str | None:
        """Name of the user, when it has one."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return None


def choose(home: Path, data: Path) -> Identity:
    """Return the user that the server of ``home`` runs as."""
    here = os.geteuid()
    if here != 0:
        identity = Identity(here, os.getegid(), drop=False)
        if identity.account is None:
            raise SetupError(
                f"PostgreSQL needs an account, and the user id {here} of this process has none (no line in "
                "/etc/passwd). Add one, run as another user, or give a database_url."
            )
        if data.exists() and data.stat().st_uid != here:
            raise SetupError(
                f"{data} belongs to user id {data.stat().st_uid}, and this process runs as {here}. Run as "
                "that user, or choose another folder with NEUROMEM_HOME."
            )
        return identity
    for folder in (data, home):
        if folder.exists() and (owner := folder.stat()).st_uid != 0:
            return Identity(owner.st_uid, owner.st_gid, drop=True)
    for number in RESERVED_IDS:
        if not _has_account(number):
            return Identity(number, number, drop=True)
    raise SetupError(
        f"Every user id from {RESERVED_IDS[-1]} to {RESERVED_IDS[0]} has an account, so none is free to run "
        "PostgreSQL, which refuses to run as root. Run as an ordinary user, or give a database_url."
    )


def account_for_initdb(identity: Identity) -> Identity:
    """Return the user that runs initdb: the identity itself, or an idle account when it has no account."""
    if identity.account is not None:
        return identity
    for name in IDLE_ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(entry.pw_uid, entry.pw_gid, drop=True)
    raise SetupError(
        f"initdb needs an account other than root, and this machine has none of {', '.join(IDLE_ACCOUNTS)}. "
        "Run as an ordinary user, or give a database_url."
    )


def _has_account(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        try:
            grp.getgrgid(number)
        except KeyError:
            return False
    return True


def may(identity: Identity, path: Path, wanted: int) -> bool:
    """Return whether the mode of ``path`` grants ``wanted`` (a sum of 4 read, 2 write, 1 enter)."""
    info = path.stat()
    if info.st_uid == identity.uid:
        granted = info.st_mode >> 6
    elif info.st_gid == identity.gid:
        granted = info.st_mode >> 3
    else:
        granted = info.st_mode
    return granted & wanted == wanted


def can_enter(identity: Identity, folder: Path) -> bool:
    """Return whether the identity may enter every folder on the path to ``folder``."""
    if not identity.drop:
        return True
    real = folder.resolve()
    return all(may(identity, part, 1) for part in (real, *real.parents))


def address(identity: Identity, folder: Path) -> tuple[str, tuple[int, ...]]:
    """Return a path by which the identity reaches its own ``folder``, and descriptors the child must inherit.

    Where a folder above is closed to it (root's home), Linux lets it in through a descriptor that root
    opened: no permission of any existing folder has to change.
    """
    if can_enter(identity, folder):
        return str(folder), ()
    if not sys.platform.startswith("linux") or not os.path.isdir("/proc/self/fd"):
        raise SetupError(
            f"{folder} lies under a folder that only root can enter, and PostgreSQL refuses to run as root. "
            "Choose another folder with NEUROMEM_HOME."
        )
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{fd}", (fd,)


def give(tree: Path, identity: Identity) -> None:
    """Make the identity the owner of a whole tree, links not followed."""
    try:
        for folder, _, files in os.walk(tree):
            os.lchown(folder, identity.uid, identity.gid)
            for name in files:
                os.lchown(os.path.join(folder, name), identity.uid, identity.gid)
    except OSError as error:
        raise SetupError(
            f"Cannot give {tree} to user id {identity.uid}, as whom PostgreSQL must run because it refuses "
            f"to run as root ({error.strerror}). Run as an ordinary user, or give a database_url."
        ) from error


def is_socket_folder(folder: Path, identity: Identity) -> bool:
    """Return whether ``folder`` is a folder (no link) of the identity that nobody else may enter."""
    try:
        info = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == identity.uid and not info.st_mode & 0o077
