"""Azure on loopback as a process, until SIGTERM.

``python -m tests.sandbox.azure [--vault NAME] [--secret NAME=VALUE]``

One JSON line tells when it is ready: ``{"vault", "tenant", "client_id", "client_secret", "environment"}``. A process
that is given ``environment`` finds the vault under its real name, and may do everything in it as that client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import secrets
import signal

from tests.sandbox.azure import ALL, TENANT, AzureCloud


async def _run(name: str, values: dict[str, str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AzureCloud() as cloud:
        vault = cloud.vault(name)
        for key, value in values.items():
            vault.put(key, value)
        secret = secrets.token_urlsafe(24)
        cloud.entra.register("operator").secrets[secret] = math.inf
        vault.rights["operator"] = ALL
        told = {"vault": vault.url, "tenant": TENANT, "client_id": "operator", "client_secret": secret}
        print(json.dumps(told | {"environment": cloud.environment}), flush=True)
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox.azure", description="a throw-away Azure Key Vault")
    parser.add_argument("--vault", default="demo", help="name of the vault")
    parser.add_argument("--secret", action="append", default=[], metavar="NAME=VALUE", help="a secret in it")
    arguments = parser.parse_args()
    asyncio.run(_run(arguments.vault, dict(pair.split("=", 1) for pair in arguments.secret)))


if __name__ == "__main__":
    main()
