"""Questions about general knowledge, which no conversation between friends answers."""

from __future__ import annotations

QUESTIONS = {
    "en": (
        "What is the boiling point of tungsten?",
        "How do I reverse a linked list in Rust?",
        "Which enzyme unwinds DNA during replication?",
        "Who signed the Treaty of Westphalia?",
        "How many moons does Neptune have?",
        "What does the HTTP status code 418 mean?",
        "How is the Gini coefficient computed?",
        "What is the torque of a three-phase induction motor?",
        "Explain the difference between mitosis and meiosis.",
        "Which mineral scratches topaz?",
        "How do I mount an NFS share read-only?",
        "What is the capital of Burkina Faso?",
    ),
    "zh": (
        "钨的沸点是多少？",
        "如何用Rust反转一个链表？",
        "DNA复制时哪种酶负责解旋？",
        "威斯特伐利亚和约是谁签署的？",
        "海王星有几颗卫星？",
        "HTTP状态码418是什么意思？",
        "基尼系数怎么计算？",
        "三相异步电动机的转矩是多少？",
        "布基纳法索的首都在哪里？",
        "哪种矿物能划伤黄玉？",
    ),
}
