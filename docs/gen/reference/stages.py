"""What the core and the first-party distributions offer through the hooks, and how much each signal weighs."""

from __future__ import annotations

from docs.gen.reference.markdown import code, table
from neuromem.plugin import StageSpec
from neuromem.recall.assembly import SCORER_WEIGHT, scorer_weight
from neuromem.registry import PluginRegistry
from neuromem.registry.hooks import HOOKS

HEAD = f"""# Stages and plugins

What `neuromem plugins` shows when the core and all first-party distributions are installed. A provider is chosen by
name (`embedding="openai"`) or given as an object. A stage marked *on* takes part; `enable` and `disable` in the
[settings](settings.md) change that, and fusion, extractors and rerankers are chosen by name there.

A scorer's weight is what its signal of 1 adds to a fused score, which lies in [0, 1]; `recall.scorer_weights` changes
it. A plugin's scorer without a weight there gets {SCORER_WEIGHT:g}.
"""


def page() -> str:
    """Return the page."""
    registry = PluginRegistry.discover(env={})
    parts = [HEAD]
    for hook in HOOKS.values():
        every = getattr(registry, hook.name.removeprefix("neuromem_"))()
        offers = [offer for offer in every if (offer.origin.distribution or "").startswith("neuromem")]
        if not offers:
            continue
        scorers = hook.name == "neuromem_scorers"
        rows = []
        for offer in offers:
            spec = offer.spec
            on = "on" if getattr(spec, "default", False) and isinstance(spec, StageSpec) else ""
            weight = (f"{scorer_weight(spec, {}):g}",) if scorers else ()
            rows.append((code(spec.name), spec.summary, offer.origin.distribution, on, *weight))
        head = ("name", "what it is", "distribution", "", *(("weight",) if scorers else ()))
        parts += [
            f"## {hook.noun[0].upper()}{hook.noun[1:]}s\n",
            f"Hook `{hook.name}`.\n",
            table(head, rows) + "\n",
        ]
    return "\n".join(parts)
