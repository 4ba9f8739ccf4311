"""``neuromem digest``: run a digest and print the insights and the emotion profile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from neuromem.cli.options.user import user_options
from neuromem.cli.output import print_json, print_notice, print_text, progress, safe_text, stdout

if TYPE_CHECKING:
    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.domain.insights import DigestProgress, DigestResult, EmotionProfile, Insight


@click.command(short_help="Look for insights in what is known.")
@click.option("--llm", metavar="NAME[:MODEL]", help="LLM to think with; default: NEUROMEM_LLM, else none.")
@click.option(
    "--batch-size", default=50, show_default=True, type=click.IntRange(1, 500), help="Memories per call."
)
@user_options
def digest(database: DatabaseOptions, user: str, *, llm: str | None, batch_size: int, as_json: bool) -> None:
    """Look for insights in the memories that were not digested yet, and show what is known by now.

    Interrupted, call it again: it goes on where it was. Without an LLM nothing is looked for.
    """
    result, known, left = asyncio.run(_digest(database, user, llm, batch_size))
    if as_json:
        print_json({**result, "insights": known})
        return
    new = result["insights_generated"]
    print_text(f"{result['memories_analyzed']} memories were digested; {new} insights are new.")
    if left:
        print_notice(f"{left} memories wait for an LLM: choose one with --llm or NEUROMEM_LLM.", "yellow")
    if known:
        _print_insights(known)
    _print_emotions(result["emotion_profile"])


async def _digest(
    database: DatabaseOptions, user: str, llm: str | None, batch_size: int
) -> tuple[DigestResult, list[Insight], int]:
    async with database.memory(llm=llm) as memory:
        with progress() as bar:
            task = bar.add_task("Digesting", total=None)

            def step(state: DigestProgress) -> None:
                done = state["memories_analyzed"]
                bar.update(task, completed=done, total=done + state["memories_left"])

            result = await memory.digest(user, batch_size, progress=step)
        assert result is not None  # it did not go into the background
        return result, await memory.insights(user), (await memory.stats(user))["undigested"]


def _print_insights(insights: list[Insight]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("confidence", "stage", "evidence"):
        table.add_column(name, no_wrap=True)
    table.add_column("insight", overflow="fold")
    for one in insights:
        table.add_row(
            f"{one['confidence']:.2f}", one["stage"], str(len(one["source_ids"])), safe_text(one["content"])
        )
    stdout().print(table)


def _print_emotions(profile: EmotionProfile) -> None:
    if profile["latest_state"]:
        print_text(profile["latest_state"])
    if profile["valence_avg"] is not None:
        often = ", ".join(f"{name} {share:.0%}" for name, share in profile["dominant_emotions"].items())
        print_text(
            f"On average {profile['valence_avg']:+.2f} from -1 (bad) to 1 (good){f': {often}' if often else ''}."
        )
