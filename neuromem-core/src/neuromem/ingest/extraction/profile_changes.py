"""What an extraction changes of the user's profile: its values are checked and merged with those that are stored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from neuromem.domain.names import name_key
from neuromem.structured_output.coerce import NO_VALUE, clean_text

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

TEXTS = ("identity", "occupation")
"""Keys whose value is a text; a new one replaces it."""
LISTS = ("interests", "preferences", "values", "relationships", "personality")
"""Keys whose value is a list; new entries are added to it."""
MAX_TEXT = 500
MAX_ENTRY = 200
MAX_ENTRIES = 100

_LIST_SEPARATOR = re.compile(r"[;、；\n]|,\s|，")
_UNUSABLE = "profile: entry of no use"


def validate_profile(values: Mapping[str, Any], rejected: Counter[str]) -> dict[str, Any]:
    """Return the values of a profile that may be stored, in the form of their keys.

    Args:
        values: Values by key, from any extractor: texts, lists, or objects where texts belong.
        rejected: Gets the count of what is dropped, by reason.
    """
    profile: dict[str, Any] = {}
    for key, value in values.items():
        if key in TEXTS:
            found = _entries(value, MAX_TEXT, rejected)
            if found:
                profile[key] = ", ".join(found)[:MAX_TEXT]
        elif key in LISTS:
            parts = _LIST_SEPARATOR.split(value) if isinstance(value, str) else value
            found = _entries(parts, MAX_ENTRY, rejected)
            if found:
                profile[key] = found
        elif value:
            rejected[_UNUSABLE] += 1
    return profile


def validate_withdrawn(
    withdrawn: Mapping[str, Sequence[str]], profile: Mapping[str, Any], rejected: Counter[str]
) -> dict[str, list[str]]:
    """Return the withdrawn entries that are in the profile: an extractor can withdraw only what it was shown.

    Args:
        withdrawn: Entries by key.
        profile: The profile that the extractor was shown.
        rejected: Gets the count of what is dropped, by reason.
    """
    valid: dict[str, list[str]] = {}
    for key, entries in withdrawn.items():
        stored = profile.get(key)
        shown = {name_key(str(part)) for part in (stored if isinstance(stored, list) else [stored])}
        for entry in entries:
            if key in (*TEXTS, *LISTS) and isinstance(entry, str) and name_key(entry) in shown:
                valid.setdefault(key, []).append(entry)
            else:
                rejected["withdrawn: entry of no use"] += 1
    return valid


def merge_profile(
    stored: Mapping[str, Any],
    new: Mapping[str, Any],
    withdrawn: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return the values of the profile that change.

    Args:
        stored: The profile as it is.
        new: New values by key: texts replace, entries of lists are added if they are not there yet.
        withdrawn: Entries by key that do not hold any more.

    Returns:
        The changed values by key; None where nothing is left.
    """
    gone = {key: {name_key(entry) for entry in entries} for key, entries in (withdrawn or {}).items()}
    changed: dict[str, Any] = {}
    for key in dict.fromkeys((*gone, *new)):
        before = stored.get(key)
        after: Any
        if key in TEXTS:
            is_gone = isinstance(before, str) and name_key(before) in gone.get(key, ())
            after = new.get(key) or (None if is_gone else before)
        else:
            entries = before if isinstance(before, list) else []
            after = [entry for entry in entries if name_key(str(entry)) not in gone.get(key, ())]
            present = {name_key(str(entry)) for entry in after}
            for entry in new.get(key, ()):
                if name_key(entry) not in present and len(after) < MAX_ENTRIES:
                    present.add(name_key(entry))
                    after.append(entry)
        if (after or None) != before:
            changed[key] = after or None
    return changed


def _entries(value: object, max_length: int, rejected: Counter[str]) -> list[str]:
    """Return the texts where one or several belong; what is no text is counted, "none" and "unknown" are not."""
    parts = value if isinstance(value, list | tuple) else [value]
    texts = []
    for part in parts:
        text = clean_text(_object_as_text(part), max_length)
        if text is None and part:
            rejected[_UNUSABLE] += 1
        elif text is not None and text.lower() not in NO_VALUE:
            texts.append(text)
    return texts


def _object_as_text(part: object) -> object:
    """Return an object as a text: its name and the other texts in it, or "key: text" if it has no name."""
    if not isinstance(part, dict):
        return part
    texts = {str(key): text for key, text in part.items() if isinstance(text, str) and text}
    return ", ".join(texts.values() if "name" in texts else (f"{key}: {text}" for key, text in texts.items()))
