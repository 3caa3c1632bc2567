"""What changes while a template is executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from keyferry.shape.gotmpl.errors import LimitError
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import Value


class Mark(Enum):
    """What may stand where a value is held, and is none."""

    NIL = "an interface that holds nothing"
    """Go tells an element that is nil from the absence of a value: a field of the former is always an error."""
    UNSET = "a variable whose declaration was passed over"


class Leaving(Enum):
    """What a statement answers that ends an iteration."""

    BREAK = "break"
    CONTINUE = "continue"


NIL: Final = Mark.NIL
UNSET: Final = Mark.UNSET
Held: TypeAlias = "Value | Mark"
Variables: TypeAlias = "list[Held]"


class State:
    """One execution: its bounds and its output."""

    __slots__ = ("at", "bodies", "depth", "documents", "out", "root", "run", "size")

    def __init__(self, run: Run, root: Value, bodies: Mapping[str, Body]) -> None:
        self.run = run
        self.root = root
        self.bodies = bodies
        self.documents: list[Value] = [root]
        """Whose keys are names and no values, so that errors may show them: the data, and what was read as JSON."""
        self.out: list[bytes] = []
        self.size = 0
        self.at = 0
        """Where the latest statement stands: the place of limits that are hit."""
        self.depth = 0

    def write(self, text: bytes) -> None:
        """Add to the output. Raises ``LimitError``."""
        self.size += len(text)
        if self.size > self.run.limits.output:
            raise LimitError(f"the template writes more than {self.run.limits.output >> 10} KiB")
        self.out.append(text)


Execute: TypeAlias = "Callable[[State, Variables, Held], Leaving | None]"
"""A statement: state, variables and dot in; it writes to the state."""
Evaluate: TypeAlias = "Callable[[State, Variables, Held], Held]"
"""An expression."""
Call: TypeAlias = "Callable[[State, Variables, Held, Value], Held]"
"""A command: the last parameter is the result of the command before it, if there is one."""


class Body(NamedTuple):
    """A compiled template, and how many variables it needs."""

    execute: Execute
    variables: int
