"""From a socket to a verb and back: authentication, faults, content negotiation, logging."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import unquote

import orjson
import yaml
from aiohttp import web
from multidict import CIMultiDict

from . import admin, discovery, openapi, represent, reviews
from .calls import ANONYMOUS, Call, Reply, User, resolve
from .decode import MAX_BODY
from .reads import selection
from .represent import Shape, as_core_event, converted
from .status import ApiError, Json, internal, no_such_path, not_found, unauthorized

if TYPE_CHECKING:
    from .server import KubeApi

_JSON = "application/json"


class _PageNotFound(Exception):
    """No such API at all: the real server answers in plain text, not with a Status."""


class Front:
    def __init__(self, api: KubeApi) -> None:
        self.api = api

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        call = Call(
            method=request.method,
            path=unquote(request.rel_url.raw_path),
            query=dict(request.rel_url.query),
            user_agent=request.headers.get("User-Agent", ""),
            accept=request.headers.get("Accept", "*/*") or "*/*",
            content_type=request.headers.get("Content-Type", _JSON).partition(";")[0].strip(),
            user=ANONYMOUS,
        )
        logged = False
        try:
            reply: Reply | None = None
            try:
                self._authenticate(call, request)
                if call.path.startswith("/sandbox/"):
                    call.body = await request.read()
                    return _send(call, await admin.answer(self.api, call))
                resolve(call)
                await self._faults(call)
                self.api.rbac.authorize(call)
                if call.plural:
                    self._find(call)
                call.body = await self._body(request)
                if call.verb == "watch":
                    logged = True
                    return await self._watch(call, request)
                reply = self._answer(call)
            except _PageNotFound:
                text = {"Content-Type": "text/plain; charset=utf-8"}
                reply = Reply(404, raw=b"404 page not found\n", headers=text)
            except ApiError as error:
                reply = Reply(error.code, error.body(), headers=dict(error.headers))
            if not logged:
                self.api.requests.record(call, reply.code)
            return _send(call, reply)
        except ConnectionError:
            raise
        except Exception as exc:  # noqa: BLE001 - a bug of ours must answer 500, as a server does
            self.api.errors.append(exc)
            # Only the type: the text could carry a value.
            failed = internal(f"{type(exc).__name__} in the sandbox")
            if not logged:
                self.api.requests.record(call, 500)
            return _send(call, Reply(500, failed.body()))

    def _authenticate(self, call: Call, request: web.BaseRequest) -> None:
        header = request.headers.get("Authorization", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            call.user = self.api.tokens.user(token.strip())[0]
        else:
            call.user = _certificate_user(request) or ANONYMOUS
        if "Impersonate-User" in request.headers:
            if "system:masters" not in call.user.groups:
                raise ApiError(403, "Forbidden", "impersonation is for admins only")
            groups = tuple(request.headers.getall("Impersonate-Group", []))
            call.user = User(request.headers["Impersonate-User"], (*groups, "system:authenticated"))

    async def _faults(self, call: Call) -> None:
        delay = self.api.faults.delay(call)
        if delay:
            await asyncio.sleep(delay)
        self.api.faults.check(call)

    @staticmethod
    async def _body(request: web.BaseRequest) -> bytes:
        length = request.content_length
        if length is not None and length > MAX_BODY:
            raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MAX_BODY}")
        if not request.can_read_body:
            return b""
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY:
                raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MAX_BODY}")
        return bytes(body)

    def _find(self, call: Call) -> None:
        found = self.api.registry.find(call.group, call.version, call.plural)
        if found is None:
            known = next(self.api.registry.in_version(call.group, call.version), None)
            if known is not None and not known.custom:
                raise no_such_path()
            raise _PageNotFound
        if call.namespace and not found.namespaced and found.plural != "namespaces":
            raise no_such_path()
        if found.namespaced and not call.namespace and call.name:
            raise no_such_path()
        call.found = found
        sub = call.subresource
        if sub and not (
            (sub == "status" and found.has_status)
            or (sub == "token" and found.bucket == ("", "serviceaccounts"))
            or (sub == "finalize" and found.bucket == ("", "namespaces"))
        ):
            if found.custom:
                raise not_found(found.plural, found.group, call.name)
            raise no_such_path()
        allowed = call.verb in found.verbs
        if sub:
            allowed = call.verb == "create" if sub == "token" else call.verb in ("get", "patch", "update")
        elif call.verb == "create" and (call.name or (found.namespaced and not call.namespace)):
            allowed = found.bucket[1] == "localsubjectaccessreviews"
        elif call.verb in ("update", "patch") and not call.name:
            allowed = False
        if not allowed:
            raise ApiError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
            )
        if found.deprecation:
            call.warnings.append(found.deprecation)

    def _answer(self, call: Call) -> Reply:
        if not call.plural:
            return self._information(call)
        include = call.query.get("includeObject", "")
        shape = represent.negotiate(call.accept, include)
        api, resource = self.api, call.resource
        if call.verb == "list":
            return Reply(200, raw=_maybe_yaml(api.reader.list(call, shape), shape))
        if call.verb == "get":
            return self._shaped(call, shape, 200, api.reader.get(call))
        if call.subresource == "token":
            body = _parsed(call)
            return Reply(201, api.tokens.request(call.namespace, call.name, body))
        if resource.verbs == ("create",):
            code, obj = reviews.answer(call, api.rbac, api.tokens)
            return Reply(code, obj)
        if resource.stored_as[1]:
            self._to_core_event(call)
        if call.verb == "create":
            code, obj = api.writer.create(call)
        elif call.verb == "update":
            code, obj = api.writer.update(call)
        elif call.verb == "patch":
            code, obj = api.writer.patch(call)
        elif call.verb == "delete":
            code, obj = api.deleter.delete(call)
        else:
            matches = selection(call)
            chosen = [
                v for v in api.store.listing(resource.bucket, call.namespace) if matches is None or matches(v.obj)
            ]
            items = api.deleter.collection(call, chosen)
            listed: Json = {
                "kind": resource.list_kind,
                "apiVersion": resource.api_version,
                "metadata": {"resourceVersion": str(api.store.revision)},
                "items": items,
            }
            if resource.custom:
                listed["metadata"]["continue"] = ""
            return Reply(200, listed)
        call.found = resource
        return self._shaped(call, shape, code, obj)

    def _to_core_event(self, call: Call) -> None:
        """events.k8s.io is another face of the same objects."""
        if call.verb in ("create", "update"):
            call.body = orjson.dumps(as_core_event(_parsed(call)))
            call.content_type = _JSON
        if call.verb == "patch" and call.body:
            patch = _parsed(call)
            if "apiVersion" in patch:
                raise ApiError(415, "UnsupportedMediaType", "apply events through core/v1 here")
        call.found = self.api.registry.find("", "v1", "events")

    def _shaped(self, call: Call, shape: Shape, code: int, obj: Json) -> Reply:
        resource = call.resource
        if obj.get("kind") == "Status":
            return Reply(code, obj)
        obj = converted(resource, obj)
        if shape.form == "partial":
            obj = represent.metadata_only(obj)
        elif shape.form == "table":
            meta = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            obj = represent.table(resource, [obj], shape, True, meta)
        return Reply(code, raw=_maybe_yaml(orjson.dumps(obj), shape))

    def _information(self, call: Call) -> Reply:
        path, registry = call.path.rstrip("/") or "/", self.api.registry
        if call.method not in ("GET", "HEAD"):
            raise ApiError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
            )
        if path in ("/healthz", "/livez", "/readyz", "/healthz/ping", "/livez/ping", "/readyz/ping"):
            return Reply(200, raw=b"ok", headers={"Content-Type": "text/plain; charset=utf-8"})
        found: Json | None = None
        parts = path.strip("/").split("/")
        if path in ("/api", "/apis"):
            if "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" in call.accept.replace(" ", ""):
                kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
                return Reply(200, discovery.aggregated(registry, path == "/api"), headers={"Content-Type": kind})
            found = discovery.api_versions(self.api.address) if path == "/api" else discovery.group_list(registry)
        elif parts[0] == "api" and len(parts) == 2:
            found = discovery.resource_list(registry, "", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            found = discovery.group(registry, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            found = discovery.resource_list(registry, parts[1], parts[2])
        elif path == "/version":
            found = discovery.VERSION
        elif path == "/openapi/v3":
            found = openapi.index(registry)
        elif path == "/openapi/v2":
            found = openapi.v2()
            if "json" not in call.accept and "*/*" not in call.accept:
                raise ApiError(406, "NotAcceptable", "only JSON is served")
        elif path.startswith("/openapi/v3/"):
            group, version = ("", parts[-1]) if parts[2] == "api" else (parts[-2], parts[-1])
            found = openapi.document(registry, group, version)
        elif path == "/openid/v1/jwks":
            return Reply(200, self.api.tokens.jwks(), headers={"Content-Type": "application/jwk-set+json"})
        elif path == "/.well-known/openid-configuration":
            found = self.api.tokens.discovery(self.api.url)
        elif path == "/":
            found = {"paths": ["/api", "/apis", "/healthz", "/openapi/v3", "/version"]}
        if found is None:
            raise _PageNotFound
        return Reply(200, found)

    async def _watch(self, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        shape = represent.negotiate(call.accept, call.query.get("includeObject", ""))
        frames = self.api.reader.watch(call, shape)
        response = web.StreamResponse(headers=_headers(call, {}))
        started = False

        async def start() -> None:
            nonlocal started
            started = True
            self.api.requests.record(call, 200)
            await response.prepare(request)

        try:
            # The first step checks the options: a refusal must still be a plain answer.
            first = asyncio.ensure_future(anext(frames, b""))
            done, _ = await asyncio.wait({first}, timeout=0.01)
            if not done:
                await start()
            frame = await first
            if not started:
                await start()
            while frame:
                await response.write(frame)
                frame = await anext(frames, b"")
            await response.write_eof()
        except ApiError as error:
            if started:
                return response
            self.api.requests.record(call, error.code)
            return _send(call, Reply(error.code, error.body(), headers=dict(error.headers)))
        except ConnectionError:  # the client has gone, or a fault has cut the line
            return response
        finally:
            with contextlib.suppress(Exception):
                await frames.aclose()  # type: ignore[attr-defined] # an async generator, typed as an iterator
        return response


def _parsed(call: Call) -> Json:
    from .decode import parse_body

    body = parse_body(call.body, call.content_type)
    return body if isinstance(body, dict) else {}


def _certificate_user(request: web.BaseRequest) -> User | None:
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate:
        return None
    pairs = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in pairs if key == "commonName"]
    groups = tuple(value for key, value in pairs if key == "organizationName")
    if not names:
        raise unauthorized()
    return User(names[0], (*groups, "system:authenticated"))


def _maybe_yaml(body: bytes, shape: Shape) -> bytes:
    return yaml.safe_dump(orjson.loads(body)).encode() if shape.yaml else body


def _headers(call: Call, more: dict[str, str]) -> CIMultiDict[str]:
    headers = CIMultiDict({"Content-Type": _JSON, "Cache-Control": "no-cache, private", **more})
    for text in dict.fromkeys(call.warnings):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        headers.add("Warning", f'299 - "{escaped}"')
    return headers


def _send(call: Call, reply: Reply) -> web.Response:
    body = reply.raw if reply.raw is not None else orjson.dumps(reply.obj)
    return web.Response(status=reply.code, body=body, headers=_headers(call, reply.headers))
