"""``neuromem ingest``: what arrives in the database, once."""

from __future__ import annotations

import signal
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli

TALK: list[dict[str, Any]] = [
    {"role": "user", "content": "I moved to Lisbon", "session": "a", "speaker": "Ana", "date": "2024-03-01"},
    {"role": "assistant", "content": "How is the weather there?", "session": "a"},
    {"role": "user", "content": "我养了一只猫", "session": "b", "name": "Ana", "metadata": {"mood": "good"}},
    {"role": "user", "content": "ok", "session": "a", "occurred_at": "2024-03-01T10:00:00+02:00"},
    {"role": "user", "content": "ok", "session": "a", "occurred_at": "2024-03-01T10:00:00+02:00"},
]
MESSAGES = "SELECT * FROM neuromem.messages ORDER BY user_id, session_id, position"
COUNT = "SELECT count(*) FROM neuromem.messages"
PATIENCE = 60.0


def test_messages_arrive_in_order_with_all_that_the_lines_say(cli: Cli) -> None:
    result = cli("ingest", cli.file("talk.jsonl", TALK), "--user", "ana")
    assert "5 messages are stored for user 'ana'." in result.stdout
    rows = cli.rows(MESSAGES)
    assert [(row["session_id"], row["position"], row["content"]) for row in rows] == [
        ("a", 0, "I moved to Lisbon"),
        ("a", 1, "How is the weather there?"),
        ("a", 2, "ok"),
        ("a", 3, "ok"),
        ("b", 0, "我养了一只猫"),
    ]
    assert [row["name"] for row in rows] == ["Ana", None, None, None, "Ana"]
    assert rows[0]["occurred_at"] == datetime(2024, 3, 1, tzinfo=UTC)
    assert rows[2]["occurred_at"] == datetime(2024, 3, 1, 8, tzinfo=UTC)
    assert rows[4]["metadata"] == '{"mood": "good"}'
    assert cli.value("SELECT count(*) FROM neuromem.vectors") == 5


def test_running_it_again_stores_what_was_appended_and_nothing_twice(cli: Cli) -> None:
    for lines in (TALK, TALK, [*TALK, TALK[1], {"role": "user", "content": "new", "session": "b"}]):
        cli("ingest", cli.file("talk.jsonl", lines), "--user", "ana")
    assert cli.value(COUNT) == 7
    assert [row["content"] for row in cli.rows(MESSAGES)][4:] == [
        "How is the weather there?",
        "我养了一只猫",
        "new",
    ]


def test_two_users_may_import_the_same_file(cli: Cli) -> None:
    path = cli.file("talk.jsonl", TALK)
    cli("ingest", path, "--user", "ana")
    cli("ingest", path, "--user", "bob")
    assert cli.value(f"{COUNT} WHERE user_id = 'bob'") == 5


def test_lines_without_a_session_belong_to_one_named_after_the_file(cli: Cli) -> None:
    cli("ingest", cli.file("support.jsonl", [{"role": "user", "content": "hi"}]), "--user", "ana")
    assert cli.value("SELECT session_id FROM neuromem.sessions") == "support"


