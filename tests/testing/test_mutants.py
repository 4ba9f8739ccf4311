"""Every contract fails for what is broken: for each of its tests there is an implementation that it catches."""

from __future__ import annotations

import asyncio
import inspect
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.domain.recall_result import Fused
from neuromem.testing import contracts as kit
from neuromem.testing.contracts import (
    Contract,
    EmbeddingContract,
    ExtractorContract,
    FusionContract,
    HttpContract,
    LLMContract,
    ObserverContract,
    PluginContract,
    RerankerContract,
    RetrieverContract,
    ScorerContract,
    StorageContract,
)
from neuromem.testing.http_server import Reply, running_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuromem.plugin import Retriever
    from tests.conftest import Server

from tests.support.broken_providers import (
    SECRET,
    AddsToMessages,
    AlwaysDeleted,
    AsciiKeys,
    Backwards,
    BoundToALoop,
    ClosedForGood,
    CutsAt100,
    EmptyWhenMissing,
    FirstPart,
    Http,
    IgnoresCase,
    InPlace,
    KeepsItsLock,
    KeepsTheFirst,
    KeepsTheMessages,
    KnowsNoSchema,
    LeavesASocket,
    LeavesATask,
    LeavesAThread,
    LogsItsKey,
    Mixing,
    Nameless,
    NamelessLLM,
    NegativeCost,
    NotANumber,
    OneAtATime,
    OneForAll,
    OtherKey,
    Prefixing,
    RefusesNothing,
    Rolling,
    ShortQuestions,
    ShowsItsKey,
    SignsWithTheKey,
    SwapsBatches,
    TooLong,
    Truncating,
)
from tests.support.broken_stages import (
    AwaitedObserver,
    Extracting,
    FindsNothing,
    FixedDatabase,
    Fusing,
    GreedyObserver,
    Judging,
    Moody,
    Needy,
    Numbering,
    Remembering,
    Retrieving,
    RetrievingForOthers,
    RetrievingLess,
    RetrievingOnOneLoop,
    Scoring,
    Unready,
    by_arrival,
    by_id_alone,
    emptied,
    over,
)


class Common(Contract):
    """Calls ``call()`` and gives up soon."""

    secret = SECRET
    patience = 2.0

    async def use(self, subject: Any) -> object:
        return await subject.call()


