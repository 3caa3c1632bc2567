"""One execution of a template: its bounds, and the only doors to time and chance."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from keyferry.shape.gotmpl.errors import LimitError

_CLOCK_EVERY = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may use.

    ``steps``: actions, iterations, function calls and what functions spend beyond; ``depth``: nested templates and
    values; ``output``: bytes of the result; ``memory``: bytes of all values made on the way; ``seconds``: wall time.
    """

    steps: int = 1_000_000
    depth: int = 100
    output: int = 4 << 20
    memory: int = 32 << 20
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class World:
    """What a template cannot compute from its data, passed in by whoever renders.

    ``now``: the wall clock, timezone-aware; ``monotonic``: seconds, for the time bound; ``entropy``: n random bytes.
    """

    now: Callable[[], dt.datetime]
    monotonic: Callable[[], float]
    entropy: Callable[[int], bytes]


class Run:
    """Handed to every function that asks for it. All methods raise ``LimitError``."""

    def __init__(self, world: World, limits: Limits) -> None:
        self.limits = limits
        self._world = world
        self._steps = 0
        self._memory = 0
        self._until = world.monotonic() + limits.seconds
        self._next_look = _CLOCK_EVERY
        self.unrepeatable: set[str] = set()
        """Names of the functions that asked for time or chance: another run over the same data differs."""

    def spend(self, steps: int = 1) -> None:
        """Count steps. One step is about a microsecond of work."""
        self._steps += steps
        if self._steps >= self._next_look:
            self._look()

    @contextmanager
    def priced(self, steps: int) -> Iterator[None]:
        """Spend steps on work whose length is a matter of luck and of the machine, such as making an RSA key.

        The price bounds how often it is done, so the time that it takes is left out of the bound of seconds.
        """
        self.spend(steps)
        started = self._world.monotonic()
        try:
            yield
        finally:
            self._until += self._world.monotonic() - started

    def make(self, size: int) -> None:
        """Count bytes of a value. Call it before the value is made, where it can be much larger than its inputs."""
        self._memory += size
        if self._memory > self.limits.memory:
            raise LimitError(f"the template makes more than {self.limits.memory >> 20} MiB of values")

    def now(self, function: str) -> dt.datetime:
        """The time, for ``function``."""
        self.unrepeatable.add(function)
        return self._world.now()

    def entropy(self, size: int, function: str) -> bytes:
        """Random bytes, for ``function``."""
        self.make(size)
        self.unrepeatable.add(function)
        return self._world.entropy(size)

    def chance(self, function: str) -> None:
        """Say that ``function`` uses randomness of its own (a library's)."""
        self.unrepeatable.add(function)

    def _look(self) -> None:
        if self._steps > self.limits.steps:
            raise LimitError(f"the template takes more than {self.limits.steps} steps")
        if self._world.monotonic() > self._until:
            raise LimitError(f"the template takes longer than {self.limits.seconds:g} s")
        self._next_look = self._steps + _CLOCK_EVERY
