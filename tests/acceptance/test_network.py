"""A network that is cut, stalled and slow, on each of the four links: the daemons live through it by themselves."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import links
from tests.support.daemons_pipeline import patiently
from tests.support.daemons_setting import Servers, Sweep
from tests.support.links import ProxiedStack
from tests.support.network import FAULTS, REQUESTS, lose_answer
from tests.support.session_stack import SessionStack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def proxied(kafka: str) -> Iterator[ProxiedStack]:
    """Servers of this module alone, behind proxies. (``kafka`` says whether servers can be had at all.)"""
    session = SessionStack()
    stack = ProxiedStack(session.folder / "stack").up()
    yield stack
    stack.close()
    session.close()


@pytest.fixture(scope="module")
def shared(proxied: ProxiedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    addresses = proxied.addresses
    servers = Servers(*(str(addresses[name]) for name in ("kafka", "postgresql", "target")))
    made = Sweep(servers, tmp_path_factory.mktemp("network"), "network", proxies=proxied.links)
    yield made
    made.close()


def cases() -> list[Any]:
    """Every fault on every link; each link has its turn, and each fault, in the fast tests."""
    random = Random("network:1")
    sample = set(zip(links.NAMES, random.sample(list(FAULTS), len(FAULTS)), strict=True))
    pairs = [(link, fault) for link in links.NAMES for fault in FAULTS]
    return [pytest.param(*pair, id="-".join(pair), marks=() if pair in sample else pytest.mark.slow) for pair in pairs]


@pytest.mark.parametrize(("link", "fault"), cases())
def test_a_bad_network_costs_time_but_no_row(proxied: ProxiedStack, shared: Sweep, link: str, fault: str) -> None:
    with shared.round() as setting:
        pipeline, workload, proxy = setting.pipeline, setting.workload, proxied.links[link]
        pipeline.start()
        daemons = [pipeline.capture.pid, pipeline.apply.pid]
        with workload.running(), setting.reader.reading():
            workload.progress()
            setting.reader.wait_for_news()
            pipeline.resync("public.documents", "public.visits")
            FAULTS[fault](proxy)
            setting.reader.wait_for_news()
            workload.progress()
        patiently(setting.settle)
        assert [d.pid for d in (pipeline.capture, pipeline.apply) if d.running] == daemons
        pipeline.assert_restart_applies_nothing()
        pipeline.stop()


def test_answers_that_are_lost_neither_lose_nor_double_a_row(proxied: ProxiedStack, shared: Sweep) -> None:
    """A COMMIT at the target, a confirmation to the slot, and messages that were produced: all had happened."""
    with shared.round() as setting:
        pipeline, workload = setting.pipeline, setting.workload
        pipeline.start()
        with workload.running(), setting.reader.reading():
            workload.progress()
            setting.reader.wait_for_news()
            pipeline.resync("public.documents", "public.visits")
            for link, request in [*REQUESTS.items()] * 3:
                lose_answer(proxied.links[link], request)
                setting.reader.wait_for_news()
            workload.progress()
        patiently(setting.settle)
        told = {event["event"] for event in pipeline.apply.events()}
        assert told & {"commit.had_happened", "checkpoint.moved"}, pipeline.apply.last_words()
        assert list(pipeline.capture.events("capture.rewinds")), pipeline.capture.last_words()
        pipeline.assert_restart_applies_nothing()
        pipeline.stop()
