"""A stand-in for Pulumi Cloud on loopback: the part of its REST API that opens environments and exchanges tokens.

    async with Pulumi() as pulumi:
        token = pulumi.token({"acme/shop/prod": "open"})
        pulumi.put("acme/shop/prod", {"database": {"password": "x"}})
        adapter_of(f"{pulumi.url}/api/esc", token)

Statuses and bodies are those of Pulumi's documentation and of its command line's source: ``Authorization: token …``,
401 for a bad token, 404 for what the token may not see, 403 where it may see and not open, 400 with diagnostics where
an environment cannot be evaluated. What was opened is kept as it was then, and belongs to the environment it is of.
"""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

ESC = "/api/esc/environments/{org}/{project}/{environment}"


@dataclass
class Environment:
    """The values of every revision, and what cannot be evaluated."""

    revisions: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    diagnostics: list[dict[str, Any]] = field(default_factory=list)


class Pulumi:
    """See the module. ``requests`` lists method, path and query of everything that arrived."""

    url: str

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.environments: dict[str, Environment] = {}
        self.tokens: dict[str, dict[str, str]] = {}
        """Token → its permission (``read``, ``open``, or ``open-only`` without ``read``) by environment."""
        self.trusted: dict[str, dict[str, str]] = {}
        """Token of a ServiceAccount → permissions of the access tokens that it is exchanged for."""
        self.organization = "acme"
        """The organization that trusts them."""
        self.life = 600
        """Seconds that an exchanged token is said to live."""
        self.exchanges: list[Mapping[str, Any]] = []
        """Bodies of the exchanges asked for."""
        self._sessions: dict[str, tuple[str, dict[str, Any]]] = {}

    def token(self, permissions: Mapping[str, str]) -> str:
        """A new access token."""
        text = f"pul-{secrets.token_hex(20)}"
        self.tokens[text] = dict(permissions)
        return text

    def put(self, environment: str, values: Mapping[str, Any], *, tag: str = "") -> int:
        """A new revision of an environment; the result is its number."""
        found = self.environments.setdefault(environment, Environment())
        found.revisions.append(copy.deepcopy(dict(values)))
        number = len(found.revisions)
        if tag:
            found.tags[tag] = number
        return number

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("HEAD", ESC, self._look)
        app.router.add_post(f"{ESC}/open", self._open)
        app.router.add_post(f"{ESC}/versions/{{version}}/open", self._open)
        app.router.add_get(f"{ESC}/open/{{session}}", self._read, allow_head=False)
        app.router.add_post("/api/oauth/token", self._exchange)
        app.router.add_route("*", "/{tail:.*}", self._nowhere)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _look(self, request: web.Request) -> web.Response:
        self._permitted(request, {"read", "open"})
        return web.Response(headers={"ETag": '"1"'})

    async def _open(self, request: web.Request) -> web.Response:
        name = self._permitted(request, {"open", "open-only"})
        found = self.environments[name]
        version = request.match_info.get("version", "latest")
        if version == "latest":
            number = len(found.revisions)
        else:
            number = found.tags.get(version, int(version) if version.isdigit() else 0)
        if not 1 <= number <= len(found.revisions):
            raise _refusal(404, f"Not Found: version '{version}' of '{name}'")
        if found.diagnostics:
            raise _refusal(400, "Bad Request: the environment cannot be evaluated", diagnostics=found.diagnostics)
        session = secrets.token_hex(16)
        properties = {key: valued(value) for key, value in found.revisions[number - 1].items()}
        self._sessions[session] = (name, properties)
        return web.json_response({"id": session})

    async def _read(self, request: web.Request) -> web.Response:
        name = self._permitted(request, {"open", "open-only"})
        of, properties = self._sessions.get(request.match_info["session"], ("", {}))
        if of != name:
            raise _refusal(404, "Not Found: no such session")
        path = request.query.get("property")
        if path is None:
            environment = {"exprs": {}, "properties": properties, "schema": {"type": "object"}}
            return web.json_response({key: value for key, value in environment.items() if value != {}})
        first, _, rest = path.partition("[*].")
        within = properties.get(first, {}).get("value", [])
        chosen = [member["value"][rest] for member in within if rest in member["value"]]
        return web.json_response({"value": chosen, "trace": {}} if chosen else {"trace": {}})

    async def _exchange(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.rel_url}")
        body = await request.json()
        self.exchanges.append(body)
        wanted = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "requested_token_type": "urn:pulumi:token-type:access_token:organization",
        }
        if {name: body.get(name) for name in wanted} != wanted:
            return web.json_response({"error": "invalid_request"}, status=400)
        permissions = self.trusted.get(body["subject_token"])
        if body["audience"] != f"urn:pulumi:org:{self.organization}" or permissions is None:
            words = {"error": "invalid_grant", "error_description": f"no policy for {body['subject_token']}"}
            return web.json_response(words, status=401)
        return web.json_response(
            {"access_token": self.token(permissions), "token_type": "token", "expires_in": self.life}
        )

    async def _nowhere(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.rel_url}")
        return web.Response(status=404, text="404 page not found")

    def _permitted(self, request: web.Request, enough: set[str]) -> str:
        """The environment asked for, where the token may do this with it."""
        self.requests.append(f"{request.method} {request.rel_url}")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "token" or token not in self.tokens:
            raise _refusal(401, "Unauthorized: No credentials provided or are invalid.")
        name = "/".join(request.match_info[step] for step in ("org", "project", "environment"))
        permission = self.tokens[token].get(name)
        if name not in self.environments or permission is None:
            raise _refusal(404, f"Not Found: environment '{name}' not found")
        if permission not in enough:
            raise _refusal(403, "Forbidden: missing permission")
        return name


def valued(value: Any) -> dict[str, Any]:
    """A value as ESC wraps it. ``Unknown`` stands for one that could not be evaluated."""
    trace = {"def": {"environment": "prod", "begin": {"line": 6, "column": 11, "byte": 72}}}
    if value is Unknown:
        return {"unknown": True, "secret": True, "trace": trace}
    if isinstance(value, Mapping):
        return {"value": {key: valued(member) for key, member in value.items()}, "trace": trace}
    if isinstance(value, list):
        return {"value": [valued(member) for member in value], "trace": trace}
    # A null is left out, as Go does.
    return ({} if value is None else {"value": value}) | {"secret": True, "trace": trace}


class Unknown:
    """See ``valued``."""


def _refusal(status: int, message: str, **more: Any) -> web.HTTPException:
    kinds = {400: web.HTTPBadRequest, 401: web.HTTPUnauthorized, 403: web.HTTPForbidden, 404: web.HTTPNotFound}
    text = json.dumps({"code": status, "message": message, **more})
    return kinds[status](text=text, content_type="application/json")
