"""Many by one call, and what to do where that is not allowed.

An identity may be allowed to read each of some things and not to read many at once; or one of many things may not be
read, and fails the rest. That is found out by trying, once: what failed is not tried again for an hour, after which
rights may have been given.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.ports import Fetched

Outcome = Fetched | KeyferryError

_REMEMBERED_SECONDS: Final = 3600.0


class NotAtOnceError(Denied):
    """Of many that a call asks for, one may not be read, or none of them by such a call. Does not leave ``Batches``."""


class Refusal:
    """A call that an identity may not use, remembered for an hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends = -math.inf

    def __bool__(self) -> bool:
        return self._clock() < self._ends

    def remember(self) -> None:
        """It was refused just now."""
        self._ends = self._clock() + _REMEMBERED_SECONDS


class Batches:
    """Reads by name: ``size`` at once where that is possible, one by one where it is not."""

    def __init__(
        self,
        *,
        size: int,
        many: Callable[[Sequence[str]], Awaitable[Mapping[str, Outcome]]],
        one: Callable[[str], Awaitable[Outcome]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``many`` may leave names out, which are then read by ``one``.

        It raises where the call as a whole fails: ``NotAtOnceError`` where the identity is known and may not.
        """
        self._size = size
        self._many = many
        self._one = one
        self._refused = Refusal(clock)
        self._known = False
        """Whether a call for many has ever been answered."""
        self._apart: dict[str, Refusal] = {}
        """Names that fail a call for many that holds them."""
        self._clock = clock

    async def read(self, names: Sequence[str]) -> dict[str, Outcome]:
        """Every name with its document or error; each name once."""
        self._apart = {name: refused for name, refused in self._apart.items() if refused}
        together = [name for name in names if name not in self._apart]
        answers = await self._singly([name for name in names if name in self._apart])
        if not self._known and not self._refused and len(together) > self._size:
            # What one call finds out need not be found out by all of them.
            answers |= await self._at_once(together[: self._size])
            together = together[self._size :]
        if self._refused or len(together) < 2:
            return answers | await self._singly(together)
        chunks = [together[start : start + self._size] for start in range(0, len(together), self._size)]
        for found in await asyncio.gather(*(self._at_once(chunk) for chunk in chunks)):
            answers |= found
        return answers

    async def _singly(self, names: Sequence[str]) -> dict[str, Outcome]:
        return dict(zip(names, await asyncio.gather(*(self._one(name) for name in names)), strict=True))

    async def _at_once(self, names: Sequence[str]) -> dict[str, Outcome]:
        try:
            found = await self._many(names)
        except NotAtOnceError:
            return await self._instead(names, denied=True)
        except (Denied, Busy, Unreachable) as error:
            return {name: error.copy() for name in names}
        except KeyferryError:
            # One name that AWS does not take for one fails the call; by itself, it fails for itself.
            return await self._instead(names, denied=False)
        self._known = True
        left = await self._singly([name for name in names if name not in found])
        return {**found, **left}

    async def _instead(self, names: Sequence[str], *, denied: bool) -> dict[str, Outcome]:
        """Read one by one, and learn from it what the call for many failed for."""
        answers = await self._singly(names)
        spoiling = [name for name, answer in answers.items() if isinstance(answer, Denied | BadSpec)]
        if denied and not spoiling:
            self._refused.remember()
        elif len(spoiling) < len(names):
            for name in spoiling:
                self._apart[name] = Refusal(self._clock)
                self._apart[name].remember()
        return answers
