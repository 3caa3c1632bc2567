"""What many objects cost their stores, in virtual time: sharing keys, while a store fails, beside one that hangs."""

from __future__ import annotations

import asyncio
import base64
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from keyferry.errors import Busy, KeyferryError
from keyferry.kube.client import EXTERNAL_SECRETS, SECRETS
from keyferry.ports import Fetched, Ref
from tests.support.objects import es_body, store_body
from tests.support.rig import WORKERS, Rig
from tests.support.virtual import elapsed, virtual
from tests.unit.fetch.adapters import Opener, Stub, make


class Stage(Rig):
    """A rig whose stores are stubs; ``calls`` has the moment of every document asked of them."""

    def __init__(self) -> None:
        super().__init__()
        self.stub, _ = make(Stub)
        self.pool._opener = Opener(self.stub)
        self.calls: list[float] = []
        self.trouble: Callable[[], KeyferryError | None] = lambda: None
        self.hanging = ""
        self.content = b"1"

        async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
            self.calls += [elapsed()] * len(refs)
            trouble = self.trouble()
            if self.hanging and any(ref.key.startswith(self.hanging) for ref in refs):
                await asyncio.Event().wait()
            await asyncio.sleep(0.02)
            return {ref: trouble or Fetched(self.content) for ref in refs}

        self.stub.answering = answering

    def make_store(self, name: str = "store") -> None:
        self.apply_store(store_body(name, provider={"stub": {}}))

    def make(
        self,
        number: int,
        key: str,
        *,
        store: str = "store",
        interval: str = "1m",
        event: str | None = "ADDED",
        **metadata: Any,
    ) -> None:
        name = f"{store}-{number}"
        self.apply(
            es_body(
                name,
                metadata=metadata,
                secretStoreRef={"name": store},
                refreshInterval=interval,
                data=[{"secretKey": "key", "remoteRef": {"key": key}}],
            ),
            event=event,
        )

    def most_calls(self, seconds: float, *, since: float = 0.0) -> int:
        """The most documents that were asked for within so many seconds."""
        calls = [each for each in self.calls if each >= since]
        return max((bisect_left(calls, each + seconds) - number for number, each in enumerate(calls)), default=0)

    async def told(self, path: str) -> None:
        """Until something is sent to this path of the API server."""
        sent = asyncio.Event()

        def before(_method: str, where: str) -> None:
            if where == path:
                sent.set()

        self.server.before = before
        await sent.wait()

    def status_writes(self) -> int:
        return sum(method == "PATCH" and path.endswith("/status") for method, path in self.server.requests)

    def in_step(self) -> int:
        bodies = [body for path, body in self.server.objects.items() if "/externalsecrets/" in path]
        return sum(
            each["status"] == "True" and each["reason"] == "SecretSynced"
            for body in bodies
            for each in (body.get("status") or {}).get("conditions", ())
        )


@asynccontextmanager
async def working() -> AsyncIterator[Stage]:
    stage = Stage()
    workers = [asyncio.create_task(stage.loop.work()) for _ in range(WORKERS)]
    yield stage
    stage.queue.close()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await stage.aclose()


@virtual
async def test_a_refresh_of_many_objects_over_few_keys_costs_one_read_of_each_key() -> None:
    async with working() as stage:
        stage.make_store()
        for number in range(100):
            stage.make(number, f"k{number % 10}")
        await asyncio.sleep(5)
        assert stage.in_step() == 100
        assert len(stage.calls) == 10
        # Five more intervals, each of which ends with the earliest of a key's objects: at first a tenth before its end.
        await asyncio.sleep(300)
        assert stage.most_calls(53, since=5) <= 10
        assert stage.most_calls(59, since=60) <= 10
        assert len(stage.calls) <= 10 * 6


@virtual
async def test_objects_of_one_list_share_their_readings_however_long_the_list_takes_to_come_in() -> None:
    async with working() as stage:
        stage.make_store()
        for number in range(100):
            stage.make(number, f"k{number % 10}", interval="1h", event=None)
            await asyncio.sleep(0.05)
        await asyncio.sleep(5)
        assert stage.in_step() == 100
        assert len(stage.calls) == 10
        stage.content = b"2"
        await asyncio.sleep(60)
        # Listed again, after a gap: what is new may have been made in it, and later than the readings.
        stage.make(100, "k0", interval="1h", event=None)
        await asyncio.sleep(5)
        assert len(stage.calls) == 11