REPLY = {"data": b"text"}
# contract -> test -> what it has to catch, each with the arguments of the test that are not fixtures
MUTANTS: dict[type, dict[str, list[Any]]] = {
    Common: {
        "test_it_works_on_two_event_loops_one_after_the_other": [BoundToALoop],
        "test_calls_at_the_same_time_do_not_disturb_each_other": [OneAtATime],
        "test_a_cancelled_call_leaves_it_usable": [KeepsItsLock],
        "test_closing_twice_is_fine_and_it_opens_again": [ClosedForGood],
        "test_nothing_is_left_behind_when_it_is_closed": [LeavesATask, LeavesAThread, LeavesASocket],
        "test_its_secret_is_not_shown": [ShowsItsKey, LogsItsKey],
    },
    EmbeddingContract: {
        "test_it_says_what_it_is": [Nameless, TooLong],
        "test_no_texts_are_no_vectors": [RefusesNothing],
        "test_vectors_come_in_the_order_of_the_texts": [Backwards, OneForAll],
        "test_texts_at_the_same_time_get_their_own_vectors": [Mixing],
        "test_long_batches_are_split_and_put_together_again": [CutsAt100, SwapsBatches, TooLong],
        "test_vectors_are_finite_numbers_for_any_text": [NotANumber],
        "test_the_same_text_has_the_same_vector": [Rolling],
        "test_a_question_has_the_same_dims": [ShortQuestions],
        "test_the_texts_are_left_alone": [Prefixing],
    },
    LLMContract: {
        "test_it_says_what_it_is": [NamelessLLM],
        "test_a_reply_is_text_and_knows_its_cost_when_it_says_so": [NegativeCost],
        "test_every_argument_of_the_hook_is_taken": [KnowsNoSchema],
        "test_the_messages_are_left_alone": [AddsToMessages],
    },
    StorageContract: {
        "test_what_was_stored_comes_back": [(Truncating, {"data": b"x" * 2000}), (OtherKey, REPLY)],
        "test_a_stream_is_stored_whole": [FirstPart],
        "test_a_stream_that_breaks_replaces_nothing": [InPlace],
        "test_any_key_works": [(AsciiKeys, {"key": "文件/豆包.txt"})],
        "test_the_second_upload_replaces_the_first": [KeepsTheFirst],
        "test_objects_at_the_same_time_are_not_mixed": [IgnoresCase],
        "test_what_is_deleted_is_gone": [AlwaysDeleted],
        "test_what_was_never_there_is_not_found": [EmptyWhenMissing],
        "test_a_presigned_url_is_a_text_without_the_secret": [SignsWithTheKey],
    },
    ExtractorContract: {
        "test_it_returns_what_can_be_stored": [
            FindsNothing,
            lambda: Extracting(lambda memory: replace(memory, sources=("elsewhere",))),
            lambda: Extracting(lambda memory: replace(memory, importance=11.0)),
        ],
        "test_users_at_the_same_time_are_not_mixed": [Remembering],
        "test_the_same_window_gives_the_same": [Numbering],
    },
    FusionContract: {
        "test_the_union_comes_back_best_first": [
            lambda: Fusing(lambda fused, _: fused[:-1]),
            lambda: Fusing(lambda fused, _: fused[::-1]),
        ],
        "test_scores_and_relevances_lie_between_0_and_1": [lambda: Fusing(over(1, 2))],
        "test_nothing_found_is_an_empty_list": [
            lambda: Fusing(lambda fused, _: fused or [Fused("x", "memory", 0.0, 0.0, {})])
        ],
        "test_ranks_count_from_1_in_every_list": [
            lambda: Fusing(lambda fused, _: [replace(item, ranks={}) for item in fused])
        ],
        "test_the_order_of_the_retrievers_does_not_matter": [lambda: Fusing(by_arrival)],
        "test_the_lists_are_left_alone": [lambda: Fusing(emptied)],
        "test_it_returns_the_kind_that_was_found": [lambda: Fusing(by_id_alone)],
    },
    ScorerContract: {
        "test_a_signal_lies_between_0_and_1": [
            lambda: Scoring(lambda: 1.5),
            lambda: Scoring(lambda: float("nan")),
        ],
        "test_the_same_hit_has_the_same_signal": [lambda: Scoring(random.random)],
        "test_what_does_not_apply_is_0_for_everything": [lambda: Scoring(lambda: 0.5, applies=False)],
    },
    RerankerContract: {
        "test_every_hit_gets_a_relevance_between_0_and_1": [
            (lambda: Judging(lambda found: found[:100]), {"count": 250}),
            (lambda: Judging(lambda found: [9.0 for _ in found]), {"count": 3}),
        ],
        "test_relevances_come_in_the_order_of_the_hits": [
            lambda: Judging(sorted),
            lambda: Judging(lambda found: [0.5 for _ in found]),
        ],
        "test_answers_at_the_same_time_are_not_mixed": [lambda: Judging(keeps=True)],
        "test_no_hits_need_no_judgment": [lambda: Judging(lambda found: found or [0.0])],
    },
    ObserverContract: {
        "test_it_takes_every_event": [
            (AwaitedObserver, {"name": "on_llm_call", "failed": False}),
            (GreedyObserver, {"name": "on_embedding_call", "failed": True}),
        ],
    },
}
HTTP: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "test_a_refused_key_is_an_authentication_error": [("wrong error", {"status": 401})],
    "test_a_short_retry_after_is_waited_for": [("impatient", {})],
    "test_a_long_retry_after_is_left_to_the_caller": [("no wait", {})],
    "test_a_retry_after_that_is_a_date_is_understood": [("", {})],  # it reads numbers only
    "test_an_outage_is_unavailable_and_can_be_retried": [("httpx", {"reply": Reply(cut_after=-1)})],
    "test_it_recovers_when_the_outage_is_over": [("never again", {})],
    "test_an_answer_that_cannot_be_used_is_an_error": [("trusting", {"body": "{}"})],
    "test_a_server_that_echoes_the_key_does_not_spread_it": [("echoes", {})],
    "test_closing_one_leaves_the_others_open": [("shared", {})],
    "test_a_call_that_is_cancelled_while_the_server_thinks_ends_at_once": [("deaf", {})],
}
RETRIEVERS: dict[str, Callable[[], Retriever]] = {
    "test_candidates_are_few_distinct_and_best_first": lambda: Retrieving(lambda found: found[::-1]),
    "test_users_see_their_own_only": RetrievingForOthers,
    "test_the_same_question_has_the_same_answer": RetrievingLess,
    "test_it_works_on_two_event_loops_and_after_a_cancelled_question": RetrievingOnOneLoop,
    "test_what_it_finds_reaches_the_answer": lambda: Retrieving(lambda found: []),
}
PLUGINS = {
    "test_it_passes_every_check": Unready,
    "test_its_hooks_offer_the_same_whenever_they_are_asked": Moody,
    "test_it_does_not_need_its_neighbors": Needy,
}
DATABASES = (
    "test_the_server_is_one_that_neuromem_works_with",
    "test_it_connects_as_an_ordinary_role",
    "test_opening_twice_leads_to_the_same_place",
    "test_what_is_remembered_is_there_after_it_was_closed",
)


