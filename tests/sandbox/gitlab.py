"""A stand-in for GitLab on loopback: the part of its REST API that reads CI/CD variables.

    async with GitLab() as gitlab:
        project = gitlab.project("shop/web", groups=["shop"])
        token = gitlab.token({project: "Maintainer"})
        gitlab.put(project, "DB_PASSWORD", "x", scope="production")
        adapter_of(gitlab.url, token)

Statuses, bodies and headers are those of GitLab's documentation and of its API's source: 401 for a bad token, 403 for a
lesser role or scope, 404 for what the token may not see, 409 for a key with several scopes and no filter, pages of 100
at most with X-Total, X-Total-Pages and X-Next-Page, values of hidden variables withheld.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

MOST_PER_PAGE = 100
LONGEST_VALUE = 10_000
_KEY = re.compile(r"[A-Za-z0-9_]{1,255}")
_ROLES = {"project": {"Maintainer", "Owner"}, "group": {"Owner"}}
"""Roles that may read variables."""


@dataclass
class Place:
    """A project or a group."""

    kind: str
    id: int
    path: str
    groups: tuple[str, ...] = ()
    variables: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Token:
    """An access token. ``state`` is ``active``, ``revoked`` or ``expired``."""

    roles: dict[int, str]
    scopes: set[str]
    state: str = "active"


class GitLab:
    """See the module. ``requests`` lists path and query of everything that arrived."""

    url: str

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.tokens: dict[str, Token] = {}
        self.without_totals = False
        """Send no X-Total and X-Total-Pages, as for very many entries."""
        self.before_page: Any = None
        """Called with the number of a page before it is answered."""
        self._places: dict[int, Place] = {}
        self._numbers = itertools.count(101)

    def project(self, path: str, *, groups: Iterable[str] = ()) -> int:
        """A new project; the result is its number. ``groups`` are the paths of those above it."""
        return self._add("project", path, tuple(groups))

    def group(self, path: str) -> int:
        """A new group; the result is its number."""
        return self._add("group", path, ())

    def token(self, roles: Mapping[int, str], *, scopes: Iterable[str] = ("read_api",)) -> str:
        """A new access token with these roles, by number of project or group."""
        text = f"glpat-{secrets.token_hex(10)}"
        self.tokens[text] = Token(dict(roles), set(scopes))
        return text

    def put(self, place: int, key: str, value: str, *, scope: str = "*", **attributes: Any) -> None:
        """Create a variable, or replace the one with this key and scope. Raises where GitLab would refuse it."""
        assert _KEY.fullmatch(key), key
        assert len(value) <= LONGEST_VALUE, key
        self.delete(place, key, scope=scope)
        self._places[place].variables.append(
            {
                "variable_type": "env_var",
                "key": key,
                "value": value,
                "hidden": False,
                "protected": False,
                "masked": False,
                "raw": False,
                "environment_scope": scope,
                "description": None,
            }
            | attributes
        )

    def delete(self, place: int, key: str, *, scope: str = "*") -> None:
        """Remove a variable, if it is there."""
        kept = self._places[place].variables
        kept[:] = [each for each in kept if (each["key"], each["environment_scope"]) != (key, scope)]

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/api/v4/projects/{id}/groups", self._groups)
        for kind in _ROLES:
            app.router.add_get(f"/api/v4/{kind}s/{{id}}/variables", self._list)
            app.router.add_get(f"/api/v4/{kind}s/{{id}}/variables/{{key}}", self._get)
        app.router.add_get("/{tail:.*}", self._nowhere)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def _add(self, kind: str, path: str, groups: tuple[str, ...]) -> int:
        number = next(self._numbers)
        self._places[number] = Place(kind, number, path, groups)
        return number

    async def _groups(self, request: web.Request) -> web.Response:
        place = self._visible(request, "project")
        # The order is GitLab's own; it does not follow the tree.
        above = sorted((each for each in self._places.values() if each.path in place.groups), key=lambda each: -each.id)
        return self._page(request, [{"id": each.id, "full_path": each.path, "name": each.path} for each in above])

    async def _list(self, request: web.Request) -> web.Response:
        place = self._readable(request)
        if self.before_page is not None:
            self.before_page(int(request.query.get("page", "1")))
        return self._page(request, [_shown(variable) for variable in place.variables])

    async def _get(self, request: web.Request) -> web.Response:
        place = self._readable(request)
        scope = request.query.get("filter[environment_scope]")
        found = [
            variable
            for variable in place.variables
            if variable["key"] == request.match_info["key"] and scope in {None, variable["environment_scope"]}
        ]
        if len(found) > 1:
            raise _refusal(409, message="There are multiple variables with provided parameters. Please use 'filter'")
        if not found:
            raise _refusal(404, message="404 Variable Not Found")
        return web.json_response(_shown(found[0]))

    async def _nowhere(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.rel_url))
        raise _refusal(404, error="404 Not Found")

    def _readable(self, request: web.Request) -> Place:
        """The place asked for, where the token's role and scope are enough for its variables."""
        kind = request.path.split("/")[3].removesuffix("s")
        place = self._visible(request, kind)
        if self._token(request).roles[place.id] not in _ROLES[kind]:
            raise _refusal(403, message="403 Forbidden")
        return place

    def _visible(self, request: web.Request, kind: str) -> Place:
        self.requests.append(str(request.rel_url))
        token = self._token(request)
        if not token.scopes & {"api", "read_api"}:
            raise _refusal(
                403,
                error="insufficient_scope",
                error_description="The request requires higher privileges than provided by the access token.",
                scope="api read_api",
            )
        wanted = request.match_info["id"]
        for place in self._places.values():
            if place.kind == kind and wanted in {str(place.id), place.path} and place.id in token.roles:
                return place
        raise _refusal(404, message=f"404 {kind.title()} Not Found")

    def _token(self, request: web.Request) -> Token:
        token = self.tokens.get(request.headers.get("PRIVATE-TOKEN", ""))
        if token is None:
            raise _refusal(401, message="401 Unauthorized")
        if token.state == "revoked":
            words = "Token was revoked. You have to re-authorize from the user."
            raise _refusal(401, error="invalid_token", error_description=words)
        if token.state == "expired":
            words = "Token is expired. You can either do re-authorization or token refresh."
            raise _refusal(401, error="invalid_token", error_description=words)
        return token

    def _page(self, request: web.Request, entries: list[dict[str, Any]]) -> web.Response:
        number = int(request.query.get("page", "1"))
        size = min(int(request.query.get("per_page", "20")), MOST_PER_PAGE)
        pages = max(1, -(-len(entries) // size))
        headers = {
            "X-Page": str(number),
            "X-Per-Page": str(size),
            "X-Next-Page": str(number + 1) if number < pages else "",
        }
        if not self.without_totals:
            headers |= {"X-Total": str(len(entries)), "X-Total-Pages": str(pages)}
        return web.json_response(entries[(number - 1) * size : number * size], headers=headers)


def _shown(variable: dict[str, Any]) -> dict[str, Any]:
    return variable | {"value": None} if variable["hidden"] else variable


def _refusal(status: int, **words: str) -> web.HTTPException:
    kinds = {401: web.HTTPUnauthorized, 403: web.HTTPForbidden, 404: web.HTTPNotFound, 409: web.HTTPConflict}
    return kinds[status](text=json.dumps(words), content_type="application/json")
