"""The table of scripts holds, character by character, what each user of it had written down for itself."""

from __future__ import annotations

import re
import sys

import pytest

from neuromem.domain.text import scripts

EVERY_CHARACTER = "".join(map(chr, range(sys.maxunicode + 1)))
WRITTEN_BEFORE = {
    "ARABIC": "\u0620-\u06ff",
    "ARMENIAN": "\u0531-\u058a",
    "COMMON_HAN": "\u4e00-\u9fff",
    "CYRILLIC": "\u0400-\u04ff",
    "GEORGIAN": "\u10a0-\u10ff",
    "GREEK": "\u0370-\u03ff\u1f00-\u1fff",
    "HAN": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "HEBREW": "\u05d0-\u05ea",
    "JAPANESE": "\u3041-\u30ff\uff66-\uff9f",
    "KOREAN": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "LATIN": "A-Za-z\u00c0-\u024f",
    "THAI": "\u0e01-\u0e5b",
    "TOKENS_ACCENTED": "\u00a1-\u036f\u1e00-\u1eff\u2010-\u205e",
    "TOKENS_GREEK_CYRILLIC": "\u0370-\u052f\u1f00-\u1fff",
    "TOKENS_OTHER_SCRIPTS": (
        "\u0530-\u1dff\u3000-\ua4cf\ua8e0-\uabff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
    ),
    "TOKENS_WHOLE": (
        "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    ),
    "UNSPACED": (
        "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
        "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
    ),
    "UNSPACED_NAMES": (
        "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003134f"
    ),
    "UNSPACED_SPEAKERS": "\u3040-\u30ff\u3400-\u9fff",
}


def test_every_group_is_pinned() -> None:
    assert {name for name in vars(scripts) if name.isupper() and not name.startswith("_")} == set(
        WRITTEN_BEFORE
    )


@pytest.mark.parametrize("name", sorted(WRITTEN_BEFORE))
def test_a_group_has_the_characters_that_it_had(name: str) -> None:
    now, before = (
        set(re.findall(f"[{ranges}]", EVERY_CHARACTER))
        for ranges in (getattr(scripts, name), WRITTEN_BEFORE[name])
    )
    assert now == before
