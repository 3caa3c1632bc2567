"""The provider: where a variable is looked for, and how many requests that takes."""

from __future__ import annotations

import asyncio
import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Final, Self

from keyferry import transport
from keyferry.api.common import Model
from keyferry.errors import BadSpec, BadValue, KeyferryError, NotThere
from keyferry.jsonhttp import JsonHttp
from keyferry.ports import Capabilities, Context, Fetched, Layout, Query, Ref, Validation
from keyferry.providers.gitlab.api import Api, Place
from keyferry.providers.gitlab.config import DEFAULT_URL, GitlabConfig
from keyferry.providers.gitlab.variables import ALL, KEY, Scope, Variable, merged

_PARALLEL: Final = 8
"""Requests to one instance at a time."""
_NEAREST: Final = 3
"""Keys that an error suggests at most."""
_TAG: Final = "environment_scope"
"""The one tag that a search knows, as in ESO."""


class GitLab:
    """See the package."""

    name: ClassVar[str] = "gitlab"
    label: ClassVar[str] = "GitLab"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("text", "path-only", "error")
    Config: ClassVar[type[Model]] = GitlabConfig

    def __init__(self, api: Api, config: GitlabConfig) -> None:
        self._api = api
        self._project = Place("project", config.project_id) if config.project_id else None
        self._groups = [Place("group", group) for group in config.group_ids or ()]
        self._inherit = bool(config.inherit_from_groups)
        self._environment = config.environment or ""
        self._scope = Scope(self._environment)

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Build the adapter. Resolves the token and the authorities, sends nothing to GitLab.

        Raises ``BadSpec`` and ``CallerNeeded``.
        """
        if not isinstance(config, GitlabConfig):
            raise TypeError(type(config))
        _check(config)
        url = config.url or DEFAULT_URL
        parts = transport.server_url(url, where="url")
        tls = None
        if parts.scheme == "https":
            where = "caBundle"
            tls = transport.ssl_context(
                await context.credentials.ca_bundle(config.ca_bundle, config.ca_provider, where=where)
            )
        base = url.strip().rstrip("/")
        http = JsonHttp(
            base if base.endswith("/api/v4") else f"{base}/api/v4",
            where="url",
            ssl=tls,
            timeout=context.timeout,
            headers={"PRIVATE-TOKEN": await _token(config, context)},
            limit=_PARALLEL,
        )
        return cls(Api(http, context), config)

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """See ``Provider.read``. One listing of each place serves all refs, where that is no more requests.

        ``version`` and ``metadata`` of a ref are not looked at, as in ESO: GitLab keeps one version.
        """
        keys = {ref.key: ref.key.replace("-", "_") for ref in refs}
        names = {name for name in keys.values() if KEY.fullmatch(name)}
        answers = await self._look_up(names)
        found: dict[Ref, Fetched | KeyferryError] = {}
        for ref in refs:
            answer = answers.get(keys[ref.key])
            if answer is None:
                answer = BadSpec(
                    f'"{keys[ref.key]}" cannot be the key of a variable',
                    remedy="GitLab takes up to 255 letters, digits and underscores",
                )
            if isinstance(answer, KeyferryError):
                # Told in the words of the manifest.
                answer = answer.copy() if keys[ref.key] == ref.key else answer.within(f'"{ref.key}"')
            found[ref] = answer
        return found

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """See ``Finder.find``. Raises ``BadSpec`` for anything but a name and the tag ``environment_scope``."""
        if query.path is not None:
            raise BadSpec("find.path: GitLab keeps variables in no folders", remedy="leave it out")
        if query.name is None:
            raise BadSpec("find.name is missing", remedy="set find.name.regexp; .* finds every variable")
        environment = self._searched(dict(query.tags)) if query.tags is not None else self._environment
        groups = [await self._api.listing(place) for place in await self._groups_in_order()]
        project = await self._api.listing(self._project) if self._project else ()
        found = merged(environment, groups, project, query.matches)
        # A hidden variable comes as an empty value, as in ESO.
        return {key: Fetched((variable.value or "").encode()) for key, variable in found.items()}

    async def validate(self) -> Validation:
        """See ``Provider.validate``. Lists the variables of every place, one entry each."""
        places = [self._project] if self._project else []
        for place in (*places, *await self._groups_in_order()):
            await self._api.page(place, 1, per_page=1)
        return Validation.READY

    async def aclose(self) -> None:
        """See ``Provider.aclose``."""
        await self._api.aclose()

    async def _look_up(self, names: set[str]) -> Mapping[str, Fetched | KeyferryError]:
        """An answer for every name: of the project, or else of the nearest group that has it."""
        answers: dict[str, Fetched | KeyferryError] = {}
        seen: list[Variable] = []

        async def ask(place: Place) -> None:
            wanted = names - answers.keys()
            if wanted:
                variables = await self._variables(place, wanted)
                seen.extend(variables)
                answers.update(self._chosen(variables, wanted))

        try:
            if self._project:
                await ask(self._project)
            if names - answers.keys():
                for group in reversed(await self._groups_in_order()):
                    await ask(group)
        except KeyferryError as error:
            return dict.fromkeys(names, error) | answers
        return {name: self._absent(name, seen) for name in names} | answers

    def _chosen(self, variables: Iterable[Variable], names: set[str]) -> Mapping[str, Fetched | KeyferryError]:
        """Answers for the names that this place has a variable for."""
        by_key = defaultdict(list)
        for variable in variables:
            by_key[variable.key].append(variable)
        answers: dict[str, Fetched | KeyferryError] = {}
        for name in names & by_key.keys():
            try:
                chosen = self._scope.choose(by_key[name])
            except KeyferryError as error:
                answers[name] = error
                continue
            if chosen is not None:
                answers[name] = _document(chosen)
        return answers

    async def _variables(self, place: Place, names: set[str]) -> Sequence[Variable]:
        """The variables of a place, or those of these names at least, with the fewest requests."""
        first = await self._api.page(place, 1)
        singly = len(names) * (1 if self._scope.any else 2)
        if not first.following or (first.pages is not None and first.pages - 1 <= singly):
            return await self._api.listing(place, first)
        found = await asyncio.gather(*(self._single(place, name) for name in sorted(names)))
        return [variable for variable in found if variable is not None]

    async def _single(self, place: Place, name: str) -> Variable | None:
        for scope in (None,) if self._scope.any else self._scope.wanted:
            variable = await self._api.single(place, name, scope)
            if variable is not None:
                return variable
        return None

    async def _groups_in_order(self) -> Sequence[Place]:
        if self._inherit and self._project:
            return await self._api.groups_of(self._project)
        return self._groups

    def _searched(self, tags: Mapping[str, str]) -> str:
        """The environment that a search is for."""
        if tags.keys() - {_TAG}:
            raise BadSpec(f"find.tags: GitLab knows {_TAG} only", remedy="leave the others out")
        wanted = tags.get(_TAG, "")
        if self._environment not in {"", ALL} and wanted not in {"", ALL}:
            raise BadSpec(
                f'find.tags: the store reads environment "{self._environment}" already',
                remedy=f"leave {_TAG} out, or use a store without environment",
            )
        return wanted

    def _absent(self, name: str, seen: Sequence[Variable]) -> NotThere:
        places = "the project and its groups" if self._project else "the groups"
        scopes = sorted({variable.scope for variable in seen if variable.key == name})
        if scopes:
            told = ", ".join(f'"{scope}"' for scope in scopes)
            return NotThere(
                f'variable "{name}" does not exist for environment "{self._environment}"', remedy=f"it does for {told}"
            )
        near = difflib.get_close_matches(name, sorted({variable.key for variable in seen}), _NEAREST)
        hint = ", ".join(f'"{key}"' for key in near)
        return NotThere(f'variable "{name}" does not exist in {places}', remedy=f"did you mean {hint}?" if hint else "")


def _document(variable: Variable) -> Fetched | BadValue:
    if variable.value is None:
        return BadValue(
            f'variable "{variable.key}" is hidden: GitLab keeps its value to itself',
            remedy="make it anew as visible or masked",
        )
    return Fetched(variable.value.encode())


def _check(config: GitlabConfig) -> None:
    """Raises ``BadSpec`` where ESO's webhook refuses the store."""
    if not config.project_id and not config.group_ids:
        raise BadSpec("projectID and groupIDs are both empty", remedy="set one of them")
    if config.inherit_from_groups and config.group_ids:
        raise BadSpec("groupIDs and inheritFromGroups exclude each other", remedy="leave one of them out")


async def _token(config: GitlabConfig, context: Context) -> str:
    where = "auth.SecretRef.accessToken"
    selector = config.auth.secret_ref.access_token
    if selector is None:
        raise BadSpec(f"{where} is not set", remedy="name the Secret that holds the access token")
    raw = await context.credentials.secret(selector, where=where)
    try:
        token = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable():
        raise BadSpec(f"{where}: the key does not hold a token", remedy="put one token into it")
    return token
