"""The benchmarks of a user's data run, small, and what they compare is right."""

from __future__ import annotations

from benchmarks import export_import, time_travel


async def test_what_is_moved_is_equal(empty_url: str) -> None:
    options = ["--memories", "300", "--database-url", empty_url]
    report = await export_import.run(export_import.parser().parse_args(options))
    assert report.equal
    assert report.steps["import"].told["imported"]["memories"] == 300
    assert "is equal to" in report.text()


async def test_the_past_is_measured(empty_url: str) -> None:
    options = ["--memories", "50", "--versions", "3", "--questions", "3", "--database-url", empty_url]
    report = await time_travel.run(time_travel.parser().parse_args(options))
    assert all(timing.calls == 3 for timing in report.timings.values())
    assert "as_of costs" in report.text()
