"""Leases: who works on rows of a table, and until when nobody else may.

A lease is a random id that is written into the rows, with the time at which it runs out. Whoever knows the id holds the
rows, also after that time, until somebody else takes them. ``owner`` is the number of the process that took the lease
(`worker_liveness`); NULL when nobody could tell that this process is gone.

Jobs are held like this, and the right to digest for a user. Every table of leases has the columns ``user_id``,
``lease``, ``lease_until`` and ``owner``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.store.database.sql import Fragment, fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.store.database.database import Transaction

# What taking a lease writes; parameters :lease, :seconds and :owner.
LEASE_COLUMNS = "lease, lease_until, owner"
LEASE_END = "now() + make_interval(secs => :seconds)"
NEW_LEASE = f"CAST(:lease AS uuid), {LEASE_END}, CAST(:owner AS int)"
NO_LEASE = "lease = NULL, lease_until = NULL"

RENEW = "UPDATE {s}.{table} SET lease_until = {until} WHERE {held}"
RELEASE = "UPDATE {s}.{table} SET {no_lease}{changes} WHERE {held}"
HELD = "user_id = :user AND {rows} AND lease = CAST(:lease AS uuid)"


def has_lease(row: str) -> Fragment:
    """Return the condition that somebody holds a row, given by its alias, and the lease has not run out."""
    return Fragment(f"{row}.lease_until >= now()")


def has_no_lease(row: str) -> Fragment:
    """Return the condition that a row, given by its alias, can be taken: not held, or its lease has run out."""
    return Fragment(f"({row}.lease_until IS NULL OR {row}.lease_until < now())")


class LeaseTable:
    """A table whose rows are held by leases, and the statements that need to know nothing else of it.

    Args:
        name: The table.
        rows: SQL, which of a user's rows a lease is about; its parameters are in `Lease.rows`.

    Attributes:
        name: The table.
        held: Condition that rows are still held by the lease ``:lease`` of ``:user``.
        renew: Statement that lets a lease last ``:seconds`` from now; touches the rows that are still held.
    """

    def __init__(self, name: str, rows: str = "true") -> None:
        self.name = name
        self.held = fill(HELD, rows=rows)
        self.renew = fill(RENEW, table=name, until=LEASE_END, held=self.held)

    def release(self, changes: str = "") -> Fragment:
        """Return the statement that gives rows back, with further ``column = value`` ``changes`` of them."""
        return fill(
            RELEASE,
            table=self.name,
            no_lease=NO_LEASE,
            changes=f", {changes}" if changes else "",
            held=self.held,
        )


class LeaseLostError(Exception):
    """The lease is somebody else's by now, or its user is gone: nothing may be stored."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease on rows of one user.

    Attributes:
        table: Where the rows are.
        user_id: Whose rows they are.
        id: A UUID that nobody else knows.
        rows: The parameters that say which rows, as the table's condition names them.
    """

    table: LeaseTable
    user_id: str
    id: str
    rows: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the table's ``held``."""
        return {"user": self.user_id, "lease": self.id, **self.rows}


async def renew_lease(transaction: Transaction, lease: Lease, seconds: float) -> bool:
    """Let a lease last from now on, and lock its rows until the transaction ends.

    Returns:
        Whether any of the rows is still held; if not, the work is done, somebody has taken over, or the user is gone.
    """
    return await transaction.run(lease.table.renew, {**lease.parameters, "seconds": seconds}) > 0
