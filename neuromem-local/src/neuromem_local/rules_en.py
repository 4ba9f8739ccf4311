"""Rules for facts that people state about themselves in English."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMS = {
    "name": "{who} is called {value}",
    "works_at": "{who} works at {value}",
    "occupation": "{who} works as {value}",
    "lives_in": "{who} lives in {value}",
    "born_in": "{who} was born in {value}",
    "from": "{who} comes from {value}",
    "likes": "{who} likes {value}",
    "dislikes": "{who} dislikes {value}",
    "speaks": "{who} speaks {value}",
    "studied_at": "{who} studied at {value}",
    "age": "{who} is {value} years old",
    "allergic": "{who} is allergic to {value}",
    "relative": "{who} has a {value}",
    "owns": "{who} has a {value}",
    "birthday": "{who} has the birthday {value}",
    "diet": "{who} is {value}",
    "learning": "{who} is learning {value}",
    "plays": "{who} plays {value}",
    "favorite": "The favorite of {who} is the {value}",
}

_SENTENCE = re.compile(r"(?<!\b[A-Z])(?<=[.!?\n])\s+|\n+")
_LEAD = re.compile(
    r"^(?:(?:well|so|hi|hello|hey|yes|no|yeah|actually|by the way|btw|and|also|as i said|oh|ok|okay|to be honest|"
    r"thanks|anyway)\b[,!:]?\s+)+",
    re.IGNORECASE,
)
# What is asked, supposed, wished, denied, over, or somebody else's words says nothing about its speaker.
_NOT_SAID = re.compile(
    r"\?|[\"“”«»]|\b(?:if|wish|would|might|could|maybe|perhaps|should|imagine|pretend|suppose|wonder|think i|used to|"
    r"no longer|any ?more|never|until|ago i lived|said|says|told|joking|kidding)\b|'d\b",
    re.IGNORECASE,
)
_NO = re.compile(r"\b(?:not|no|don't|doesn't|didn't|isn't|aren't|wasn't|can't|cannot|won't)\b", re.IGNORECASE)

NAME = r"[A-Z][\w'’-]+"
PROPER = r"[A-Z][\w&'’.-]*(?: (?:of|and|the|de|la|&) [A-Z][\w&'’.-]*| [A-Z][\w&'’.-]*)*"
PLACE = r"[A-Z][\w'’-]+(?: (?:of |de |la )?[A-Z][\w'’-]+)*"
END = (
    r"(?=$|[.,!;:]| (?:as|with|for|now|and|but|so|because|since|when|on|in|at|every|over|who|turned|cooks|lives|is|"
    r"right|"
    r"these|after|before|to|where|which|that|from|this|currently|today)\b)"
)
LIKED = r"(?=$|[.,!;:]| - | (?:and|but|so|because|since|every|over|'cause|on weekends)\b)"
THING = r"(?:(?:the|a|an|my|some|playing|to) )?[\w'’ -]+?"
JOBS = (
    r"(?:(?:software|backend|frontend|senior|junior|civil|mechanical|electrical|data|machine learning|graphic|primary|"
    r"high "
    r"school|elementary|registered|freelance|web|product|project|marketing|sales|social|full-stack|mobile|school|retired|"
    r"veterinary|police|truck|taxi|bus) )*(?:engineer|developer|programmer|teacher|nurse|doctor|lawyer|designer|writer|"
    r"artist|accountant|manager|scientist|student|architect|chef|cook|dentist|pilot|journalist|photographer|musician|"
    r"professor|researcher|therapist|psychologist|pharmacist|plumber|electrician|carpenter|mechanic|farmer|librarian|"
    r"translator|consultant|analyst|barista|waiter|waitress|driver|firefighter|officer|vet|veterinarian|editor|actor|"
    r"actress|economist|biologist|chemist|physicist|mathematician|paramedic|surgeon|counselor|social worker|gardener)"
)
KIN = (
    r"sister|brother|mother|father|mom|mum|dad|wife|husband|daughter|son|girlfriend|boyfriend|partner|fianc[eé]e?|aunt|"
    r"uncle|cousin|niece|nephew|grandmother|grandfather|grandma|grandpa|best friend|boss|roommate"
)
PETS = r"dog|cat|parrot|rabbit|hamster|horse|puppy|kitten|turtle|goldfish|bird|snake|pony"
LANGUAGES = (
    r"English|French|German|Spanish|Italian|Portuguese|Polish|Russian|Chinese|Mandarin|Cantonese|Japanese|Korean|Arabic|"
    r"Hindi|Dutch|Swedish|Norwegian|Danish|Finnish|Greek|Turkish|Hebrew|Czech|Ukrainian|Vietnamese|Thai|Swahili|Latin"
)
I = r"^I(?:'m|’m| am)"  # noqa: E741  the word itself
BE = rf"{I} (?:a |an |the )?"

RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("name", rf"^[Mm]y name(?:'s|’s| is) ({NAME}(?: {NAME})*)"),
        ("name", rf"^[Cc]all me ({NAME}){END}"),
        ("name", rf"{I} ({NAME}), (?:nice|pleased|glad|good) to"),
        ("works_at", rf"^I (?:currently |now )?work (?:at|for) (?:the )?({PROPER}){END}"),
        (
            "works_at",
            rf"^I (?:just |recently )?(?:started working|got a (?:new )?job) (?:at|for) ({PROPER}){END}",
        ),
        ("works_at", rf"{BE}{JOBS} (?:at|for) ({PROPER}){END}"),
        ("works_at", rf"{BE}(?:CEO|CTO|CFO|founder|owner|head) (?:of|at) ({PROPER}){END}"),
        ("occupation", rf"{BE}({JOBS})(?=$|[.,!;:]| (?:at|for|in|from|and|by)\b)"),
        ("occupation", rf"{BE}(CEO|CTO|CFO|founder) (?:of|at) {PROPER}"),
        (
            "occupation",
            rf"^I work (?:(?:at|for) .+? )?as (?:a|an) ({JOBS})(?=$|[.,!;:]| (?:at|for|in|and)\b)",
        ),
        ("lives_in", rf"^(?:I|We) (?:now |currently )?live (?:now )?in ({PLACE}){END}"),
        ("lives_in", rf"^I(?:'m|’m| am)(?: now| currently)? living in ({PLACE}){END}"),
        ("lives_in", rf"^I(?:'ve|’ve| have) lived in ({PLACE}) (?:for|since)\b"),
        ("lives_in", rf"^(?:I|We) (?:just |recently )?moved to ({PLACE}){END}"),
        ("lives_in", rf"^I moved to ({PLACE}) last (?:year|month|week|spring|summer|fall|autumn|winter)\b"),
        ("born_in", rf"^I was born in ({PLACE}){END}"),
        ("from", rf"^(?:I(?:'m|’m| am)|I come) (?:originally )?from ({PLACE}){END}"),
        ("age", rf"{I} (\d{{1,2}})(?: years old| y/?o)\b"),
        ("allergic", rf"{I} allergic to ([\w -]+?){END}"),
        ("diet", rf"(?:{I}|^I(?:'ve|’ve| have) been)(?: a)? (vegan|vegetarian|pescatarian)\b"),
        ("birthday", r"^[Mm]y birthday is (?:on )?(\d{1,2}(?:st|nd|rd|th)? [A-Z][a-z]+|[A-Z][a-z]+ \d{1,2})"),
        ("studied_at", rf"^I (?:study|studied|graduated|got my degree) (?:at|from) (?:the )?({PROPER}){END}"),
        ("speaks", rf"^I speak (?:fluent )?({LANGUAGES})\b"),
        ("speaks", rf"^I speak .*?\band (?:some |a little |a bit of )?({LANGUAGES})\b"),
        ("speaks", rf"^[Mm]y (?:native language|mother tongue) is ({LANGUAGES})\b"),
        ("learning", rf"{I} learning ({LANGUAGES}|the \w+)\b"),
        ("learning", rf"^I(?:'ve|’ve| have) been learning ({LANGUAGES}|the \w+)\b"),
        (
            "plays",
            r"^I play (the \w+|chess|tennis|football|soccer|basketball|golf|hockey|volleyball|badminton)\b",
        ),
        ("relative", rf"^[Mm]y ((?:{KIN})) ({NAME})\b(?!')"),
        ("relative", rf"^[Mm]y ((?:{KIN}))(?: is| was)? (?:called|named) ({NAME})"),
        ("relative", rf"^[Mm]y ((?:{KIN}))(?:'s|’s) name is ({NAME})"),
        ("spouse", rf"{I} married to ({NAME}){END}"),
        ("owns", rf"^(?:I|We) (?:have|got|adopted|own) a ((?:{PETS}) (?:named|called) {NAME})"),
        (
            "owns",
            r"^I own an? ((?:small |big )?(?:bakery|shop|store|restaurant|cafe|café|house|boat|farm|company))\b",
        ),
        ("favorite", r"^[Mm]y favou?rite (\w+) is (?:the )?([\w' -]+?)(?=$|[.,!;])"),
        (
            "likes",
            rf"^I (?:really |absolutely |also )?(?:love|like|enjoy|adore) ({THING})(?: on weekends)?{LIKED}",
        ),
        ("likes", rf"^I (?:really )?like (to [\w ]+?){LIKED}"),
        ("likes", rf"^I(?:'m|’m| am) (?:a )?(?:big |huge )?fan of ({THING}){LIKED}"),
        ("likes", rf"^I(?:'m|’m| am) into ({THING}){LIKED}"),
        ("likes", r"^I prefer ([\w ]+?) (?:over|to) "),
        ("likes", rf"^[Mm]y hobb(?:y is|ies are) ({THING}){LIKED}"),
        ("likes", rf"^[Mm]y hobbies are .*?\band ({THING}){LIKED}"),
        (
            "dislikes",
            rf"^I (?:really )?(?:hate|dislike|can't stand|cannot stand|don't like) ({THING}){LIKED}",
        ),
        ("dislikes", rf"{I} (?:scared|afraid|terrified) of ({THING}){LIKED}"),
        ("dislikes", rf"{I} not into ({THING}){LIKED}"),
    )
)
_ALSO = re.compile(r"^ and (\w+)(?=$|[.,!;])")
_LISTS = frozenset({"allergic"})
_DENIES = frozenset({"dislikes"})
# What points at something before it says nothing by itself.
_EMPTY = re.compile(
    r"(?:the|his|her|their|its|our|all|having|being|seeing|not)\b|(?:you|it|that|this|them|him|her|these|those|one|to|me|us|everything|all|what|how|when|my|the|a|being)\b"
    r"(?! \w)|(?:you|it|that|this|how|what|when|your|these|those)\b",
    re.IGNORECASE,
)
_TIMES = re.compile(
    r"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|January|February|March|April|May|June|July|August|"
    r"September|October|November|December)\b"
)


def facts(text: str) -> Iterator[tuple[str, str]]:
    """Yield the facts that a text states about its speaker, as kind and value."""
    seen: set[tuple[str, str]] = set()
    for sentence in _SENTENCE.split(text.replace("’", "'")):
        said = _LEAD.sub("", sentence.strip())
        if not said or _NOT_SAID.search(said):
            continue
        for kind, value in _matches(said):
            if (kind, value) not in seen:
                seen.add((kind, value))
                yield kind, value


def _matches(said: str) -> Iterator[tuple[str, str]]:
    for kind, rule in RULES:
        match = rule.match(said)
        if match is None or (kind not in _DENIES and _NO.search(match[0])):
            continue
        parts = [part.strip(" .,'").removesuffix(" too") for part in match.groups()]
        if kind in ("likes", "dislikes") and (_EMPTY.match(parts[0]) or len(parts[0].split()) > 8):
            continue
        if kind in ("lives_in", "from", "born_in", "works_at") and _TIMES.match(parts[0]):
            continue
        if kind == "spouse":
            yield "relative", f"spouse {parts[0]}"
            continue
        yield kind, " ".join(parts)
        if kind in _LISTS and (more := _ALSO.match(said[match.end() :])):
            yield kind, more[1]
