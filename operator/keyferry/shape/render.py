"""Templates over a Secret's values: one engine for ExternalSecret, rewrites and providers (eso-facts 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from keyferry.errors import BadSpec, BadValue
from keyferry.shape.gotmpl import Limits, Rendered, Template, World
from keyferry.shape.gotmpl.errors import LimitError, ParseError, TemplateError
from keyferry.shape.gotmpl.types import STRING_MAP, map_of
from keyferry.shape.gotmpl.values import TypedMap, from_bytes, string_map

__all__ = ["Renderer", "Rendering", "World"]

_KEPT = 2048
"""Compiled templates that are kept, by content."""
_compiled = lru_cache(maxsize=_KEPT)(Template.parse)


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders templates in one world. ``left`` and ``right`` are the delimiters of ExternalSecrets' templates."""

    world: World
    left: str = "{{"
    right: str = "}}"
    limits: Limits = field(default_factory=Limits)

    def over(self, data: Mapping[str, bytes]) -> Rendering:
        """Templates over these values, which share the bound on time."""
        dot = string_map({key: from_bytes(value) for key, value in data.items()})
        return Rendering(self, dot, self.world.monotonic() + self.limits.seconds)

    def fill(self, template: str, values: Mapping[str, Mapping[str, str]]) -> str:
        """See ``ports.Context.fill``: Go's delimiters, and a missing key is ``<no value>``."""
        maps = {name: string_map(each) for name, each in values.items()}
        dot = TypedMap(maps, map_of(STRING_MAP))
        return from_bytes(_render(template, "{{", "}}", "default", dot, self.world, self.limits).text)

    def renaming(self) -> Callable[[str, str], str]:
        """``rewrite.transform`` over all keys of an object: a template, then the key, which it knows as ``.value``.

        Go's delimiters; a missing key is ``<no value>``. Raises as ``Rendering.render``; the bound on time is shared.
        """
        until = self.world.monotonic() + self.limits.seconds

        def rename(template: str, key: str) -> str:
            dot = string_map({"value": key})
            return from_bytes(_render(template, "{{", "}}", "default", dot, self.world, self.within(until)).text)

        return rename

    def within(self, until: float) -> Limits:
        """The limits with the time that is left."""
        return replace(self.limits, seconds=max(until - self.world.monotonic(), 0.0))


@dataclass(frozen=True, slots=True, repr=False)
class Rendering:
    """The templates of one object over its values."""

    renderer: Renderer
    dot: TypedMap
    until: float

    def render(self, text: str) -> Rendered:
        """A template of an ExternalSecret: its dot is ``map[string]string``, and a missing key is an error.

        Raises ``BadSpec`` where the template is wrong or takes more than it may, and ``BadValue`` where it fails over
        these values. Neither text shows a value.
        """
        maker = self.renderer
        return _render(text, maker.left, maker.right, "error", self.dot, maker.world, maker.within(self.until))


def _render(
    text: str, left: str, right: str, missing: Literal["error", "default"], dot: TypedMap, world: World, limits: Limits
) -> Rendered:
    try:
        return _compiled(text, left=left, right=right, missing=missing).render(dot, world, limits)
    except (ParseError, LimitError) as error:
        raise BadSpec(str(error)) from None
    except TemplateError as error:
        raise BadValue(str(error)) from None
