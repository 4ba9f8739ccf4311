"""The diagrams of the explanation pages."""

from __future__ import annotations

from docs.gen.figures.draw import Drawing


def drawn() -> dict[str, str]:
    """Return each diagram by its name."""
    return {
        "overview": _overview(),
        "ingest": _ingest(),
        "recall": _recall(),
        "clocks": _clocks(),
        "walls": _walls(),
        "job": _job(),
    }


def _overview() -> str:
    d = Drawing(720, 372)
    d.box(8, 8, 424, 356, "your process", dashed=True, top=True)
    agent = d.box(28, 46, 384, 42, "your agent")
    memory = d.box(
        28,
        122,
        384,
        60,
        "NeuroMemory",
        "ingest · recall · context · nm.kv · nm.graph · nm.files",
        strong=True,
    )
    registry = d.box(28, 222, 118, 64, "registry", "finds plugins")
    pipeline = d.box(161, 222, 118, 64, "recall", "fuses and scores")
    worker = d.box(294, 222, 118, 64, "worker", "embeds, extracts")
    plugins = d.box(28, 312, 384, 38, "providers and stages of plugins", dashed=True)
    store = d.box(
        490,
        122,
        214,
        228,
        "one PostgreSQL",
        "schema neuromem",
        "",
        "messages: the truth",
        "memories, relations: versions",
        "postings: BM25",
        "vectors: pgvector",
        "documents: passages",
        "jobs: the work to do",
        "",
        "forced row level security",
        strong=True,
        top=True,
    )
    d.arrow(agent.edge("bottom"), memory.edge("top"), both=True)
    for room in (registry, pipeline, worker):
        d.arrow((room.x + 59, 182), room.edge("top"))
        d.arrow(room.edge("bottom"), (room.x + 59, 312))
    d.arrow(memory.edge("right"), (store.x, 152), "SQL", both=True)
    d.arrow(worker.edge("right"), (store.x, 254), "jobs", both=True)
    models = d.box(
        490, 8, 214, 68, "embedding and LLM", "here, or behind HTTP:", "what you choose", dashed=True
    )
    d.arrow((432, 42), models.edge("left"))
    del plugins
    return d.svg()


def _ingest() -> str:
    d = Drawing(720, 250)
    said = d.box(8, 60, 110, 60, "ingest()", "a message")
    first = d.box(
        160,
        22,
        210,
        136,
        "one transaction",
        "the message",
        "its words (postings)",
        "a job: embed it",
        "a job: extract from it",
        strong=True,
        top=True,
    )
    found = d.box(160, 190, 210, 46, "found at once", "by its words")
    embed = d.box(438, 22, 126, 56, "embed", "asks the model")
    extract = d.box(438, 102, 126, 56, "extract", "LLM or rules")
    vector = d.box(600, 22, 112, 56, "vector", "+ job done")
    facts = d.box(600, 102, 112, 56, "memories", "+ job done")
    d.arrow(said.edge("right"), (first.x, 90))
    d.arrow(first.edge("bottom"), found.edge("top"))
    d.arrow((370, 50), embed.edge("left"), "commit")
    d.arrow((370, 130), extract.edge("left"))
    d.arrow(embed.edge("right"), vector.edge("left"))
    d.arrow(extract.edge("right"), facts.edge("left"))
    d.text(501, 190, "outside of any transaction", small=True)
    d.text(656, 190, "one transaction", small=True)
    d.text(578, 214, "in the background, until it has succeeded", small=True)
    return d.svg()


def _recall() -> str:
    d = Drawing(720, 236)
    ask = d.box(0, 88, 112, 60, "question", "embedded once")
    arms = [
        d.box(150, 8 + 56 * i, 128, 46, name, what)
        for i, (name, what) in enumerate(
            (
                ("bm25", "by words"),
                ("vector", "by meaning"),
                ("graph", "by relations"),
                ("yours", "a plugin's"),
            )
        )
    ]
    fusion = d.box(326, 78, 104, 80, "fusion", "one list,", "min-max")
    score = d.box(462, 78, 104, 80, "scorers", "time, speaker,", "importance, …")
    answer = d.box(612, 78, 100, 80, "merged", "best first,", "cut to limit", strong=True)
    for arm in arms:
        d.arrow(ask.edge("right"), arm.edge("left"))
        d.arrow(arm.edge("right"), (fusion.x, fusion.y + 40))
    d.arrow(fusion.edge("right"), score.edge("left"))
    d.arrow(score.edge("right"), answer.edge("left"))
    d.text(589, 180, "a reranker, if you name one", small=True)
    d.arrow((589, 168), (589, 122), dashed=True)
    return d.svg()


