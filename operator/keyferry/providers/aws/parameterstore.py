"""Reading and searching AWS Systems Manager Parameter Store.

Values are read by GetParameters, 10 at once, decrypted. What it calls invalid is missing, unless a version was asked
for: then GetParameter says which of the two is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from keyferry.errors import BadSpec, Denied, KeyferryError, NotThere
from keyferry.ports import Fetched, Query, Ref
from keyferry.providers.aws.answers import Purpose, odd
from keyferry.providers.aws.batches import Batches, NotAtOnceError, Outcome, Refusal
from keyferry.providers.aws.door import Door, listed
from keyferry.providers.aws.places import Prefix, as_json, tags_of

_AT_ONCE: Final = 10
"""Parameters per GetParameters and per page of GetParametersByPath."""
_PAGE: Final = 50
"""Parameters per DescribeParameters."""


class ParameterStore:
    """Parameter Store in one region."""

    def __init__(self, door: Door, *, region: str, prefix: Prefix) -> None:
        self._door = door
        self._place = f"Parameter Store in {region}"
        self._prefix = prefix
        self._batches = Batches(size=_AT_ONCE, many=self._many, one=self._alone)
        self._no_paths = Refusal()
        """Whether the identity may not use GetParametersByPath."""

    async def read(self, refs: Sequence[Ref]) -> dict[Ref, Outcome]:
        """Every ref with its document or error."""
        values = {ref: self._selected(ref) for ref in refs if not ref.metadata}
        about = [ref for ref in refs if ref.metadata]
        batched, tags = await asyncio.gather(
            self._batches.read(list(dict.fromkeys(values.values()))),
            asyncio.gather(*(self._tags(self._prefix.name_of(ref.key)) for ref in about)),
        )
        found = {ref: batched[name] for ref, name in values.items()} | dict(zip(about, tags, strict=True))
        return {ref: found[ref] for ref in refs}

    async def find(self, query: Query) -> dict[str, Ref | Fetched]:
        """Parameters below ``path`` whose whole name matches; or, where no name is asked for, that have all the tags.

        That is ESO's rule, and so is that a prefix is not looked at: names are whole. Raises a KeyferryError.
        """
        if query.name is not None:
            if self._no_paths:
                return await self._described(query, {})
            try:
                return await self._below(query)
            except Denied as refused:
                try:
                    found = await self._described(query, {})
                except Denied:
                    raise refused from None
                self._no_paths.remember()
                return found
        if query.tags:
            return await self._described(query, dict(query.tags))
        raise BadSpec("find asks for nothing", remedy="set find.name or find.tags")

    async def _below(self, query: Query) -> dict[str, Ref | Fetched]:
        """GetParametersByPath, which brings the values along."""
        path = query.path or "/"
        doing = f'list parameters below "{path}"'
        purpose = Purpose(doing, self._place, "ssm:GetParametersByPath", check="find.path: it begins with a slash")
        found: dict[str, Ref | Fetched] = {}
        asked = {"Path": path, "Recursive": True, "WithDecryption": True, "MaxResults": _AT_ONCE}
        async for answer in self._door.pages("get_parameters_by_path", purpose, **asked):
            for parameter in listed(answer, "Parameters", purpose):
                name, document = parameter.get("Name"), _fetched(parameter)
                if not isinstance(name, str) or document is None:
                    raise odd(purpose)
                if query.matches(name):
                    found[name] = document
        return found

    async def _described(self, query: Query, tags: Mapping[str, str]) -> dict[str, Ref | Fetched]:
        """DescribeParameters, which tells names only."""
        purpose = Purpose("list parameters", self._place, "ssm:DescribeParameters", check="find.path and find.tags")
        filters = [{"Key": f"tag:{key}", "Option": "Equals", "Values": [value]} for key, value in tags.items()]
        if query.path and query.path.strip("/"):
            filters.append({"Key": "Path", "Option": "Recursive", "Values": [query.path]})
        found: dict[str, Ref | Fetched] = {}
        asked = {"ParameterFilters": filters, "MaxResults": _PAGE}
        async for answer in self._door.pages("describe_parameters", purpose, **asked):
            for parameter in listed(answer, "Parameters", purpose):
                name = parameter.get("Name")
                key = self._prefix.key_of(name, parameter.get("ARN"))
                if not isinstance(name, str) or key is None:
                    raise odd(purpose)
                if query.matches(name):
                    found[name] = Ref(key)
        return found

    async def _many(self, names: Sequence[str]) -> dict[str, Outcome]:
        """GetParameters. What has to be asked for by itself is left out."""
        purpose = Purpose("read many parameters at once", self._place, "ssm:GetParameters", denied=NotAtOnceError)
        answer = await self._door.ask("get_parameters", purpose, Names=list(names), WithDecryption=True)
        found: dict[str, Outcome] = {}
        for parameter in listed(answer, "Parameters", purpose):
            document = _fetched(parameter)
            if document is None:
                raise odd(purpose)
            selector = parameter.get("Selector") or ""
            for name in {f"{parameter.get('Name')}{selector}", f"{parameter.get('ARN')}{selector}"}.intersection(names):
                found[name] = document
        for name in answer.get("InvalidParameters") or ():
            if name in names and not _parts(name)[1]:
                found[name] = NotThere(
                    f'parameter "{name}" does not exist in {self._place}', remedy="check key, prefix and region"
                )
        return found

    async def _alone(self, name: str) -> Outcome:
        """GetParameter."""
        base, version = _parts(name)
        thing = f'parameter "{base}"'
        purpose = Purpose(f"read {thing}", self._place, "ssm:GetParameter", thing, version)
        try:
            answer = await self._door.ask("get_parameter", purpose, Name=name, WithDecryption=True)
        except KeyferryError as error:
            return error.copy()
        parameter = answer.get("Parameter")
        document = _fetched(parameter) if isinstance(parameter, Mapping) else None
        return odd(purpose) if document is None else document

    async def _tags(self, name: str) -> Outcome:
        """ListTagsForResource: the tags, as a JSON object."""
        thing = f'parameter "{name}"'
        purpose = Purpose(f"read the tags of {thing}", self._place, "ssm:ListTagsForResource", thing)
        try:
            answer = await self._door.ask("list_tags_for_resource", purpose, ResourceType="Parameter", ResourceId=name)
        except KeyferryError as error:
            return error.copy()
        tags = tags_of(answer.get("TagList"))
        return odd(purpose) if tags is None else Fetched(as_json(tags))

    def _selected(self, ref: Ref) -> str:
        """What AWS is asked for: a version or a label stands behind the name."""
        name = self._prefix.name_of(ref.key)
        return f"{name}:{ref.version}" if ref.version else name


def _parts(name: str) -> tuple[str, str]:
    """A name, or an ARN, and the version or label behind it; "" where there is none."""
    start = len(":".join(name.split(":")[:5])) + 1 if name.startswith("arn:") else 0
    base, _, version = name[start:].partition(":")
    return name[:start] + base, version


def _fetched(parameter: Mapping[str, Any]) -> Fetched | None:
    value, version = parameter.get("Value"), parameter.get("Version")
    if not isinstance(value, str):
        return None
    return Fetched(value.encode(), str(version) if isinstance(version, int) else "")
