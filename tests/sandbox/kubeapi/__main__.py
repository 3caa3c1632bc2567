"""`python -m tests.sandbox.kubeapi --kubeconfig PATH`: the server as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

from .server import KubeApi


async def run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with KubeApi(
        controllers=not options.no_controllers,
        port=options.port,
        bookmark_interval=options.bookmark_interval,
    ) as api:
        path = Path(options.kubeconfig)
        path.parent.mkdir(parents=True, exist_ok=True)
        api.kubeconfig_path(path.parent).rename(path)
        print(json.dumps({"url": api.url, "kubeconfig": str(path), "pid": os.getpid()}), flush=True)
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox.kubeapi", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, help="where to write the admin's kubeconfig")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--no-controllers", action="store_true", help="no garbage collector and no namespace controller, as in envtest"
    )
    parser.add_argument("--bookmark-interval", type=float, default=60.0)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
