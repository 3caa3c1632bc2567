"""Reading and searching AWS Secrets Manager.

The newest values of many secrets are read by BatchGetSecretValue, 20 at once; everything that it cannot do (a stage, a
version id) by GetSecretValue. Either way the value is the one with the stage AWSCURRENT, unless the ref asks for
another.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from keyferry.errors import BadSpec, KeyferryError, NotThere
from keyferry.ports import Fetched, Query, Ref
from keyferry.providers.aws.answers import Purpose, odd, verdict
from keyferry.providers.aws.batches import Batches, NotAtOnceError, Outcome
from keyferry.providers.aws.door import Door, listed
from keyferry.providers.aws.places import Prefix, as_json, tags_of

_CURRENT: Final = "AWSCURRENT"
_ID: Final = "uuid/"
"""Before a version id, in ``remoteRef.version``; anything else is a stage."""
_AT_ONCE: Final = 20
"""Secrets per BatchGetSecretValue."""
_PAGE: Final = 100
"""Secrets per ListSecrets."""
_FILTERS: Final = 10
"""Filters per ListSecrets."""
_FILTER: Final = re.compile(r"[\w :/+=.@-]{1,512}", re.ASCII)
"""What AWS accepts to filter by, but for a leading "!", which would negate."""


class SecretsManager:
    """Secrets Manager in one region."""

    def __init__(self, door: Door, *, region: str, prefix: Prefix) -> None:
        self._door = door
        self._place = f"Secrets Manager in {region}"
        self._prefix = prefix
        self._batches = Batches(size=_AT_ONCE, many=self._many, one=self._current)

    async def read(self, refs: Sequence[Ref]) -> dict[Ref, Outcome]:
        """Every ref with its document or error."""
        names = {ref: self._prefix.name_of(ref.key) for ref in refs}
        current = {ref: name for ref, name in names.items() if _is_current(ref)}
        others = [ref for ref in names if ref not in current]
        batched, alone = await asyncio.gather(
            self._batches.read(list(dict.fromkeys(current.values()))),
            asyncio.gather(*(self._alone(names[ref], ref) for ref in others)),
        )
        found = {ref: batched[name] for ref, name in current.items()} | dict(zip(others, alone, strict=True))
        return {ref: found[ref] for ref in refs}

    async def find(self, query: Query) -> dict[str, Ref]:
        """Names that begin with ``path`` and match, of secrets that have all the tags. Raises a KeyferryError.

        As in ESO, a prefix is not looked at: names are whole. Tags are pairs here, where ESO takes any secret that has
        the key and, at whichever key, the value.
        """
        tags, path = dict(query.tags or ()), query.path or ""
        if query.name is None and not tags:
            raise BadSpec("find asks for nothing", remedy="set find.name or find.tags")
        purpose = Purpose("list secrets", self._place, "secretsmanager:ListSecrets", check="find.path and find.tags")
        found: dict[str, Ref] = {}
        asked = {"MaxResults": _PAGE, "Filters": _filters(path, tags)}
        async for answer in self._door.pages("list_secrets", purpose, **asked):
            for secret in listed(answer, "SecretList", purpose):
                name, has = secret.get("Name"), tags_of(secret.get("Tags", []))
                key = self._prefix.key_of(name, secret.get("ARN"))
                if not isinstance(name, str) or key is None or has is None:
                    raise odd(purpose)
                if name.startswith(path) and query.matches(name) and tags.items() <= has.items():
                    found[name] = Ref(key)
        return found

    async def _alone(self, name: str, ref: Ref) -> Outcome:
        try:
            return await (self._tags(name) if ref.metadata else self._value(name, ref.version))
        except KeyferryError as error:
            return error.copy()

    async def _current(self, name: str) -> Outcome:
        return await self._alone(name, Ref(name))

    async def _value(self, name: str, version: str) -> Fetched:
        """GetSecretValue. A stage is always named: what is meant without one differs between implementations."""
        purpose = self._reading(name, version)
        if version.startswith(_ID):
            which = {"VersionId": version.removeprefix(_ID)}
        else:
            which = {"VersionStage": version or _CURRENT}
        found = _fetched(await self._door.ask("get_secret_value", purpose, SecretId=name, **which))
        if found is None:
            raise odd(purpose)
        return found

    async def _tags(self, name: str) -> Fetched:
        """DescribeSecret: the tags, as a JSON object. A secret that is scheduled for deletion is not there."""
        purpose = Purpose(
            f'read the tags of secret "{name}"', self._place, "secretsmanager:DescribeSecret", f'secret "{name}"'
        )
        answer = await self._door.ask("describe_secret", purpose, SecretId=name)
        tags = tags_of(answer.get("Tags", []))
        if tags is None or not isinstance(answer.get("ARN"), str):
            raise odd(purpose)
        if answer.get("DeletedDate") is not None:
            raise NotThere(f"{purpose.thing} is scheduled for deletion in {self._place}", remedy="restore it")
        return Fetched(as_json(tags))

    async def _many(self, names: Sequence[str]) -> dict[str, Outcome]:
        """BatchGetSecretValue. What is neither among its values nor its errors is left out."""
        purpose = Purpose(
            "read many secrets at once", self._place, "secretsmanager:BatchGetSecretValue", denied=NotAtOnceError
        )
        found: dict[str, Outcome] = {}
        asked = set(names)
        async for answer in self._door.pages("batch_get_secret_value", purpose, SecretIdList=list(names)):
            for secret in listed(answer, "SecretValues", purpose):
                document, arn = _fetched(secret), secret.get("ARN")
                if document is None or not isinstance(arn, str):
                    raise odd(purpose)
                # Asked for by name, by ARN, or by an ARN without the seven characters that AWS adds to a name.
                found |= dict.fromkeys(asked & {secret.get("Name"), arn, arn[:-7]}, document)
            for failed in listed({"Errors": [], **answer}, "Errors", purpose):
                name = str(failed.get("SecretId"))
                if name in asked:
                    code, message = str(failed.get("ErrorCode")), str(failed.get("Message"))
                    found[name] = verdict(code, message, self._reading(name)).error
        return found

    def _reading(self, name: str, version: str = "") -> Purpose:
        thing = f'secret "{name}"'
        return Purpose(f"read {thing}", self._place, "secretsmanager:GetSecretValue", thing, version)


def _is_current(ref: Ref) -> bool:
    return not ref.metadata and ref.version in {"", _CURRENT}


def _fetched(secret: Mapping[str, Any]) -> Fetched | None:
    """The value of a secret: its text or, where it has none, its bytes."""
    text, data, version = secret.get("SecretString"), secret.get("SecretBinary"), secret.get("VersionId", "")
    document = text.encode() if isinstance(text, str) else data
    if not isinstance(document, bytes) or not isinstance(version, str):
        return None
    return Fetched(document, version)


def _filters(path: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """What AWS can look for by itself, which spares pages. It compares beginnings: the rest is looked at here."""
    asked = [("name", path), *(("tag-key", key) for key in tags), *(("tag-value", value) for value in tags.values())]
    fit = [(key, value) for key, value in asked if _FILTER.fullmatch(value)]
    return [{"Key": key, "Values": [value]} for key, value in fit[:_FILTERS]]
