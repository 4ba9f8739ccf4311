"""The benchmark of digest runs on data of LoCoMo's form and finds nothing doubled, left or lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks import digest

if TYPE_CHECKING:
    from pathlib import Path

SAID = ["I painted a sunset today.", "I painted the harbor.", "I painted my sister.", "I bought a kite."]
LOCOMO = [
    {
        "sample_id": "one",
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Bob",
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ann", "dia_id": f"D1:{n}", "text": text} for n, text in enumerate(SAID, 1)
            ],
        },
        "qa": [],
        "observation": {
            "session_1_observation": {
                "Ann": [[text.replace("I ", "Ann "), f"D1:{n}"] for n, text in enumerate(SAID, 1)]
            }
        },
    }
]


async def test_facts_are_digested_once(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "locomo.json").write_text(json.dumps(LOCOMO))
    given = ["--data", str(tmp_path / "locomo.json"), "--embedding", "hash", "--database-url", database_url]
    text = await digest.run(digest.parser().parse_args(given))
    row = text.splitlines()[-1].split()
    # Four facts and the talk itself; "painted" is in three of them.
    assert row[:10] == ["one", "4", "5", "1", "1", "0", "3", "0", "0", "0"]
