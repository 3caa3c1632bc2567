"""The scenarios: each applies objects, lets one contender work, and returns figures.

Nothing is asserted here. Where an operator never gets there, the scenario ends with ``TimeoutError``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from tests.bench.contender import Contender
from tests.bench.double import Manner, busiest
from tests.bench.fleet import Fleet, Load, Name
from tests.bench.stage import Figures, Size, Stage, percentiles

_HANGING = Manner(latency=60.0)
_SHARED_BY = 20
"""Objects per key, where keys are shared."""
_ENTRIES = 20
_NEWCOMERS = 60
_NEWCOMERS_PER_SECOND = 4.0
_PATIENCE = 600.0
"""Seconds to wait for a first Secret, and for all that use a store to come back."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``floor``: whether the bare loop is measured beside the operator."""

    play: Callable[[Stage], Awaitable[Figures]]
    size: Size
    floor: bool = False

    @property
    def about(self) -> str:
        """What it is, in a sentence."""
        return (self.play.__doc__ or "").strip().splitlines()[0]


async def cold(stage: Stage) -> Figures:
    """An operator starts and finds objects that were never synced, each with a key of its own."""
    async with stage.fleet() as fleet:
        await fleet.apply(_load(stage))
        window = await stage.window(fleet)
        async with stage.contender() as contender:
            seen, count = fleet.seen, stage.size.objects
            await fleet.until(lambda: not seen.secret, seconds=_PATIENCE, what="in step, and none is")
            start = window.cpu(contender)
            await fleet.in_step()
            cpu, usage = window.cpu(contender) - start, contender.usage()
            requests = await window.requests()
            return {
                "all in step after, s": max(seen.ready.values()) - contender.started,
                "first Secret after, s": min(seen.secret.values()) - contender.started,
                "CPU until then, s": start,
                "CPU per object after that, ms": 1000 * cpu / count,
                "RSS, MB": usage.rss,
                "RSS at most, MB": usage.peak,
                "provider reads per object": len(window.reads()) / count,
                "API reads per object": requests["reads"] / count,
                "API writes per object": requests["writes"] / count,
            }


async def steady(stage: Stage) -> Figures:
    """Every object is refreshed at its interval, and nothing has changed."""
    async with stage.fleet() as fleet, stage.contender() as contender:
        return await _refreshes(stage, fleet, contender, _load(stage))


