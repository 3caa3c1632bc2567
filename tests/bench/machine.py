"""What was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

from keyferry.app.process import installed_version


def machine(*packages: str) -> dict[str, Any]:
    """The machine, the Python and the versions of packages, as they stand beside every figure."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "keyferry": installed_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 -- read line by line
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
