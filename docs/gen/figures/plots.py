"""The plots: each calls the function that it shows."""

from __future__ import annotations

import io
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from docs.gen.figures import draw
from neuromem import builtin
from neuromem.domain.query import Query
from neuromem.domain.recall_result import Candidate, RetrievedItem
from neuromem.recall.assembly import scorer_weight
from neuromem.recall.fusion import NormalizedFusion
from neuromem.recall.rank_fusion import ReciprocalRankFusion
from neuromem.recall.scoring import RecencyScorer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stand-ins that are replaced by the page's own colors.
INK, FAINT = "#010203", "#040506"
COLORS = ("#00897b", "#e07a2f", "#7e57c2", "#8d8d8d")  # readable on white and on black
README = Path(__file__).parents[3] / "neuromem-core" / "README.md"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
RETRIEVERS = {spec.name: spec for spec in builtin.neuromem_retrievers()}
WEIGHTS = {spec.name: scorer_weight(spec, {}) for spec in builtin.neuromem_scorers()}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "neuromem",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.titlesize": 10,
}


def drawn() -> dict[str, str]:
    """Return each plot by its name."""
    with mpl.rc_context(STYLE):
        return {
            "recency": _recency(),
            "fusion": _fusion(),
            "weights": _weights(),
            "overtake": _overtake(),
            "measured": _measured(),
        }


def _recency() -> str:
    _, axes = plt.subplots(layout="constrained", figsize=(7.2, 3.2))
    days = range(731)
    query = _query()
    for arousal, color in zip((0.0, 0.5, 1.0), COLORS, strict=False):
        signal = [RecencyScorer().score(query, _hit(day, arousal=arousal)) for day in days]
        axes.plot(days, signal, color=color, label=f"arousal {arousal:g}")
    decay = [math.exp(-day / 30) for day in days]
    axes.plot(days, decay, color=COLORS[3], linestyle="--", label="exp(−days / 30), for comparison")
    axes.set(xlabel="days since it happened", ylabel="signal", ylim=(0, 1.03), xlim=(0, 730))
    axes.legend()
    return _svg("recency")


def _fusion() -> str:
    """Two arms: what each fusion makes of how sure they are."""
    bm25 = {"A": 9.0, "B": 3.1, "C": 3.0, "D": 2.9}
    vector = {"C": 0.62, "B": 0.61, "A": 0.58, "D": 0.2}
    ranked = {
        name: [Candidate(id=key, kind="memory", score=score, relevance=score) for key, score in arm.items()]
        for name, arm in (("bm25", bm25), ("vector", vector))
    }
    _, panels = plt.subplots(1, 4, figsize=(7.6, 2.6), layout="constrained")
    results = (
        ("bm25 says", bm25),
        ("vector says", vector),
        ("normalized", {f.id: f.score for f in NormalizedFusion(RETRIEVERS).fuse(ranked)}),
        ("rrf", {f.id: f.score for f in ReciprocalRankFusion(RETRIEVERS).fuse(ranked)}),
    )
    for axes, (title, scores), color in zip(panels, results, (*COLORS[1:3], *COLORS[:1] * 2), strict=True):
        _bars(axes, scores, color)
        axes.set_title(title)
    return _svg("fusion")


def _weights() -> str:
    _, axes = plt.subplots(layout="constrained", figsize=(7.2, 2.9))
    ordered = dict(sorted(WEIGHTS.items(), key=lambda item: item[1]))
    _bars(axes, ordered, COLORS[0], horizontal=True)
    axes.set(xlabel="what a signal of 1 adds to a fused score, which lies in [0, 1]")
    return _svg("weights")


def _overtake() -> str:
    """How far below another a fused score may lie and still win with the signal of 1 against 0."""
    _, axes = plt.subplots(layout="constrained", figsize=(7.2, 3.0))
    highest = 1 + sum(WEIGHTS.values())
    fused = [i / 100 for i in range(101)]
    axes.plot(fused, [score / highest for score in fused], color=COLORS[3], label="no signal at all")
    for name, color in zip(("recency", "importance", "speaker"), COLORS, strict=False):
        axes.plot(
            fused, [(score + WEIGHTS[name]) / highest for score in fused], color=color, label=f"{name} = 1"
        )
    axes.fill_between(
        fused,
        [score / highest for score in fused],
        [(score + sum(WEIGHTS.values())) / highest for score in fused],
        color=COLORS[3],
        alpha=0.15,
        label="all signals together",
        linewidth=0,
    )
    axes.set(xlabel="fused score", ylabel="score", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return _svg("overtake")


def _measured() -> str:
    """What the README of the core says was measured, as bars."""
    section = README.read_text(encoding="utf-8").partition("\n## Measured\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip(" *`") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if "|" in line
    ]
    _, *columns = rows[0]
    figure, axes = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
    shown = rows[2:]
    width = 0.8 / len(shown)
    for number, (row, color) in enumerate(zip(shown, COLORS, strict=False)):
        places = [place + number * width for place in range(len(columns))]
        label = row[0].partition(" (")[0].replace("`", "")
        axes.bar(places, [float(cell) for cell in row[1:]], width, color=color, label=label)
    axes.set_xticks([place + width * (len(shown) - 1) / 2 for place in range(len(columns))], columns)
    axes.set(ylabel=rows[0][0], ylim=(0, 1))
    figure.legend(loc="outside upper center", ncols=3)
    return _svg("measured")


def _bars(axes: Axes, values: dict[str, float], color: str, *, horizontal: bool = False) -> None:
    names = list(values)
    bars = (
        axes.barh(names, list(values.values()), color=color)
        if horizontal
        else axes.bar(names, list(values.values()), color=color)
    )
    axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
    if not horizontal:
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)


def _query() -> Query:
    return Query(user_id="alice", text="", now=NOW)


def _hit(days: float, *, arousal: float | None = None) -> RetrievedItem:
    then = NOW - timedelta(days=days)
    return RetrievedItem(
        id="x",
        kind="memory",
        score=0.0,
        relevance=0.0,
        ranks={},
        content="",
        memory_type="fact",
        created_at=then,
        occurred_at=then,
        metadata={},
        sources=(),
        arousal=arousal,
    )


def _svg(name: str) -> str:
    """Return the current figure with the page's colors and font, and ids of its own."""
    buffer = io.StringIO()
    plt.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close()
    svg = buffer.getvalue().partition("<svg ")[2]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(id="|url\(#|xlink:href="#|href="#)', rf"\1{name}-", svg)
    svg = svg.replace(INK, draw.INK).replace(FAINT, draw.FAINT)
    svg = re.sub(r"font: ([\d.]+)px[^;\"]*", r"font-size: \1px", svg)
    return "<svg " + re.sub(r"\s*\n\s*", " ", svg).strip()
