"""What Flux makes of an object by the ``healthCheckExprs`` of a Kustomization (RFC 0009 of Flux)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tests.sandbox.kubeapi.cel_eval import program
from tests.sandbox.kubeapi.cel_functions import CelError

Word = Literal["InProgress", "Failed", "Current", "Unknown"]
_ORDER: tuple[tuple[str, Word], ...] = (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current"))


def health(body: Mapping[str, Any], expressions: Mapping[str, str]) -> Word:
    """The first expression that is true has the word, once the object's controller has seen its generation.

    ``Unknown`` where an expression names something that is not there; Flux waits then, as for ``InProgress``.
    """
    metadata, status = body["metadata"], body.get("status") or {}
    if status.get("observedGeneration", metadata.get("generation")) != metadata.get("generation"):
        return "InProgress"
    try:
        for name, word in _ORDER:
            if name in expressions and program(expressions[name])(dict(body)) is True:
                return word
    except CelError:
        return "Unknown"
    return "InProgress"
