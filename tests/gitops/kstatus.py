"""The status of an object as kstatus computes it, by which Flux, kpt and others wait for objects of every kind.

Written from the README of kstatus (kubernetes-sigs/cli-utils, ``pkg/kstatus``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Word = Literal["InProgress", "Current", "Failed", "Terminating"]
_ABNORMAL: Mapping[str, Word] = {"Reconciling": "InProgress", "Stalled": "Failed"}


def kstatus(body: Mapping[str, Any]) -> Word:
    """The word for an object of a kind that kstatus has no rule of its own for.

    An object whose controller has not said anything yet counts as ``Current``: nothing tells that it ever will.
    """
    metadata, status = body["metadata"], body.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata.get("generation")) != metadata.get("generation"):
        return "InProgress"
    conditions = status.get("conditions") or []
    for each in conditions:
        if each["status"] == "True" and each["type"] in _ABNORMAL:
            return _ABNORMAL[each["type"]]
    ready = next((each["status"] for each in conditions if each["type"] == "Ready"), "True")
    return "Current" if ready == "True" else "InProgress"
