"""Measure an operator: ``python -m tests.bench``.

Without ``--scenario`` a short standard set is run. The API server is that of ``--kubeconfig``, a control plane of
``KUBEBUILDER_ASSETS``, or the sandbox's own. Figures are counts, and ratios to a bare loop in the same run; absolute
times belong to the machine that is printed beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import contextlib
import dataclasses
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.cluster import Cluster, running_cluster
from tests.bench.contender import BARE_LOOP, OURS
from tests.bench.double import Double, Manner
from tests.bench.machine import machine
from tests.bench.report import Result, document, table
from tests.bench.scenarios import SCENARIOS, Scenario
from tests.bench.stage import Figures, Stage
from tests.support.processes import ROOT

STANDARD = ("cold", "steady", "shared", "entries", "restart", "newcomer", "slow", "busy")
_PACKAGES = ("aiohttp", "kopf", "uvloop")


async def play(name: str, scenario: Scenario, given: argparse.Namespace, cluster: Cluster, folder: Path) -> Result:
    """One scenario, with the operator and, where it has a floor, with the bare loop."""
    size = dataclasses.replace(
        scenario.size,
        **{
            field: value for field in ("objects", "interval", "seconds") if (value := getattr(given, field)) is not None
        },
    )
    commands = {"operator": given.operator}
    if scenario.floor and not given.no_floor:
        commands["bare loop"] = BARE_LOOP
    figures: dict[str, Figures] = {}
    for contender, command in commands.items():
        async with Double(seed=given.seed, manner=Manner(latency=given.latency)) as double:
            stage = Stage(cluster=cluster, double=double, command=command, folder=folder, size=size, seed=given.seed)
            figures[contender] = await scenario.play(stage)
    return Result(name, scenario.about, size, figures)


async def run(given: argparse.Namespace) -> int:
    """All scenarios that were asked for; the exit status."""
    results = []
    await asyncio.to_thread(compileall.compile_dir, ROOT / "operator", quiet=1)
    with tempfile.TemporaryDirectory(prefix="keyferry-bench-") as place:
        folder = given.logs or Path(place)
        async with running_cluster(Path(place), given.kubeconfig) as cluster:
            beside: dict[str, Any] = {
                **machine(*_PACKAGES),
                "api_server": f"{cluster.kind} {cluster.version}",
                "operator": given.operator,
                "provider_latency_s": given.latency,
                "seed": given.seed,
            }
            for name in given.scenario:
                try:
                    result = await play(name, SCENARIOS[name], given, cluster, folder)
                except (RuntimeError, TimeoutError) as error:
                    print(f"{name}: {error}", file=sys.stderr)
                    return 1
                results.append(result)
                print(table(result), flush=True)
    print("\n".join(f"{name}: {value}" for name, value in beside.items()))
    if given.json:
        given.json.write_text(document(results, beside), "utf-8")
    return 0


async def interruptible(given: argparse.Namespace) -> int:
    """``run``, which SIGTERM ends as Ctrl-C does: with everything that was started ended."""
    task = asyncio.create_task(run(given))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return 130


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    about = "\n".join(f"  {name:<10}{each.about}" for name, each in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        epilog=f"scenarios:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS), help="may be given several times")
    parser.add_argument("--objects", type=int, help="how many, in place of the scenario's own number")
    parser.add_argument("--interval", type=float, help="seconds between two refreshes of an object, likewise")
    parser.add_argument("--seconds", type=float, help="how long to look, where nothing ends by itself, likewise")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds that the provider takes to answer")
    parser.add_argument("--operator", default=OURS, help="its command, with {kubeconfig} (default: %(default)s)")
    parser.add_argument("--no-floor", action="store_true", help="leave the bare loop out")
    parser.add_argument("--kubeconfig", default="", help="of a running cluster that nothing else uses")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to write all figures as JSON")
    parser.add_argument("--logs", type=Path, help="folder for the operator's output; without it, it is thrown away")
    given = parser.parse_args(arguments)
    given.scenario = given.scenario or list(STANDARD)
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; its exit status."""
    return asyncio.run(interruptible(parsed(arguments)))


if __name__ == "__main__":
    sys.exit(main())