def fails(test: Callable[..., Any], **arguments: Any) -> None:
    """Run a test of a contract, which has to fail."""
    wanted = inspect.signature(test).parameters
    with pytest.raises((Exception, pytest.fail.Exception, asyncio.CancelledError)) as caught:
        test(**{name: value for name, value in arguments.items() if name in wanted})
    assert not isinstance(caught.value, pytest.skip.Exception | NotImplementedError), caught.value


def cases() -> list[Any]:
    found = []
    for contract, tests in MUTANTS.items():
        for test, mutants in tests.items():
            for number, mutant in enumerate(mutants):
                make, arguments = mutant if isinstance(mutant, tuple) else (mutant, {})
                name = f"{contract.__name__}-{test}-{number}"
                found.append(pytest.param(contract, test, make, arguments, id=name))
    return found


@pytest.mark.parametrize(("contract", "test", "make", "arguments"), cases())
def test_it_catches(
    contract: type, test: str, make: Any, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = contract()
    made.secret, made.patience = SECRET, 2.0
    subject = make()
    names = ("subject", "fusion", "scorer", "observer")
    fails(getattr(made, test), caplog=caplog, **dict.fromkeys(names, subject), **arguments)


class Speaking(HttpContract):
    patience = 3.0

    def connect(self, url: str) -> Http:
        return Http(url, self.breaks)

    def __init__(self, breaks: str) -> None:
        self.breaks = breaks

    def answer(self, request: Any) -> Reply:
        return Reply({"ok": True})

    async def use(self, subject: Any) -> object:
        return await subject.call()


@pytest.mark.parametrize(
    ("test", "breaks", "arguments"), [(test, *case) for test, found in HTTP.items() for case in found]
)
def test_it_catches_what_speaks_http(
    test: str, breaks: str, arguments: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = Speaking(breaks)
    with running_server() as server:
        server.always = made.answer
        subject = made.connect(server.url)
        fails(getattr(made, test), http_server=server, subject=subject, caplog=caplog, **arguments)


def test_it_catches_an_llm_that_mixes_its_callers() -> None:
    class Asking(HttpContract, LLMContract):
        pass

    class Requested:
        def getfixturevalue(self, name: str) -> Any:
            return server

    with running_server() as server:
        server.always = Reply({})
        subject = KeepsTheMessages(server.url)
        fails(Asking().test_questions_at_the_same_time_are_not_mixed, subject=subject, request=Requested())


@pytest.mark.parametrize("test", RETRIEVERS)
async def test_it_catches_retrievers(test: str, database_url: str) -> None:
    await asyncio.to_thread(
        fails,
        getattr(RetrieverContract(), test),
        retriever=RETRIEVERS[test](),
        database_url=database_url,
        settings={"work": {"poll": 0.05}},
    )


@pytest.mark.parametrize("test", PLUGINS)
def test_it_catches_plugins(test: str) -> None:
    made = PluginContract()
    made.plugin = PLUGINS[test]()
    fails(getattr(made, test))


@pytest.mark.parametrize("test", DATABASES)
async def test_it_catches_databases(test: str, server: Server, database_url: str, empty_url: str) -> None:
    urls = {
        "test_the_server_is_one_that_neuromem_works_with": ["postgresql://nobody@localhost:1/x"],
        "test_it_connects_as_an_ordinary_role": [server.postgres.superuser_url()],
    }.get(test, [database_url, empty_url])
    await asyncio.to_thread(fails, getattr(kit.DatabaseContract(), test), subject=FixedDatabase(*urls))


def test_no_test_of_a_contract_is_without_a_mutant() -> None:
    known = {contract: set(tests) for contract, tests in MUTANTS.items()}
    known[LLMContract] |= {"test_questions_at_the_same_time_are_not_mixed"}
    known |= {
        Contract: known.pop(Common),
        HttpContract: set(HTTP),
        RetrieverContract: set(RETRIEVERS),
        PluginContract: set(PLUGINS),
        kit.DatabaseContract: set(DATABASES),
    }
    for name in kit.__all__:
        contract: type = getattr(kit, name)
        own = {test for test in vars(contract) if test.startswith("test_")}
        assert known.get(contract) == own, name
