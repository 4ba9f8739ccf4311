"""Boxes, arrows and words as SVG. The colors are those of the page, so that a figure is readable in the dark."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Literal

INK = "var(--md-default-fg-color, #222)"
FAINT = "var(--md-default-fg-color--light, #777)"
PAPER = "var(--md-default-bg-color, #fff)"
ACCENT = "var(--md-primary-fg-color, #00796b)"
LINE = 17  # pixels from one line of text to the next

Side = Literal["left", "right", "top", "bottom"]


@dataclass(frozen=True, slots=True)
class Box:
    """Where a box lies."""

    x: float
    y: float
    width: float
    height: float

    def edge(self, side: Side, along: float = 0.5) -> tuple[float, float]:
        """Return a point on one side; ``along`` goes from 0 to 1, left to right or top to bottom."""
        x, y = self.x + self.width * along, self.y + self.height * along
        return {
            "left": (self.x, y),
            "right": (self.x + self.width, y),
            "top": (x, self.y),
            "bottom": (x, self.y + self.height),
        }[side]


@dataclass(slots=True)
class Drawing:
    """A figure in the making; sizes are in pixels."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        title: str,
        *lines: str,
        dashed: bool = False,
        strong: bool = False,
        top: bool = False,
    ) -> Box:
        """Draw a box with a title and lines below it, in its middle or at its top."""
        stroke = ACCENT if strong else FAINT
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{PAPER if not dashed else "none"}" '
            f'stroke="{stroke}" stroke-width="{2 if strong else 1.3}"{dash}/>'
        )
        first = y + 22 if top else y + height / 2 - LINE * len(lines) / 2 + 5
        self.text(x + width / 2, first, title, bold=True)
        for number, line in enumerate(lines, start=1):
            self.text(x + width / 2, first + LINE * number, line, small=True)
        return Box(x, y, width, height)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        bold: bool = False,
        small: bool = False,
        anchor: Literal["start", "middle", "end"] = "middle",
    ) -> None:
        """Write a line."""
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{12 if small else 13.5}"{weight} '
            f'fill="{FAINT if small else INK}">{escape(words)}</text>'
        )

    def arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        words: str = "",
        *,
        dashed: bool = False,
        both: bool = False,
        lift: float = -6,
    ) -> None:
        """Draw an arrow, its words beside its middle."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        back = ' marker-start="url(#tail)"' if both else ""
        self.parts.append(
            f'<line x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}" stroke="{INK}" stroke-width="1.3" '
            f'marker-end="url(#head)"{back}{dash}/>'
        )
        if words:
            self.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + lift, words, small=True)

    def svg(self) -> str:
        """Return the whole figure."""
        heads = "".join(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="{9 if name == "head" else 1}" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="{path}" fill="{INK}"/></marker>'
            for name, path in (("head", "M0 0L10 5L0 10z"), ("tail", "M10 0L0 5L10 10z"))
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" font-family="inherit"><defs>{heads}</defs>{"".join(self.parts)}</svg>'
        )
