"""How often to ask somebody who may say "too often": freely, until that is said; then as often as goes well."""

from __future__ import annotations

from collections.abc import Callable

_CUT = 0.7
"""Part of what went well lately that is asked for after a refusal, as in TCP's CUBIC and AWS's adaptive retries."""
_NEAR = 0.85
"""Part of the rate at a refusal that is taken for what goes well, where less went well in the last second."""
_RETURN = 20.0
"""Seconds until the rate is again what went well before the refusal; then it is tried whether more does."""
_FORGOTTEN = 10 * _RETURN
"""Seconds without a refusal after which there is no bound any more: by then it would be a hundred times the rate."""
_LEAST = 0.5
"""Per second: what is asked for at least, however little went well before."""
_BURST = 0.25
"""Seconds' worth that may go at once after a pause, while the rate is being looked for."""
_WINDOW = 1.0
"""Seconds over which is measured what goes well, and between two cuts of the rate: many limits are by the second."""
_BREATH = 0.5
"""Seconds without anything after a cut."""


class Pace:
    """A token bucket whose rate is found by asking.

    After a refusal the rate falls to a part of what went well just before, returns along a cubic curve (soon near to
    what went well, long around it, then ever faster) and is forgotten after a while without another. ``most`` bounds
    it at all times. Nothing waits in here: ``room`` says how many may go now, ``wait`` when the next one may.
    """

    def __init__(self, *, most: float, clock: Callable[[], float]) -> None:
        """``most``: per second, with a second's worth at once; 0 is no bound. ``clock`` is in seconds."""
        if most < 0:
            raise ValueError("a pace needs most >= 0")
        self._most = most
        self._clock = clock
        self._refused_at: float | None = None
        self._top, self._before_cut = 0.0, 0.0
        self._tokens = max(1.0, most)
        self._filled_at = clock()
        self._held_until = float("-inf")
        self._window = clock()
        self._before, self._lately = 0, 0

    @property
    def rate(self) -> float:
        """Per second; infinite while there is no bound."""
        bound = self._most or float("inf")
        if self._refused_at is None:
            return bound
        gone = self._clock() - self._refused_at
        if gone >= _FORGOTTEN:
            self._refused_at = None
            return bound
        return min(bound, self._top * (1 + (1 - _CUT) * ((gone - _RETURN) / _RETURN) ** 3))

    @property
    def is_bound(self) -> bool:
        """Whether it is counted at all how many go."""
        return self.rate != float("inf")

    def room(self) -> float:
        """How many may go now: a whole number, or infinity."""
        if self._clock() < self._held_until:
            return 0.0
        if not self.is_bound:
            return float("inf")
        self._fill()
        return float(max(0, int(self._tokens + 1e-9)))

    def wait(self, count: int = 1) -> float:
        """Seconds until so many may go, at the rate of now; 0 where they may at once."""
        held = max(0.0, self._held_until - self._clock())
        if not self.is_bound:
            return held
        self._fill()
        return max(held, (count - self._tokens) / self.rate)

    def spend(self, count: int) -> None:
        """So many go. More than there is room for are made up for by those that follow."""
        if self.is_bound:
            self._fill()
            self._tokens -= count

    def went_well(self, count: int) -> None:
        """So many were answered."""
        self._turn()
        self._lately += count
        if self._refused_at is not None and self._clock() < self._refused_at + _WINDOW:
            # Others that went at the same time were taken.
            self._top = max(self._top, min(self._before_cut, self._measured()))

    def refused(self, began: float, *, hold: float = 0.0) -> None:
        """One that went at this moment was told that it is too often, and that none shall go for ``hold`` seconds."""
        now = self._clock()
        self._held_until = max(self._held_until, now + hold)
        well = self._measured()
        if not well:
            # It is no question of the rate.
            return
        if self._refused_at is not None and (began <= self._refused_at or now < self._refused_at + _WINDOW):
            # It went before the rate was cut, or what was allowed is used up: that tells nothing of the new rate.
            return
        self._held_until = max(self._held_until, now + _BREATH)
        self._fill()
        self._before_cut = before = self.rate
        # A rate that has been found is a better guess than what a second tells.
        known = before * _NEAR if self._refused_at is not None else 0.0
        self._top = max(_LEAST / _CUT, min(before, max(well, known)))
        self._refused_at = now
        self._tokens = min(self._tokens, 0.0)

    def _measured(self) -> float:
        """Answers per second over the last window."""
        self._turn()
        part = (self._clock() - self._window) / _WINDOW
        return max(self._lately, self._before * (1 - part) + self._lately) / _WINDOW

    def _turn(self) -> None:
        gone = self._clock() - self._window
        if gone >= _WINDOW:
            self._before, self._lately = (self._lately if gone < 2 * _WINDOW else 0), 0
            self._window += gone // _WINDOW * _WINDOW

    def _fill(self) -> None:
        now, rate = self._clock(), self.rate
        if rate == float("inf"):
            self._tokens = 1.0
        else:
            full = max(1.0, rate * (_BURST if self._refused_at is not None else 1.0))
            self._tokens = min(full, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
