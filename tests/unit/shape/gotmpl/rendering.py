"""Rendering in tests: one line for a template, and a world whose time and chance a test decides."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Iterable

import pytest

from keyferry.shape.gotmpl import Limits, Rendered, Template, TemplateError, World
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import from_bytes, string_map

WORLD = World(now=lambda: dt.datetime.now(dt.UTC), monotonic=time.monotonic, entropy=os.urandom)
LIMITS = Limits()


def rendered(template: str, *, world: World = WORLD, limits: Limits = LIMITS, **data: str | bytes) -> Rendered:
    """Of a template over a map of strings, as an ExternalSecret has it."""
    held = {key: from_bytes(value) if isinstance(value, bytes) else value for key, value in data.items()}
    return Template.parse(template).render(string_map(held), world, limits)


def render(template: str, *, world: World = WORLD, limits: Limits = LIMITS, **data: str | bytes) -> str:
    return rendered(template, world=world, limits=limits, **data).text.decode()


def refused(template: str, **data: str | bytes) -> str:
    """What the error says."""
    with pytest.raises(TemplateError) as caught:
        rendered(template, **data)  # type: ignore[arg-type]  # only data is given on
    assert caught.value.__cause__ is None
    return str(caught.value)


def world_of(*chance: bytes, now: dt.datetime = dt.datetime(2030, 1, 2, 3, 4, 5, 678_000, tzinfo=dt.UTC)) -> World:
    """A world that stands still, and whose random bytes are these, one after the other."""
    return World(now=lambda: now, monotonic=lambda: 0.0, entropy=drawn(chance))


def drawn(chance: Iterable[bytes]) -> Callable[[int], bytes]:
    """Random bytes out of a row of pieces, whose sizes have to be those that are asked for."""
    pieces = iter(chance)

    def draw(size: int) -> bytes:
        piece = next(pieces)
        assert len(piece) == size
        return piece

    return draw


def new_run(limits: Limits = LIMITS) -> Run:
    return Run(WORLD, limits)
