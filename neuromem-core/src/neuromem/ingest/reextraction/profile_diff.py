"""How a profile changes when messages are extracted again: what only they said is replaced by what they say now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuromem.domain.names import name_key
from neuromem.ingest.extraction.profile_changes import merge_profile
from neuromem.store.conversations.reextraction import profile_keys_set_by_hand
from neuromem.store.kv.kv import read_profile
from neuromem.store.kv.profile_erasure import comparable_items
from neuromem.store.kv.profile_sources import (
    change_profile,
    forget_profile_sources,
    record_profile_sources,
    values_said_only_by,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from neuromem.ingest.extraction.validate import ValidExtraction
    from neuromem.store.database.database import Transaction


@dataclass(slots=True)
class ProfileDiff:
    """A profile as it is stored, and as it becomes window after window.

    Attributes:
        before: The stored profile.
        set_by_hand: Keys whose value a person has set; they do not change.
        after: The profile as it is by now.
        windows: What each window says, and the ids of its messages.
        origin: The origin of the last window.
    """

    before: Mapping[str, Any]
    set_by_hand: Collection[str]
    after: dict[str, Any]
    windows: list[tuple[Mapping[str, Any], Sequence[str]]] = field(default_factory=list)
    origin: Mapping[str, Any] = field(default_factory=dict)
    _said_elsewhere: set[str] = field(default_factory=set)
    """Keys of texts that messages outside the scope have said as well."""

    @classmethod
    async def load(cls, transaction: Transaction, user_id: str, scope: Collection[str]) -> ProfileDiff:
        """Load the profile; ``after`` begins without what only messages of the scope have said."""
        before = await read_profile(transaction, user_id)
        set_by_hand = await profile_keys_set_by_hand(transaction, user_id)
        only_theirs = await values_said_only_by(transaction, user_id, scope)
        after: dict[str, Any] = {}
        for key, value in before.items():
            gone = only_theirs.get(key, set()) if key not in set_by_hand else set()
            if isinstance(value, list):
                if left := [part for part in value if not gone.issuperset(comparable_items(part))]:
                    after[key] = left
            elif not gone.issuperset(comparable_items(value)):
                after[key] = value
        texts = {key for key, value in after.items() if not isinstance(value, list)}
        return cls(before, set_by_hand, after, _said_elsewhere=texts)

    def take(self, valid: ValidExtraction, messages: Sequence[str], origin: Mapping[str, Any]) -> None:
        """Merge what a window says; a text that other messages have said as well is not replaced by these old ones."""
        new = {
            key: value
            for key, value in valid.profile.items()
            if key not in self.set_by_hand and key not in self._said_elsewhere
        }
        withdrawn = {key: entries for key, entries in valid.withdrawn.items() if key not in self.set_by_hand}
        for key, value in merge_profile(self.after, new, withdrawn).items():
            if value is None:
                self.after.pop(key, None)
            else:
                self.after[key] = value
        self.windows.append((valid.profile, messages))
        self.origin = origin

    def changed(self) -> dict[str, Any]:
        """Return the values that change, by key; None where nothing is left. Entries of lists keep their order."""
        after = {
            key: _in_stored_order(self.before.get(key), value) for key, value in self.after.items() if value
        }
        return {
            key: after.get(key)
            for key in dict.fromkeys((*self.before, *after))
            if after.get(key) != self.before.get(key)
        }

    async def store(
        self, transaction: Transaction, user_id: str, scope: Collection[str], now: datetime
    ) -> dict[str, dict[str, Any]]:
        """Store the values that change, and which messages say them; return both values by key."""
        changed = self.changed()
        await change_profile(transaction, user_id, changed, now, self.origin, said={}, sources=())
        await forget_profile_sources(transaction, user_id, scope)
        for values, messages in self.windows:
            if values:
                await record_profile_sources(transaction, user_id, values, messages)
        return {key: {"before": self.before.get(key), "after": value} for key, value in changed.items()}


def _in_stored_order(before: Any, after: Any) -> Any:
    if not isinstance(before, list) or not isinstance(after, list):
        return after
    places = {name_key(str(part)): place for place, part in enumerate(before)}
    return sorted(after, key=lambda part: places.get(name_key(str(part)), len(places)))