def test_stdin_through_a_pipe(cli: Cli) -> None:
    with (
        subprocess.Popen(["cat", cli.file("talk.jsonl", TALK)], stdout=subprocess.PIPE) as cat,
        cli.start("ingest", "-", "--user", "ana", stdin=cat.stdout) as process,
    ):
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out == "5 messages are stored for user 'ana'.\n"
    assert cli.value(COUNT) == 5


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"role": "user"', "it is no JSON"),
        ('["user", "hi"]', "it must be a JSON object, not list"),
        ('{"role": "user"}', "must be a string"),
        ('{"role": "user", "content": "  "}', "is empty"),
        ('{"content": "hi"}', "The role None is not known"),
        ('{"role": "boss", "content": "hi"}', "The role 'boss' is not known"),
        ('{"role": "user", "content": "hi", "date": "8 May 2023"}', "'8 May 2023' is no date"),
        ('{"role": "user", "content": "hi", "date": 1683500000}', "1683500000 is no date"),
        ('{"role": "user", "content": "hi", "text": "hi"}', "unknown keys text"),
        ('{"role": "user", "content": "hi", "speaker": "A", "name": "B"}', "mean the same and differ"),
        ('{"role": "user", "content": "a\\u0000b"}', "NUL"),
        ('{"role": "user", "content": "hi", "metadata": "x"}', "metadata must be a dict"),
        ('{"role": "user", "content": "hi", "id": true}', "id must be a string or a whole number"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_stored(
    cli: Cli, tmp_path: Path, line: str, complaint: str
) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text('{"role": "user", "content": "fine"}\n\n' + line + "\n")
    result = cli("ingest", str(path), "--user", "ana", code=1)
    assert "nothing was stored:\nline 3: " in result.stderr
    assert complaint in result.stderr
    assert result.stdout == ""
    assert cli.value(COUNT) == 0


def test_several_bad_lines_are_named_together(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("no\n" * 30)
    complaint = cli("ingest", str(path), "--user", "ana", code=1).stderr
    assert complaint.count("it is no JSON") == 10
    assert "(the rest was not looked at)" in complaint


def test_bytes_that_are_no_utf8_are_named(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_bytes('{"role": "user", "content": "café"}'.encode("latin-1"))
    assert "line 1: it is not UTF-8" in cli("ingest", str(path), "--user", "ana", code=1).stderr


def test_a_file_of_an_editor_with_a_byte_order_mark_is_read(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text('{"role": "user", "content": "hi"}', encoding="utf-8-sig")
    cli("ingest", str(path), "--user", "ana")
    assert cli.value(COUNT) == 1


def test_one_id_for_two_different_messages_is_refused(cli: Cli) -> None:
    lines = [{"role": "user", "content": content, "id": 7} for content in ("yes", "yes", "no")]
    result = cli("ingest", cli.file("talk.jsonl", lines), "--user", "ana", code=1)
    assert "line 3: the id 7 is that of line 1 of the session, which says otherwise." in result.stderr


def test_an_id_whose_stored_message_says_otherwise_is_refused(cli: Cli) -> None:
    cli("ingest", cli.file("talk.jsonl", [{"role": "user", "content": "yes", "id": 7}]), "--user", "ana")
    changed = [{"role": "user", "content": "no", "id": 7}]
    complaint = cli("ingest", cli.file("talk.jsonl", changed), "--user", "ana", code=1).stderr
    assert "lines 1 to 1, session 'talk'" in complaint
    assert "7" in complaint
    assert cli.value("SELECT content FROM neuromem.messages") == "yes"


def test_without_waiting_the_work_is_left_and_done_by_the_next_run(cli: Cli) -> None:
    path = cli.file("talk.jsonl", TALK)
    cli("ingest", path, "--user", "ana", "--no-wait")
    assert cli.value("SELECT count(*) FROM neuromem.jobs") == 5
    cli("ingest", path, "--user", "ana")
    assert cli.value("SELECT count(*) FROM neuromem.jobs") == 0
    assert cli.value("SELECT count(*) FROM neuromem.vectors") == 5


def test_embeddings_that_keep_failing_end_the_wait_and_the_messages_are_kept(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROMEM_WORK__RETRY_DELAY", "0.01")
    path = cli.file("talk.jsonl", TALK)
    complaint = cli("ingest", path, "--user", "ana", "--embedding", "hash:failing", code=1).stderr
    assert "pieces of background work are left, and calls keep failing: RuntimeError: the model" in complaint
    assert "Traceback" not in complaint
    assert cli.value(COUNT) == 5

    cli.rows("UPDATE neuromem.jobs SET run_after = now(), dead = false, lease_until = NULL")
    cli("ingest", path, "--user", "ana")
    assert cli.value("SELECT count(*) FROM neuromem.vectors") == 5


def test_killed_in_the_middle_and_run_again_every_message_is_there_once(cli: Cli) -> None:
    total = 6_000
    lines = [
        {"role": "user", "content": f"message {i // 2}", "session": f"s{i % 3}", "speaker": "Ana"}
        for i in range(total)
    ]
    path = cli.file("long.jsonl", lines)
    with cli.start("ingest", path, "--user", "ana") as process:
        _wait_until(lambda: cli.value(COUNT) > 0)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 0 < cli.value(COUNT) < total

    # What the killed process had in hand is free again after its lease; no need to wait for that here.
    cli.rows("UPDATE neuromem.jobs SET lease_until = now() WHERE lease_until IS NOT NULL")
    cli("ingest", path, "--user", "ana")
    for session in range(3):
        stored = [row for row in cli.rows(MESSAGES) if row["session_id"] == f"s{session}"]
        assert [row["content"] for row in stored] == [line["content"] for line in lines[session::3]]
        assert [row["position"] for row in stored] == list(range(total // 3))
    assert cli.value("SELECT count(*) FROM neuromem.vectors") == total
    assert cli.value("SELECT count(*) FROM neuromem.entries") == total
    assert cli.value("SELECT count(*) FROM neuromem.jobs") == 0


def test_ctrl_c_ends_quietly_and_gives_the_work_back(cli: Cli) -> None:
    path = cli.file("talk.jsonl", TALK)
    with cli.start("ingest", path, "--user", "ana", "--embedding", "hash:stuck") as process:
        try:
            _wait_until(lambda: cli.value("SELECT count(lease) > 0 AND count(*) = 5 FROM neuromem.jobs"))
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err == "Interrupted; what was stored is kept.\n"
    assert cli.value("SELECT count(*) FROM neuromem.jobs WHERE lease IS NULL AND attempts = 0") == 5


def _wait_until(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
