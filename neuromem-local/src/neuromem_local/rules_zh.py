"""Rules for facts that people state about themselves in Chinese."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neuromem.domain.text.scripts import COMMON_HAN

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMS = {
    "name": "{who}叫{value}",
    "works_at": "{who}在{value}工作",
    "occupation": "{who}是{value}",
    "lives_in": "{who}住在{value}",
    "born_in": "{who}出生在{value}",
    "from": "{who}是{value}人",
    "likes": "{who}喜欢{value}",
    "dislikes": "{who}不喜欢{value}",
    "speaks": "{who}会说{value}",
    "studied_at": "{who}毕业于{value}",
    "age": "{who}{value}岁",
    "allergic": "{who}对{value}过敏",
    "relative": "{who}有{value}",
    "owns": "{who}有{value}",
    "favorite": "{who}最喜欢的{value}",
}

_CHARACTER = f"[{COMMON_HAN}]"
_HAN = re.compile(_CHARACTER)
_SENTENCE = re.compile(r"[。！!；;\n]|(?<=[？?])")
_NOT_SAID = re.compile(
    r"[？?“”\"「」]|如果|要是|假如|以前|曾经|过去|可能|也许|大概|希望|想象|好像|据说|说我|吗|呢$"
)
JOBS = "老师|医生|护士|律师|工程师|程序员|学生|设计师|作家|记者|会计|厨师|司机|教授|画家|音乐家|警察|演员|翻译|经理"
KIN = "妹妹|姐姐|哥哥|弟弟|妈妈|爸爸|妻子|丈夫|老婆|老公|女儿|儿子|女朋友|男朋友"
RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("name", rf"^(?:你好[，,]?)?我(?:的名字)?叫(?![他她它你])({_CHARACTER}{{2,4}})$"),
        ("lives_in", rf"^我(?:现在)?住在({_CHARACTER}{{2,8}})$"),
        ("works_at", rf"^我(?:现在)?在(?!家)([{COMMON_HAN}A-Za-z]{{2,12}})(?:工作|上班)$"),
        ("occupation", rf"^我是(?:一名|一个|一位|个)?({JOBS})$"),
        ("age", r"^我(?:今年)?(\d{1,2})岁$"),
        ("allergic", rf"^我对({_CHARACTER}{{1,6}})过敏$"),
        ("owns", rf"^我有一[只条个匹]([猫狗鸟马](?:叫|名叫){_CHARACTER}{{1,4}})$"),
        ("relative", rf"^我(?:的)?({KIN})叫({_CHARACTER}{{1,4}})$"),
        ("speaks", rf"^我会说({_CHARACTER}{{1,4}}语)$"),
        ("studied_at", rf"^我毕业于({_CHARACTER}{{2,12}}大学)$"),
        ("from", rf"^我是({_CHARACTER}{{2,4}})人$"),
        ("born_in", rf"^我出生(?:在|于)({_CHARACTER}{{2,8}})$"),
        ("favorite", rf"^我最喜欢的({_CHARACTER}{{1,4}})是({_CHARACTER}{{1,10}})$"),
        ("likes", rf"^我(?:很|非常|特别)?(?:喜欢|爱)(?!你|您|他|她|它|这|那|上了)({_CHARACTER}{{1,10}})$"),
        ("dislikes", rf"^我(?:很|非常)?(?:不喜欢|讨厌)(?!你|您|他|她|它|这|那)({_CHARACTER}{{1,10}})$"),
    )
)
_NEITHER = frozenset({"男", "女", "好", "坏", "外", "别", "老", "年轻", "本地"})


def is_chinese(text: str) -> bool:
    """Return whether more than a third of a text are Chinese characters."""
    return len(_HAN.findall(text)) * 3 > len(text)


def facts(text: str) -> Iterator[tuple[str, str]]:
    """Yield the facts that a text states about its speaker, as kind and value."""
    for sentence in _SENTENCE.split(text):
        said = re.sub(r"\s+", "", sentence).strip("，,、.")
        if not said or _NOT_SAID.search(said):
            continue
        for kind, rule in RULES:
            match = rule.match(said)
            if match is not None and not (kind == "from" and match[1] in _NEITHER):
                yield kind, "".join(match.groups())
                break
