"""What a profile becomes when messages are extracted anew: what they alone had said goes, what they say now comes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.domain.names import name_key
from neuromem.ingest.extraction.validate import merged
from neuromem.store.conversations.reextraction import profile_keys_set_by_hand
from neuromem.store.kv.kv import read_profile
from neuromem.store.kv.profile_sources import (
    change_profile,
    comparable_items,
    forget_profile_sources,
    record_profile_sources,
    values_said_only_by,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from neuromem.ingest.extraction.validate import Admitted
    from neuromem.store.database.database import Transaction


@dataclass(slots=True)
class Reprofile:
    """A profile as it was, and as it becomes window after window; a person's own values are left alone."""

    before: Mapping[str, Any]
    own: Collection[str]
    now: dict[str, Any]
    told: list[tuple[Mapping[str, Any], Sequence[str]]] = field(default_factory=list)
    origin: Mapping[str, Any] = field(default_factory=dict)
    _others: set[str] = field(default_factory=set)

    @classmethod
    async def of(cls, transaction: Transaction, user_id: str, scope: Collection[str]) -> Reprofile:
        """Return the profile without what only messages of the scope have said."""
        before = await read_profile(transaction, user_id)
        own = await profile_keys_set_by_hand(transaction, user_id)
        alone = await values_said_only_by(transaction, user_id, scope)
        now: dict[str, Any] = {}
        for key, value in before.items():
            gone = alone.get(key, set()) if key not in own else set()
            if isinstance(value, list):
                if left := [part for part in value if not gone.issuperset(comparable_items(part))]:
                    now[key] = left
            elif not gone.issuperset(comparable_items(value)):
                now[key] = value
        return cls(before, own, now, _others={key for key in now if not isinstance(now[key], list)})

    def take(self, admitted: Admitted, messages: Sequence[str], origin: Mapping[str, Any]) -> None:
        """Take what a window says; a text that others have said as well is not overwritten by an old message."""
        told = {
            key: value
            for key, value in admitted.profile.items()
            if key not in self.own and key not in self._others
        }
        withdrawn = {key: said for key, said in admitted.withdrawn.items() if key not in self.own}
        for key, value in merged(self.now, told, withdrawn).items():
            if value is None:
                self.now.pop(key, None)
            else:
                self.now[key] = value
        self.told.append((admitted.profile, messages))
        self.origin = origin

    def changed(self) -> dict[str, Any]:
        """Return what is different now; None: it is gone. What stays keeps its place."""
        after = {key: _ordered(self.before.get(key), value) for key, value in self.now.items() if value}
        return {
            key: after.get(key)
            for key in dict.fromkeys((*self.before, *after))
            if after.get(key) != self.before.get(key)
        }

    async def store(
        self, transaction: Transaction, user_id: str, scope: Collection[str], now: datetime
    ) -> dict[str, dict[str, Any]]:
        """Store what is different, and which messages say it; returns it before and after, by key."""
        changed = self.changed()
        await change_profile(transaction, user_id, changed, now, self.origin, said={}, sources=())
        await forget_profile_sources(transaction, user_id, scope)
        for told, messages in self.told:
            if told:
                await record_profile_sources(transaction, user_id, told, messages)
        return {key: {"before": self.before.get(key), "after": value} for key, value in changed.items()}


def _ordered(before: Any, after: Any) -> Any:
    if not isinstance(before, list) or not isinstance(after, list):
        return after
    places = {name_key(str(part)): place for place, part in enumerate(before)}
    return sorted(after, key=lambda part: places.get(name_key(str(part)), len(places)))