@virtual
async def test_a_remote_change_reaches_every_object_within_its_interval_however_reads_are_shared() -> None:
    async with working() as stage:
        stage.make_store()
        for number in range(60):
            stage.make(number, f"k{number % 3}", interval=("1m", "2m", "5m")[number // 3 % 3])
        await asyncio.sleep(1000)
        stage.content = b"2"
        for after, least in ((61, 20), (60, 40), (180, 60)):
            await asyncio.sleep(after)
            held = [stage.server.objects[SECRETS.path("team", f"store-{number}")] for number in range(60)]
            assert sum(base64.b64decode(each["data"]["key"]) == b"2" for each in held) >= least


@virtual
async def test_an_edit_is_given_what_was_read_after_it() -> None:
    async with working() as stage:
        stage.make_store()
        for number in range(20):
            stage.make(number, "k", interval="1h")
        await asyncio.sleep(10)
        stage.content = b"2"
        calls = len(stage.calls)
        for number in range(10):
            stage.make(number, "k", interval="1h", annotations={"force-sync": "1"}, resourceVersion="900")
        await asyncio.sleep(5)
        assert len(stage.calls) == calls + 1
        held = [stage.server.objects[SECRETS.path("team", f"store-{number}")]["data"]["key"] for number in range(20)]
        assert [base64.b64decode(each) for each in held] == [b"2"] * 10 + [b"1"] * 10


@virtual
@pytest.mark.parametrize("retry_after", [None, 45.0])
async def test_a_store_that_refuses_everything_is_not_asked_more_often_than_when_well(
    retry_after: float | None,
) -> None:
    async with working() as stage:
        stage.make_store()
        for number in range(60):
            stage.make(number, f"k{number}")
        await asyncio.sleep(300)
        assert stage.in_step() == 60
        healthy = stage.most_calls(60, since=60)
        stage.trouble = lambda: Busy("429", retry_after=retry_after)
        began = elapsed()
        await asyncio.sleep(600)
        assert stage.in_step() == 0
        during = [each for each in stage.calls if each > began + 60]
        stage.trouble = lambda: None
        await asyncio.sleep(2 * 60)
        assert stage.in_step() == 60
        assert stage.most_calls(60, since=began) <= 2 * healthy
        # In the long run hardly any are left.
        assert len(during) < 0.05 * healthy * 9


@virtual
async def test_a_store_that_takes_less_than_is_asked_of_it_keeps_everybody_in_step_and_told_of_nothing() -> None:
    async with working() as stage:
        stage.make_store()
        taken: list[float] = []
        refused: list[float] = []

        def trouble() -> KeyferryError | None:
            if sum(int(each) == int(elapsed()) for each in taken[-2:]) >= 2:
                refused.append(elapsed())
                return Busy("429")
            taken.append(elapsed())
            return None

        async def answering(refs: Sequence[Ref]) -> Mapping[Ref, Any]:
            answers = {ref: trouble() or Fetched(b"1") for ref in refs}
            await asyncio.sleep(0.02)
            return answers

        stage.stub.answering = answering
        for number in range(100):
            # A demand of five times what the store takes.
            stage.make(number, f"k{number}", interval="10s")
        # One round takes 50 s; those that were in step first come again meanwhile.
        await asyncio.sleep(100)
        assert stage.in_step() == 100
        written, began = stage.status_writes(), elapsed()
        await asyncio.sleep(100)
        assert len([each for each in taken if each >= began]) >= 0.8 * 2 * 100
        assert len([each for each in refused if each >= began]) <= 0.05 * len(taken)
        assert stage.in_step() == 100
        # One refreshTime each, and no failure that came and went.
        assert stage.status_writes() - written <= 100


@virtual
async def test_refusals_write_each_status_once_and_not_at_every_try() -> None:
    async with working() as stage:
        stage.make_store()
        for number in range(20):
            stage.make(number, f"k{number}")
        await asyncio.sleep(5)
        stage.trouble = lambda: Busy("429")
        await asyncio.sleep(300)
        before = stage.status_writes()
        await asyncio.sleep(500)
        assert stage.status_writes() == before


@virtual
async def test_a_store_that_hangs_does_not_slow_the_others() -> None:
    async with working() as stage:
        for name in ("well", "hangs", "hangs-too"):
            stage.make_store(name)
        await asyncio.sleep(5)
        stage.hanging = "silent"
        for number in range(100):
            for name in ("hangs", "hangs-too"):
                stage.make(number, f"silent-{number % 60}", store=name)
        await asyncio.sleep(3)
        waits = []
        for number in range(40):
            stage.make(number, f"k{number}", store="well")
            started = elapsed()
            key = EXTERNAL_SECRETS.path("team", f"well-{number}") + "/status"
            await stage.told(key)
            waits.append(elapsed() - started)
            await asyncio.sleep(1)
        assert max(waits) <= 0.03
        assert stage.in_step() == 40
