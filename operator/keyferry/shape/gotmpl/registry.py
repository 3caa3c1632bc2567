"""Functions that templates call, by name, with Go's signature."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from keyferry.shape.gotmpl.types import BY_NAME, GoType

_SIGNATURE = re.compile(r"func\((?P<params>.*?)\) (?:\((?P<result>.+), error\)|(?P<only>.+))")
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Function:
    """A function and what Go knows of it.

    ``params`` are the types of the fixed parameters, ``rest`` that of the variadic one, if any. The engine checks and
    converts arguments to these types before the call (text/template's rules for arguments), calls ``call(*args)``, or
    ``call(run, *args)`` where ``wants_run``, and takes what it returns for a value of type ``result``. The call raises
    ``FunctionError`` where Go returns an error or panics.
    """

    name: str
    params: tuple[GoType, ...]
    rest: GoType | None
    result: GoType
    call: Callable[..., Any]
    wants_run: bool = False
    signature: str = ""
    """As Go's ``%T`` prints it."""


def declare(name: str, signature: str, call: Callable[..., Any], *, run: bool = False) -> Function:
    """A function from its signature as Go's ``%T`` prints it, such as ``func(string, ...interface {}) string``."""
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        raise ValueError(f"no signature of a function: {signature}")
    names = match["params"].split(", ") if match["params"] else []
    rest = BY_NAME[names.pop().removeprefix("...")] if names and names[-1].startswith("...") else None
    result = BY_NAME[match["result"] or match["only"]]
    return Function(name, tuple(BY_NAME[each] for each in names), rest, result, call, run, signature)


class Registry:
    """Functions by name. One per file of functions; the engine merges them."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}

    def add(self, names: str, signature: str, *, run: bool = False) -> Callable[[_F], _F]:
        """Decorator: serve a function under each of the names, which blanks separate."""

        def register(call: _F) -> _F:
            for name in names.split():
                self.functions[name] = declare(name, signature, call, run=run)
            return call

        return register
