from __future__ import annotations

import json
import os
from pathlib import Path

import aiohttp
import pytest

from tests.bench.__main__ import main
from tests.bench.contender import usage_of
from tests.bench.double import TOKEN, Call, Double, Manner, busiest
from tests.bench.report import Result, table
from tests.bench.stage import Size, percentiles

QUICK = Manner(latency=0.0)


async def asked(double: Double, path: str, token: str = TOKEN) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(headers={"X-Vault-Token": token}) as session,
        session.get(double.url + path) as answer,
    ):
        return answer.status, await answer.text()


def test_the_bench_measures_an_operator_and_its_floor_from_start_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    file = tmp_path / "figures.json"
    words = ["--scenario=cold", "--scenario=entries", "--objects=4", "--latency=0", f"--json={file}"]
    assert main(words) == 0
    told = json.loads(file.read_text("utf-8"))
    cold, entries = told["results"]
    ours, floor = cold["figures"]["operator"], cold["figures"]["bare loop"]
    assert ours["provider reads per object"] == floor["provider reads per object"] == 1
    assert floor["API writes per object"] == 2 <= ours["API writes per object"]
    assert entries["figures"]["operator"]["provider reads per object"] == 1
    assert told["api_server"].startswith("sandbox v")
    assert {"cpu", "cores", "python", "seed", "operator"} <= told.keys()
    assert "all in step after, s" in capsys.readouterr().out


async def test_the_double_serves_the_same_values_for_the_same_seed_until_they_change() -> None:
    async with Double(seed=3, manner=QUICK) as one, Double(seed=3, manner=QUICK) as other:
        first = await asked(one, "/v1/secret/data/a/b")
        assert first == await asked(other, "/v1/secret/data/a/b")
        assert first != await asked(one, "/v1/secret/data/a/c")
        other.rotate()
        assert first != await asked(other, "/v1/secret/data/a/b")
        assert [call.key for call in one.reads()] == ["a/b", "a/c"]


async def test_the_double_wants_its_token_and_fails_by_mount_as_it_is_told() -> None:
    async with Double(seed=3, manner=QUICK) as double:
        assert (await asked(double, "/v1/secret/data/a", token="wrong"))[0] == 403
        assert (await asked(double, "/v1/auth/token/lookup-self"))[0] == 200
        double.behave("limited", Manner(latency=0.0, fault="busy"))
        assert (await asked(double, "/v1/limited/data/a"))[0] == 429
        assert (await asked(double, "/v1/secret/data/a"))[0] == 200
        double.behave("limited", Manner(latency=0.0, fault="gone"))
        with pytest.raises(aiohttp.ClientConnectionError):
            await asked(double, "/v1/limited/data/a")
        double.behave("limited", None)
        assert (await asked(double, "/v1/limited/data/a"))[0] == 200


def test_the_busiest_window_is_found_wherever_it_lies() -> None:
    calls = [Call(at, "secret", "a") for at in (0.0, 5.0, 5.5, 6.0, 9.0)]
    assert [busiest(calls, window) for window in (0.1, 1.0, 4.0, 20.0)] == [1, 3, 4, 5]
    assert busiest([], 1.0) == 0


def test_percentiles_are_values_that_were_measured() -> None:
    told = percentiles(range(1, 101), "ms", what="wait")
    assert told == {"wait p50, ms": 50, "wait p99, ms": 99, "wait max, ms": 100}
    assert percentiles([0.004], "ms", what="wait", scale=1000) == dict.fromkeys(told, 4.0)
    assert percentiles([], "ms", what="wait") == {}


def test_a_table_shows_ratios_where_there_is_a_floor() -> None:
    size = Size(objects=2, interval=1, seconds=1)
    shown = table(Result("cold", "About.", size, {"operator": {"CPU, s": 3.0}, "bare loop": {"CPU, s": 2.0}}))
    assert shown.split()[-5:] == ["CPU,", "s", "3", "2", "1.50"]
    assert "ratio" not in table(Result("cold", "About.", size, {"operator": {"CPU, s": 3.0}}))


def test_usage_tells_of_this_process_what_the_system_does() -> None:
    spent = os.times()
    usage = usage_of(os.getpid())
    assert usage.cpu == pytest.approx(spent.user + spent.system, abs=0.5)
    assert 5 < usage.rss <= usage.peak
