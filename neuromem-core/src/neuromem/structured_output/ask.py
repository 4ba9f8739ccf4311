"""Asks a chat model for a JSON object, and once more when the reply cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from neuromem.errors import ProviderResponseError
from neuromem.structured_output.json_reply import parse_json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.plugin.providers import ChatMessage, LLMProvider
    from neuromem.structured_output.items import CheckedReply
    from neuromem.structured_output.json_reply import ReplyShape

NO_ROOM = "All the room went into reasoning. Think less."
NO_OBJECT = "That was no JSON object with the lists that were asked for."
CUT_OFF = "That was cut off before its end."
UNREADABLE = "That was no JSON object that can be read to its end."
MAX_QUOTED_REPLY = 4_000
"""Characters of an unusable reply that the model is shown when it is asked again."""


ReplyT = TypeVar("ReplyT", bound="CheckedReply")


@dataclass(frozen=True, slots=True)
class JsonAnswer(Generic[ReplyT]):
    """What a model replied.

    Attributes:
        reply: The validated reply; None when no JSON object could be read.
        text: The reply as the model wrote it.
        model: The model that the server says has replied.
        fault: What is wrong with the reply as a whole, in words for the model; None when nothing is.
    """

    reply: ReplyT | None
    text: str
    model: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class UsableAnswer(Generic[ReplyT]):
    """The reply of a model that can be used, and the model that the server says has replied."""

    reply: ReplyT
    model: str


@dataclass(frozen=True, slots=True)
class JsonQuestion(Generic[ReplyT]):
    """What is asked, and how its reply is read.

    Attributes:
        messages: The chat messages to send.
        schema: The strict JSON schema of the reply, sent to the server.
        shape: By what the object of the reply is recognized.
        validate: Makes a validated reply of the parsed object; it counts what it drops and raises nothing.
        purpose: What is asked, for the error message: "to extract 3 messages of user 'alice'".
        max_tokens: Tokens that the reply may have; the second attempt gets twice as many.
        temperature: Sampling temperature.
        empty_must_be_intact: Whether a reply without items counts only if its JSON needed no repair.
        accept_faulty: Whether a reply that is faulty at the second attempt too is used as far as it could be read.
    """

    messages: Sequence[ChatMessage]
    schema: Mapping[str, Any]
    shape: ReplyShape
    validate: Callable[[dict[str, Any]], ReplyT]
    purpose: str
    max_tokens: int
    temperature: float
    empty_must_be_intact: bool = False
    accept_faulty: Callable[[ReplyT], bool] = lambda reply: True


async def ask_for_json(llm: LLMProvider, question: JsonQuestion[ReplyT]) -> UsableAnswer[ReplyT]:
    """Ask once, and once more, with twice the room, when the reply has a fault.

    Of two faulty replies the one with more items counts; at a tie the second.

    Args:
        llm: The model.
        question: What is asked, and how its reply is read.

    Returns:
        The validated reply and the model that gave it.

    Raises:
        ProviderResponseError: Both replies were unusable.
        ProviderError: The model could not be reached, or refused.
    """
    answer = await _ask_once(llm, question, question.messages, question.max_tokens)
    if answer.fault is not None:
        correction: list[ChatMessage] = []
        if answer.text:
            correction.append({"role": "assistant", "content": str(answer.text)[:MAX_QUOTED_REPLY]})
        again = f"{answer.fault} Reply again, with the whole JSON object and nothing else."
        correction.append({"role": "user", "content": again})
        messages = [*question.messages, *correction]
        second = await _ask_once(llm, question, messages, 2 * question.max_tokens)
        answer = replace(second, reply=_better(answer.reply, second.reply))
    reply, fault = answer.reply, answer.fault
    if reply is None or (fault is not None and not question.accept_faulty(reply)):
        raise ProviderResponseError(
            f"{llm.model!r} of {llm.provider} was asked twice {question.purpose}, in vain. {fault} "
            f"It replied: {str(answer.text)[:200]!r}",
            provider=llm.provider,
        )
    return UsableAnswer(reply, answer.model)


async def _ask_once(
    llm: LLMProvider, question: JsonQuestion[ReplyT], messages: Sequence[ChatMessage], max_tokens: int
) -> JsonAnswer[ReplyT]:
    try:
        text = await llm.chat(
            messages, temperature=question.temperature, max_tokens=max_tokens, json_schema=question.schema
        )
    except ProviderResponseError as error:
        if getattr(error.reply, "finish_reason", None) != "length":
            raise
        return JsonAnswer(None, "", llm.model, NO_ROOM)
    model = getattr(text, "model", None) or llm.model
    parsed = parse_json_reply(text, question.shape)
    if parsed is None:
        return JsonAnswer(None, text, model, NO_OBJECT)
    reply = question.validate(parsed.value)
    if question.empty_must_be_intact and not reply.item_count and not parsed.intact:
        return JsonAnswer(None, text, model, UNREADABLE)
    if parsed.cut or getattr(text, "finish_reason", None) == "length":
        return JsonAnswer(reply, text, model, CUT_OFF)
    if reply.rejected and not reply.item_count:
        fault = f"No item of that could be used ({', '.join(reply.rejected)})."
        return JsonAnswer(reply, text, model, fault)
    return JsonAnswer(reply, text, model, None)


def _better(first: ReplyT | None, second: ReplyT | None) -> ReplyT | None:
    if first is None or (second is not None and second.item_count >= first.item_count):
        return second
    return first
