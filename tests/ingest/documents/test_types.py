"""What is taken from which file, and what hostile files do: nothing."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import InputError
from tests.conftest import opened
from tests.ingest.documents.samples import PNG, ROWS, encrypted, pdf, replaced, word

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.ingest.documents.state import Place

GERMAN = "Die größte Möwe über Köln. "
RUSSIAN = "Сегодня мы обсудили план на первый квартал. "
CHINESE = "我们今天讨论了第一季度的路线图，并决定推迟发布。"
JAPANESE = "今日は第一四半期の計画について話し合いました。"


async def text_of(nm: NeuroMemory, name: str, file: bytes) -> tuple[str, str]:
    """Upload a file and return its type and what is found in it."""
    document = await nm.files.upload("alice", name, file)
    found = await nm.recall("alice", name, memory_type="document")
    texts = {item["metadata"]["document_id"]: item["content"] for item in found["merged"]}
    return document.file_type, texts.get(document.id, "")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "cp1252"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (CHINESE, "gb18030"),
        (CHINESE, "utf-16-le"),
        (JAPANESE, "shift_jis"),
    ],
)
async def test_a_text_is_read_in_its_encoding(nm: NeuroMemory, text: str, encoding: str) -> None:
    kind, found = await text_of(nm, "note.txt", (text * 3).encode(encoding))
    assert (kind, found.strip()) == ("txt", (text * 3).strip())


async def test_each_text_type_is_read_as_what_it_is(nm: NeuroMemory) -> None:
    async def check(name: str, file: str, kind: str, text: str) -> None:
        assert await text_of(nm, name, file.encode()) == (kind, text)

    await check("readme.md", "# Title\r\n\r\nSome *text*.", "md", "# Title\n\nSome *text*.")
    await check("main.rs", "fn main() {}\n", "code", "fn main() {}\n")
    await check(
        "data.json",
        '{"user": {"name": "\\u4e2d", "tags": ["a", true, null]}}',
        "json",
        "user.name: 中\nuser.tags: a\nuser.tags: true",
    )
    await check("lines.jsonl", '{"a": 1}\n{"a": 2}\n', "json", "a: 1\n\na: 2")
    await check("broken.json", '{"a": 1,}', "json", '{"a": 1,}')
    await check(
        "people.csv",
        'name;note\nAda;"first; and last"\nBo;\n',
        "csv",
        "name: Ada; note: first; and last\nname: Bo",
    )
    await check("numbers.csv", "1,2\n3,4", "csv", "1; 2\n3; 4")
    page = (
        "<html><head><title>Sea</title><style>p {}</style></head><body><h1>Big <b>animals</b></h1>"
        "<script>alert(1)</script><table><tr><td>Whale<td>30&nbsp;m</tr></table><p>End"
    )
    await check("page.html", page, "html", "Sea\nBig animals\nWhale | 30 m\nEnd")
    await check("page", page, "html", "Sea\nBig animals\nWhale | 30 m\nEnd")


async def test_pdf_and_docx_give_text_and_tables(nm: NeuroMemory) -> None:
    rows = [" ".join(row) for row in ROWS]
    kind, text = await text_of(nm, "paper.pdf", pdf("Whales are mammals.", "They breathe air."))
    assert kind == "pdf"
    assert [line for line in text.splitlines() if line] == ["Whales are mammals.", "They breathe air.", *rows]
    kind, text = await text_of(nm, "paper.docx", word("Whales are mammals.", "They breathe air."))
    assert kind == "docx"
    lines = [line.replace(" | ", " ") for line in text.splitlines() if line]
    assert lines == ["Whales are mammals.", *rows, "They breathe air."]


async def test_a_passage_of_a_pdf_knows_its_page(nm: NeuroMemory) -> None:
    pages = [f"Page about animal{n}. " + f"There is much to say on page {n + 1}. " * 60 for n in range(4)]
    await nm.files.upload("alice", "animals.pdf", pdf(*pages))
    await nm.drain()
    found = await nm.files.search("alice", "much to say", limit=100)
    assert {passage.page for passage in found} == {1, 2, 3, 4}
    for passage in found:
        first = re.search(r"page (\d)", " ".join(passage.content.split()))
        assert first is not None
        assert passage.page == int(first[1])
    recalled = await nm.recall("alice", "much to say", memory_type="document")
    best = recalled["merged"][0]["metadata"]
    assert (best["page"], best["position"]) == (found[0].page, found[0].position)
    assert best["filename"] == "animals.pdf"


async def test_content_counts_more_than_the_name(nm: NeuroMemory, place: Place) -> None:
    assert await text_of(nm, "really.txt", pdf("Whales."))
    kinds = {document.filename: document.file_type for document in await nm.files.list("alice")}
    assert kinds == {"really.txt": "pdf"}
    assert (await text_of(nm, "really.pdf", b"Just text."))[0] == "txt"
    image = await nm.files.upload("alice", "really.docx", PNG)
    assert (image.file_type, image.content_type, image.passages) == ("image", "image/png", 0)
    svg = await nm.files.upload("alice", "logo.svg", b'<svg xmlns="http://www.w3.org/2000/svg"></svg>')
    assert svg.content_type == "image/svg+xml"
    assert (await place.check())["documents"] == 4


BOMB = b'<?xml version="1.0"?><w:document>' + b" " * 300_000_000
WORD = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "'
    + b"lol" * 1_000
    + b'">'
    + b"".join(f'<!ENTITY {b} "{f"&{a};" * 100}">'.encode() for a, b in zip("abcd", "bcde", strict=True))
    + b"]>"
    + WORD
    + b"<w:p><w:r><w:t>&e;</w:t></w:r></w:p></w:body></w:document>"
)


def hostile() -> dict[str, bytes]:
    paper, letter = pdf("Whales are mammals. " * 40), word("Hello")
    deep = b"<w:tbl><w:tr><w:tc>" * 50_000
    return {
        "zip bomb.docx": replaced(letter, "word/document.xml", BOMB),
        "laughs.docx": replaced(letter, "word/document.xml", LAUGHS),
        "deep.docx": replaced(letter, "word/document.xml", WORD + deep),
        "cut.docx": letter[: len(letter) // 2],
        "archive.docx": replaced(letter, "word/document.xml", b"")[:4] + b"\0" * 100,
        "empty.docx": replaced(letter, "word/document.xml", b""),
        "cut.pdf": paper[: len(paper) // 2],
        "locked.pdf": encrypted(paper, "secret"),
        "program.txt": b"\x7fELF" + bytes(range(256)) * 40,
        "empty.txt": b"",
    }


def _pdf_bomb() -> bytes:
    """A page whose content unpacks to 400 MB."""
    packer = zlib.compressobj(9)
    stream = b"".join(packer.compress(b" " * 1_000_000) for _ in range(400)) + packer.flush()
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>",
        b"<</Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (len(stream), stream),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(out))
        out += b"%d 0 obj%b endobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"xref\n0 5\n0000000000 65535 f \n%btrailer<</Root 1 0 R/Size 5>>\nstartxref\n%d\n%%%%EOF"
    return out + trailer % (table, len(out))


async def test_hostile_files_are_refused_and_leave_nothing(nm: NeuroMemory, place: Place) -> None:
    for name, file in hostile().items():
        with pytest.raises(InputError, match=f"{name}' of user 'alice' .*[Nn]othing was stored") as caught:
            await nm.files.upload("alice", name, file)
        assert len(str(caught.value)) < 500
    assert not any((await place.check()).values())
    assert (await text_of(nm, "fine.txt", b"Still alive."))[1] == "Still alive."


async def test_a_pdf_that_unpacks_to_400_mb_does_no_harm(nm: NeuroMemory) -> None:
    assert await text_of(nm, "bomb.pdf", _pdf_bomb()) == ("pdf", "")


async def test_a_pdf_locked_against_printing_only_is_read(nm: NeuroMemory) -> None:
    assert "mammals" in (await text_of(nm, "open.pdf", encrypted(pdf("Whales are mammals."), "")))[1]


async def test_deep_json_and_endless_lines_are_texts_like_others(nm: NeuroMemory, place: Place) -> None:
    for name, file in {
        "deep.json": b"[" * 200_000 + b"]" * 200_000,
        "word.txt": b"a" * 200_000,
        "space.txt": b"a" + b" " * 1_000_000 + b"b",
        "dots.txt": b"." * 200_000,
        "nul.txt": b"before\0\x1bafter",
        "surrogate.json": b'{"a": "\\ud83d\\u0000"}',
    }.items():
        await nm.files.upload("alice", name, file)
    assert (await place.check())["documents"] == 6
    (best, *_) = await nm.files.search("alice", "space b")
    assert best.content == "a\n\nb"


async def test_reading_takes_no_longer_than_allowed(database_url: str, place: Place) -> None:
    slow = b"<!--" * 300_000  # takes Python's parser minutes
    settings = {"files": {"parse_timeout": 1}}
    async with opened(database_url, storage=place.folder, settings=settings) as nm:
        with pytest.raises(InputError, match=r"'slow.html' of user 'alice' takes more than 1 s"):
            await nm.files.upload("alice", "slow.html", slow)
    assert not any((await place.check()).values())


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/absolute/report.md", "report.md"),
        ("n" * 300 + ".txt", "n" * 300 + ".txt"),
        ("🐋" * 300, "🐋" * 300),
        ("; DROP TABLE documents --'\".txt", "; DROP TABLE documents --'\".txt"),
        ("CON", "CON"),
    ],
)
async def test_a_name_is_only_a_name(nm: NeuroMemory, place: Place, name: str, stored: str) -> None:
    document = await nm.files.upload("alice", name, b"Some text.")
    assert document.filename == stored
    assert await nm.files.download("alice", document.id) == b"Some text."
    await place.check()
    assert not [path for path in place.folder.root.parent.iterdir() if path != place.folder.root]


@pytest.mark.parametrize("name", ["", "..", "a/..", "dir/", "a\0b", "\ud800", "x" * 1_001, None])
async def test_what_is_no_name_is_refused(nm: NeuroMemory, name: object) -> None:
    with pytest.raises(InputError, match="filename"):
        await nm.files.upload("alice", name, b"Some text.")  # type: ignore[arg-type]