def _clocks() -> str:
    d = Drawing(720, 316)
    left, bottom, top, right = 96, 266, 24, 700
    d.arrow((left, bottom), (right, bottom))
    d.arrow((left, bottom), (left, top))
    d.text(right, bottom + 40, "what neuromem knew: created_at → superseded_at", small=True, anchor="end")
    d.text(left - 8, top + 4, "in the world", small=True, anchor="end")
    d.text(left - 8, top + 20, "valid_from →", small=True, anchor="end")
    d.text(left - 8, top + 36, "valid_until", small=True, anchor="end")
    days = {"3 May": 170, "10 June": 380}
    for day, x in days.items():
        d.text(x, bottom + 18, day, small=True)
    for month, y in (("June", 106), ("May", 176), ("April", 246)):
        d.text(left - 8, y, month, small=True, anchor="end")
    d.box(170, 60, 210, 176, "lives in Berlin", "since April", "first belief")
    d.box(380, 132, 312, 104, "lives in Berlin", "April to 1 June")
    d.box(380, 60, 312, 66, "lives in Lisbon", "since 1 June, learned on 10 June", strong=True)
    d.parts.append(
        f'<line x1="212" y1="44" x2="212" y2="{bottom}" stroke="var(--md-accent-fg-color, #c2185b)" stroke-width="2"/>'
        f'<line x1="424" y1="44" x2="424" y2="{bottom}" stroke="var(--md-accent-fg-color, #c2185b)" stroke-width="2"/>'
    )
    d.text(212, 38, "as_of 20 May: Berlin")
    d.text(424, 38, "as_of 20 June: Lisbon")
    return d.svg()


def _walls() -> str:
    d = Drawing(720, 212)
    alice = d.box(8, 30, 150, 52, "a call for alice")
    d.box(8, 128, 150, 60, "a query that", "forgot its user", dashed=True)
    first = d.box(
        236,
        8,
        150,
        196,
        "first wall",
        "every query names",
        "its user",
        "",
        "user_id comes first",
        "in every key",
        top=True,
    )
    second = d.box(
        460,
        8,
        150,
        196,
        "second wall",
        "PostgreSQL adds",
        "user_id = 'alice'",
        "",
        "row level security,",
        "forced on the owner",
        strong=True,
        top=True,
    )
    d.arrow(alice.edge("right"), (first.x, 56))
    d.arrow((386, 56), (second.x, 56))
    d.arrow((610, 56), (650, 56))
    d.text(685, 52, "alice's", small=True)
    d.text(685, 68, "rows", small=True)
    d.arrow((158, 158), (second.x, 158), dashed=True)
    d.text(660, 154, "alice's rows,", small=True)
    d.text(660, 170, "or none", small=True)
    d.arrow((610, 158), (622, 158), dashed=True)
    return d.svg()


def _job() -> str:
    d = Drawing(720, 196)
    d.box(8, 64, 128, 60, "waiting", "a row in jobs", strong=True)
    d.box(250, 64, 200, 60, "leased", "to one worker for a minute,", "renewed while it works")
    done = d.box(568, 8, 144, 56, "done", "the row is gone")
    dead = d.box(568, 132, 144, 56, "dead", "kept, with the reason")
    d.arrow((136, 80), (250, 80), "claimed")
    d.arrow((250, 108), (136, 108))
    d.text(193, 126, "failed, or its", small=True)
    d.text(193, 143, "worker was gone", small=True)
    d.arrow((450, 80), done.edge("left"))
    d.text(470, 34, "result and acknowledgment", small=True)
    d.text(470, 51, "commit together", small=True)
    d.arrow((450, 108), dead.edge("left"))
    d.text(466, 160, "failed too often by itself", small=True)
    return d.svg()
