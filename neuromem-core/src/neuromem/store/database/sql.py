"""SQL composed from named fragments, each with the parameters that it needs.

A template is a string with named places, ``{condition}``; `fill` puts fragments there and collects their parameters.
``{s}`` is the schema: it stays, and is filled in when the statement is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLACE = re.compile(r"\{(\w+)\}")
_SCHEMA = "s"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of SQL with the values of its parameters.

    Attributes:
        sql: The text; ``:name`` stands for a parameter, ``{s}`` for the schema.
        parameters: The values of the parameters that this piece brings along, by name.
    """

    sql: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sql)

    def rename_parameter(self, old: str, new: str) -> Fragment:
        """Return the same fragment with a parameter renamed, so that another one may have a parameter of that name."""
        sql = re.sub(rf"(?<![:\w]):{old}\b", f":{new}", self.sql)
        return Fragment(sql, {new if name == old else name: value for name, value in self.parameters.items()})


TRUE = Fragment("true")
NOTHING = Fragment("")


def fill(template: str, **fragments: Fragment | str) -> Fragment:
    """Return a template with its places filled, together with the parameters of all fragments.

    Args:
        template: SQL with places such as ``{condition}``; ``{s}`` is left alone.
        fragments: What comes into each place, by its name. A fragment is not searched for places itself.

    Raises:
        ValueError: A place has no fragment, a fragment has no place, or two fragments give one parameter different
            values: mistakes in our own code, found when the statement is composed.
    """
    unused = set(fragments)

    def put(match: re.Match[str]) -> str:
        name = match[1]
        if name == _SCHEMA:
            return match[0]
        if name not in fragments:
            raise ValueError(f"Nothing fills the place {{{name}}}.")
        unused.discard(name)
        fragment = fragments[name]
        return fragment if isinstance(fragment, str) else fragment.sql

    sql = _PLACE.sub(put, template)
    if unused:
        raise ValueError(f"There is no place for {', '.join(sorted(unused))}.")
    return Fragment(sql, merged(f for f in fragments.values() if isinstance(f, Fragment)))


def place_names(template: str) -> set[str]:
    """Return the names of the places that `fill` would have to fill in a template."""
    return {name for name in _PLACE.findall(template) if name != _SCHEMA}


def all_of(conditions: Iterable[Fragment]) -> Fragment:
    """Return the conjunction of conditions; ``true`` when there are none."""
    given = [condition for condition in conditions if condition]
    if not given:
        return TRUE
    return Fragment(" AND ".join(condition.sql for condition in given), merged(given))


def merged(fragments: Iterable[Fragment]) -> dict[str, Any]:
    """Return the parameters of fragments together; raises ValueError where two give one name different values."""
    together: dict[str, Any] = {}
    for fragment in fragments:
        for name, value in fragment.parameters.items():
            if name in together and together[name] is not value and together[name] != value:
                raise ValueError(f"Two fragments give :{name} different values.")
            together[name] = value
    return together
