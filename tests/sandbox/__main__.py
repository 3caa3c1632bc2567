"""A Kubernetes API server on loopback, of the kind that the environment asks for, until SIGTERM.

``python -m tests.sandbox --kubeconfig PATH`` starts ours; with ``KUBEBUILDER_ASSETS`` (a folder with ``etcd`` and
``kube-apiserver``, the envtest convention) a real control plane, with a controller manager where the folder has one.
One JSON line tells when it is ready: ``{"url", "kubeconfig", "real", "controllers", "audit"}``. ``audit`` is the path
of a real one's audit log, and "" for ours, which answers ``/sandbox/requests``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

from tests.sandbox.controlplane import ControlPlane
from tests.sandbox.kubeapi import KubeApi


async def _run(kubeconfig: Path, bookmarks: float, assets: str, controllers: bool, admission: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server: ControlPlane | KubeApi
    if assets:
        server = ControlPlane(assets, controllers=controllers, admission=admission)
    else:
        server = KubeApi(controllers=True, bookmark_interval=bookmarks)
    async with server:
        shutil.move(server.kubeconfig_path(kubeconfig.parent), kubeconfig)
        told = {"url": server.url, "kubeconfig": str(kubeconfig), "real": bool(assets), "controllers": controllers}
        audit = str(server.audit) if isinstance(server, ControlPlane) else ""
        print(json.dumps({**told, "audit": audit}), flush=True)
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    parser.add_argument("--kubeconfig", required=True, type=Path, help="where to write the administrator's kubeconfig")
    parser.add_argument("--bookmark-interval", type=float, default=60.0, help="seconds between bookmarks of our server")
    parser.add_argument("--admission", default="", help="more admission plugins of a real one, separated by commas")
    arguments = parser.parse_args()
    arguments.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    controllers = not assets or Path(assets, "kube-controller-manager").exists()
    asyncio.run(_run(arguments.kubeconfig, arguments.bookmark_interval, assets, controllers, arguments.admission))


if __name__ == "__main__":
    main()