async def shared(stage: Stage) -> Figures:
    """Many objects of one store share few keys, at rest and from refresh to refresh."""
    keys = max(1, stage.size.objects // _SHARED_BY)
    async with stage.fleet() as fleet:
        load = replace(_load(stage), keys=keys, namespaces=1)
        await fleet.apply(load)
        window = await stage.window(fleet)
        async with stage.contender() as contender:
            await fleet.in_step()
            first: Figures = {"keys": keys, "provider reads at the first sync": len(window.reads())}
            return first | await _refreshes(stage, fleet, contender, load)


async def entries(stage: Stage) -> Figures:
    """Every object has 20 entries of one secret."""
    async with stage.fleet() as fleet:
        await fleet.apply(replace(_load(stage), entries=_ENTRIES))
        window = await stage.window(fleet)
        async with stage.contender() as contender:
            await fleet.in_step()
            return {
                "entries per object": _ENTRIES,
                "provider reads per object": len(window.reads()) / stage.size.objects,
                "CPU per object, ms": 1000 * window.cpu(contender) / stage.size.objects,
            }


async def restart(stage: Stage) -> Figures:
    """The operator starts again and finds everything fresh; one object is new."""
    async with stage.fleet() as fleet:
        load = _load(stage)
        await fleet.apply(load)
        async with stage.contender():
            await fleet.in_step()
        newcomer = await fleet.create(load, stage.size.objects)
        window = await stage.window(fleet)
        async with stage.contender() as contender:
            await fleet.in_step([newcomer])
            cpu = window.cpu(contender)
            await asyncio.sleep(stage.size.seconds)
            others = [call for call in window.reads() if call.key != load.key(stage.size.objects)]
            return {
                "the new object in step after, s": fleet.seen.ready[newcomer] - contender.started,
                "CPU until then, s": cpu,
                "others read again": len(others),
                "others written": window.rewritten(),
                "RSS, MB": contender.usage().rss,
            }


async def newcomer(stage: Stage) -> Figures:
    """Objects are created one by one while all others are refreshed."""
    async with stage.fleet() as fleet, stage.contender() as contender:
        load = _load(stage)
        await fleet.apply(load)
        await fleet.in_step()
        # What they were created with is worked off, and their refreshes have begun.
        await asyncio.sleep(stage.size.interval)
        window = await stage.window(fleet, contender)
        told = await _newcomers(stage, fleet, load, first=stage.size.objects)
        return told | {
            "provider reads meanwhile, per s": len(window.reads()) / window.seconds,
            "CPU meanwhile, % of a core": 100 * window.cpu(contender) / window.seconds,
        }


async def slow(stage: Stage) -> Figures:
    """One store hangs beside a healthy one, and objects are created that use the healthy one."""
    return await _beside_a_hanging_server(stage, namespaces=1)


async def slowmany(stage: Stage) -> Figures:
    """One server hangs that ten stores use, beside ten healthy ones."""
    return await _beside_a_hanging_server(stage, namespaces=10)


async def gone(stage: Stage) -> Figures:
    """The provider does not answer for a while; its values change before it comes back."""
    return await _outage(stage, Manner(fault="gone"))


async def busy(stage: Stage) -> Figures:
    """The provider answers 429 to everything for a while; its values change before it recovers."""
    return await _outage(stage, Manner(fault="busy"))


async def memory(stage: Stage) -> Figures:
    """Many objects are held, and refreshed at a long interval."""
    async with stage.fleet() as fleet, stage.contender() as contender:
        await fleet.apply(_load(stage))
        await fleet.in_step()
        window = await stage.window(fleet, contender)
        before = contender.usage()
        await asyncio.sleep(stage.size.seconds)
        after = contender.usage()
        return {
            "RSS once in step, MB": before.rss,
            "RSS at the end, MB": after.rss,
            "RSS at most, MB": after.peak,
            "RSS per object, KB": 1024 * after.rss / stage.size.objects,
            "provider reads meanwhile": len(window.reads()),
        }


SCENARIOS: Mapping[str, Scenario] = {
    "cold": Scenario(cold, Size(objects=500, interval=3600, seconds=0), floor=True),
    "steady": Scenario(steady, Size(objects=500, interval=10, seconds=20), floor=True),
    "shared": Scenario(shared, Size(objects=1000, interval=30, seconds=60)),
    "entries": Scenario(entries, Size(objects=50, interval=3600, seconds=0)),
    "restart": Scenario(restart, Size(objects=500, interval=3600, seconds=5)),
    "newcomer": Scenario(newcomer, Size(objects=500, interval=60, seconds=0), floor=True),
    "slow": Scenario(slow, Size(objects=200, interval=10, seconds=0)),
    "slowmany": Scenario(slowmany, Size(objects=200, interval=10, seconds=0)),
    "gone": Scenario(gone, Size(objects=100, interval=5, seconds=30)),
    "busy": Scenario(busy, Size(objects=100, interval=5, seconds=30)),
    "memory": Scenario(memory, Size(objects=2000, interval=600, seconds=30), floor=True),
}


def _load(stage: Stage) -> Load:
    return Load(objects=stage.size.objects, interval=f"{stage.size.interval:g}s")


async def _refreshes(stage: Stage, fleet: Fleet, contender: Contender, load: Load) -> Figures:
    """What refreshes cost. The objects may be there and in step already."""
    if not fleet.seen.created:
        await fleet.apply(load)
    await fleet.in_step()
    # The first refresh is not like the others: caches fill, and clients are opened.
    await asyncio.sleep(stage.size.interval)
    window = await stage.window(fleet, contender)
    await asyncio.sleep(stage.size.seconds)
    cpu, took, reads = window.cpu(contender), window.seconds, len(window.reads())
    requests = await window.requests()
    rounds = took / stage.size.interval
    return {
        "provider reads per interval": reads / rounds,
        "CPU per object and interval, ms": 1000 * cpu / rounds / load.objects,
        "CPU, % of a core": 100 * cpu / took,
        "API reads": requests["reads"],
        "API writes": requests["writes"],
        "RSS, MB": contender.usage().rss,
    }


async def _newcomers(stage: Stage, fleet: Fleet, load: Load, *, first: int) -> Figures:
    """Create objects at random moments; from creation to Secret and to Ready."""
    chance = random.Random(stage.seed)
    names: list[Name] = []
    for number in range(_NEWCOMERS):
        await asyncio.sleep(chance.expovariate(_NEWCOMERS_PER_SECOND))
        names.append(await fleet.create(load, first + number))
    await fleet.in_step(names)
    seen = fleet.seen
    waits = [seen.secret[name] - seen.created[name] for name in names]
    readies = [seen.ready[name] - seen.created[name] for name in names]
    return percentiles(waits, "ms", what="to Secret", scale=1000) | percentiles(
        readies, "ms", what="to Ready", scale=1000
    )


async def _beside_a_hanging_server(stage: Stage, *, namespaces: int) -> Figures:
    half = replace(_load(stage), objects=stage.size.objects // 2, namespaces=namespaces)
    healthy, hanging = replace(half, name="fine", mount="fine"), replace(half, name="hung", mount="hung")
    async with stage.fleet() as fleet, stage.contender():
        await fleet.apply(healthy)
        await fleet.apply(hanging)
        await fleet.in_step()
        before = await _newcomers(stage, fleet, healthy, first=half.objects)
        stage.double.behave("hung", _HANGING)
        # Until each of them has come due and waits for an answer.
        await asyncio.sleep(stage.size.interval)
        during = await _newcomers(stage, fleet, healthy, first=half.objects + _NEWCOMERS)
        return {f"before: {name}": value for name, value in before.items()} | {
            f"meanwhile: {name}": value for name, value in during.items()
        }


async def _outage(stage: Stage, manner: Manner) -> Figures:
    interval, load = stage.size.interval, _load(stage)
    async with stage.fleet() as fleet, stage.contender() as contender:
        await fleet.apply(load)
        await fleet.in_step()
        await asyncio.sleep(interval)
        window = await stage.window(fleet, contender)
        await asyncio.sleep(2 * interval)
        healthy = len(window.all_calls()) * interval / window.seconds
        window = await stage.window(fleet, contender)
        stage.double.behave(load.mount, manner)
        await asyncio.sleep(stage.size.seconds)
        stage.double.rotate()
        asked, cpu = window.all_calls(), window.cpu(contender)
        written = (await window.requests())["writes"]
        window = await stage.window(fleet, contender)
        stage.double.behave(load.mount, None)
        await fleet.until(
            lambda: sum(fleet.seen.updated[name] < window.began for name in fleet.seen.created),
            seconds=_PATIENCE,
            what="in step again",
        )
        late = max(fleet.seen.updated.values()) - window.began
        await asyncio.sleep(interval)
        return {
            "calls per interval while healthy": healthy,
            "calls while it failed, all": len(asked),
            "calls while it failed, in the busiest interval": busiest(asked, interval),
            "calls after it came back, in the busiest interval": busiest(window.all_calls(), interval),
            "API writes while it failed, per object": written / load.objects,
            "CPU while it failed, % of a core": 100 * cpu / stage.size.seconds,
            "all in step again after, intervals": late / interval,
        }
