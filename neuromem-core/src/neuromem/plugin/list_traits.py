"""How a fusion reads the ranked list of one retriever."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from neuromem.errors import PluginError


# No slots: `StageSpec`, which is generic, inherits from it.
@dataclass(frozen=True, kw_only=True)
class ListTraits:
    """What a fusion needs to know of a retriever's list beyond the candidates.

    The letters are those of the formula in `neuromem.recall.fusion.NormalizedFusion`. Every field has the value that
    suits a list of which nothing is known.

    Attributes:
        weight: What the list weighs among the others, W; at least 0. Of a scorer: what its signal of 1 adds to a fused
            score, which lies in [0, 1]. None: 1 for a retriever, 0.05 for a scorer. A retriever of weight 0 adds
            candidates and no score of its own.
        neighbor_weights: n_1, n_2, ...: the share of a score that the turns one, two, ... away in the same session
            gain from it. Empty: nothing of this list reaches a neighbor.
        absolute: Whether a score of 1 means certainty and less means less: then the list weighs W * min(1, best score).
            False: only the differences within the list count.
        missing_score: What a candidate that is not in the list has in it. "zero": it was searched and does not match.
            "mean": it could not be searched, as an entry that is not embedded yet, and has the mean of the list.
        smallest_spread: The least distance between best and worst score that is stretched to the whole of [0, 1];
            lists whose scores lie closer together are stretched less. In the unit of the scores, at least 0.
        shared_weight: The share of a score that a message and the memories derived from it add to each other, in
            [0, 1].
    """

    weight: float | None = None
    neighbor_weights: tuple[float, ...] = ()
    absolute: bool = False
    missing_score: Literal["zero", "mean"] = "zero"
    smallest_spread: float = 0.0
    shared_weight: float = 0.3


def check_traits(traits: ListTraits, name: str) -> None:
    """Raise `PluginError` for values that no fusion can add up; ``name`` is the stage's."""
    numbers = {
        "weight": 0.0 if traits.weight is None else traits.weight,
        "smallest_spread": traits.smallest_spread,
        "shared_weight": traits.shared_weight,
        **{f"neighbor_weights[{n}]": share for n, share in enumerate(traits.neighbor_weights)},
    }
    for field, value in numbers.items():
        if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise PluginError(f"The stage {name!r} has {field}={value!r}; it is a finite number from 0 on.")
    if traits.missing_score not in ("zero", "mean"):
        raise PluginError(
            f"The stage {name!r} has missing_score={traits.missing_score!r}: use 'zero' or 'mean'."
        )
