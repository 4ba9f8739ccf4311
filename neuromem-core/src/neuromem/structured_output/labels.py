"""Short names ("m1", "k2") for the data of a prompt, and back: a model cannot refer to what it was not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

T = TypeVar("T")


class Labels(Generic[T]):
    """Labels values by a letter for their kind and a number.

    Args:
        kinds: The values by letter; they are numbered from 1 within each kind. A bare number in a reply is taken for
            one of the first kind, because some models leave out the letter.
    """

    def __init__(self, kinds: Mapping[str, Iterable[T]]) -> None:
        self._default_letter = next(iter(kinds))
        self._values = {
            f"{letter}{number}": value
            for letter, values in kinds.items()
            for number, value in enumerate(values, 1)
        }

    def __len__(self) -> int:
        """Return how many values have a label."""
        return len(self._values)

    def items(self, letter: str | None = None) -> Iterator[tuple[str, T]]:
        """Yield labels and values, of one kind or of all."""
        for label, value in self._values.items():
            if letter is None or label.startswith(letter):
                yield label, value

    def values(self) -> list[T]:
        """Return all labeled values."""
        return list(self._values.values())

    def resolve(self, written: str) -> T | None:
        """Return the value that a model referred to; None when it was shown nothing under this label."""
        label = written.strip().lower()
        return self._values.get(f"{self._default_letter}{label}" if label.isdigit() else label)

    def resolve_all(self, written: Iterable[str]) -> list[T]:
        """Return the values that a model referred to, without labels that it was not shown."""
        found = (self.resolve(label) for label in written)
        return [value for value in found if value is not None]
