"""Sentences that have nothing to do with each other, in English and in Chinese.

The mean cosine between their embeddings is what a model gives to unrelated texts, the baseline of an embedding space
(``spaces.baseline_cosine``). Changing them changes the baseline of spaces that are made from then on.
"""

from __future__ import annotations

ENGLISH = (
    "I have to pick up the kids from school at three.",
    "The new printer on the second floor is out of paper again.",
    "My grandmother used to bake bread every Sunday.",
    "We lost the game in the last minute, what a pity.",
    "Could you send me the report before Friday?",
    "The water in the lake was colder than I expected.",
    "He is learning to play the trumpet.",
    "Interest rates went up for the third time this year.",
    "That movie had a strange ending.",
    "Our cat is afraid of the vacuum cleaner.",
    "The train to the airport leaves every half hour.",
    "I think the tomatoes need more sun.",
)
CHINESE = (
    "我三点要去学校接孩子。",
    "二楼的新打印机又没纸了。",
    "我奶奶以前每个星期天都烤面包。",
    "我们在最后一分钟输掉了比赛，真可惜。",
    "你能在星期五之前把报告发给我吗？",
    "湖里的水比我想的要冷。",
    "他正在学吹小号。",
    "今年利率第三次上调了。",
    "那部电影的结局很奇怪。",
    "我们家的猫害怕吸尘器。",
    "去机场的火车每半小时一班。",
    "我觉得西红柿需要更多的阳光。",
)
