"""The command line: ``keyferry [run] [flags]``, ``keyferry crds``, ``keyferry render``,
``keyferry version``.

Exit status: 0 asked to stop, 1 could not go on, 2 a flag or variable cannot be used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from keyferry.app import flags, process
from keyferry.app.carried import GONE_COMMANDS
from keyferry.telemetry import configure_logging, get_logger

_HELP = """\
Keyferry keeps Kubernetes Secrets in step with external secret stores.

usage: keyferry [run] [flags]    serve the cluster; what happens without a command, too
       keyferry crds [--help]    write the CustomResourceDefinitions
       keyferry render [--help]  print the Secret that an ExternalSecret makes, without a cluster
       keyferry version          the version

flags of run:
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words.pop(0) if words and not words[0].startswith("-") else "run"
    if command in GONE_COMMANDS:
        return _refuse(f"{command}: {GONE_COMMANDS[command]}")
    if command == "crds":
        # Imported on use: the models of all kinds are of no use to the other commands' start.
        from keyferry.app import crds  # noqa: PLC0415

        return crds.main(words)
    if command == "render":
        from keyferry.app import render  # noqa: PLC0415 -- as above

        return render.main(words)
    if command == "version" or words == ["--version"]:
        sys.stdout.write(f"keyferry {process.installed_version()}\n")
        return 0
    if command == "help" or "--help" in words or "-h" in words:
        sys.stdout.write(f"{_HELP}{flags.usage()}\n")
        return 0
    if command != "run":
        return _refuse(f"{command}: no such command; there are run, crds, render and version")
    return _run(words)


def _run(words: Sequence[str]) -> int:
    try:
        parsed = flags.parse(words, os.environ)
    except flags.FlagError as error:
        return _refuse(str(error))
    configure_logging(level=parsed.settings.log.level, time_encoding=parsed.settings.log.time_encoding)
    log = get_logger(__name__)
    for notice in parsed.notices:
        log.warning(notice)
    return process.main(parsed.settings)


def _refuse(message: str) -> int:
    sys.stderr.write(f"keyferry: {message}\n")
    return 2
