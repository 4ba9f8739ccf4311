"""The settings: one table per section, from the model that reads them."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from docs.gen.reference.markdown import code, first, table
from neuromem.config import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

HEAD = """# Settings

The constructor's arguments come first, then `settings=` (a `neuromem.Settings` or a dict), then the environment. In a
dict sections are dicts; in a variable's name they are joined by two underscores, and lists and objects are JSON:

```python
from neuromem import NeuroMemory

nm = NeuroMemory(llm="none", settings={"recall": {"depth": 100}, "disable": ["emotion"]})
print(nm.settings.recall.depth)  # -> 100
```

```text
NEUROMEM_RECALL__DEPTH=100
NEUROMEM_DISABLE='["emotion"]'
```

A section may also be one variable, a JSON object; a variable of its own overrides what is in there.

An unknown key or a value out of range raises `ConfigurationError`, which names the key and the variable that it came
from, and never shows a value.
"""

MORE = """## Read elsewhere

Two variables are no settings, because they are read before there are any:

| variable | read by | meaning |
| --- | --- | --- |
| `NEUROMEM_DISABLE_PLUGINS` | the registry | names of plugins, separated by commas, that are not even imported |
| `NEUROMEM_HOME` | `neuromem-local` | the folder of the embedded PostgreSQL and of stored files |

Keys and addresses of vendors come from the vendors' own variables, such as `OPENAI_API_KEY`; see
[providers](providers.md).
"""


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_section(Settings, "", "General"), MORE])


def _section(model: type[BaseModel], prefix: str, title: str) -> Iterator[str]:
    fields = model.model_fields
    sections = {name: field for name, field in fields.items() if _is_section(field)}
    rows = [
        (code(f"{PREFIX}{prefix}{name}".upper()), code(_default(field)), _meaning(field))
        for name, field in fields.items()
        if name not in sections
    ]
    yield f"## {title}\n"
    if prefix:
        yield f"{first(model)}\n"
    yield table(("variable", "default", "meaning"), rows) + "\n"
    for name, field in sections.items():
        assert isinstance(field.annotation, type)
        yield from _section(
            field.annotation, f"{prefix}{name}__", "BM25" if name == "bm25" else name.capitalize()
        )


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _meaning(field: FieldInfo) -> str:
    kind = ", ".join(filter(None, [_type(field.annotation), _bounds(field)]))
    return f"{field.description} {kind[0].upper()}{kind[1:]}." if kind else str(field.description)


def _type(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return ", ".join(_type(part) for part in parts if part is not NoneType)
    if origin is Literal:
        return ", ".join(code(str(part)) for part in parts)
    if origin is tuple:
        return f"list of {_type(parts[0])}"
    if origin is dict:
        return "object"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, "")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value in (None, (), {}):
        return ""
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)  # as the environment takes it


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    return ", ".join(
        f"{words[name]} {getattr(rule, name):,}"
        for rule in field.metadata
        for name in words
        if getattr(rule, name, None) is not None
    )
