"""``spec.provider.fake``: values that stand in the store itself, for trying things out.

The rules are those of eso-facts 5.7: key and version have to match exactly, a search is by name only and answers with
the highest version (compared as text) of every key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from pydantic import Field

from keyferry.api.common import Model, Rule
from keyferry.errors import BadSpec, KeyferryError, NotThere
from keyferry.ports import Capabilities, Context, Fetched, Layout, Query, Ref, Validation


class FakeData(Model):
    """One value of a fake store."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("self.key != ''", "key must be set"),
        Rule("self.value != ''", "value must be set"),
    )

    key: str
    """What remoteRef.key has to be."""
    value: str = Field(repr=False)
    """The value, as text."""
    version: str | None = None
    """What remoteRef.version has to be; a value without version is found by a reference without version only."""


class FakeConfig(Model):
    """A store whose values stand in its manifest."""

    data: list[FakeData]
    """The values."""
    validation_result: int | None = None
    """What the store's validation finds: 0 ready, 1 unknown, anything else an error."""


class Fake:
    """See the module."""

    name: ClassVar[str] = "fake"
    label: ClassVar[str] = "Fake"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("text", "path-only", "not-there")
    Config: ClassVar[type[Model]] = FakeConfig

    def __init__(self, config: FakeConfig) -> None:
        """Raises ``BadSpec`` for an item without key or value."""
        for position, item in enumerate(config.data):
            for field in ("key", "value"):
                if not getattr(item, field):
                    raise BadSpec(f"provider.fake.data[{position}].{field} must be set")
        self._values = {(item.key, item.version or ""): item.value.encode() for item in config.data}
        self._validation_result = config.validation_result or 0

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:  # noqa: ARG003 - a fake store needs nothing
        """See ``Provider.open``. Raises ``BadSpec`` for an item without key or value."""
        if not isinstance(config, FakeConfig):
            raise TypeError(type(config))
        return cls(config)

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """See ``Provider.read``."""
        return {ref: self._one(ref) for ref in refs}

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """See ``Finder.find``. Raises ``BadSpec`` where the query has no name."""
        if query.name is None:
            raise BadSpec("a fake store is searched by name only", remedy="set find.name.regexp")
        latest: dict[str, str] = {}
        for key, version in self._values:
            if query.matches(key):
                latest[key] = max(version, latest.get(key, ""))
        return {key: Fetched(self._values[key, version], version) for key, version in latest.items()}

    async def validate(self) -> Validation:
        """See ``Provider.validate``. Raises ``BadSpec`` where ``validationResult`` asks for it."""
        if self._validation_result == 0:
            return Validation.READY
        if self._validation_result == 1:
            return Validation.UNKNOWN
        raise BadSpec(
            f"provider.fake.validationResult is {self._validation_result}",
            remedy="set it to 0 for a store that is ready",
        )

    async def aclose(self) -> None:
        """See ``Provider.aclose``. There is nothing to release."""

    def _one(self, ref: Ref) -> Fetched | KeyferryError:
        value = self._values.get((ref.key, ref.version))
        if value is not None:
            return Fetched(value, ref.version)
        others = sorted(version for key, version in self._values if key == ref.key)
        if not others:
            return NotThere(f'the store has no key "{ref.key}"')
        asked = f'version "{ref.version}"' if ref.version else "value without version"
        known = ", ".join(f'"{version}"' if version else "none" for version in others)
        return NotThere(f'key "{ref.key}" has no {asked}', remedy=f"versions of it: {known}")
