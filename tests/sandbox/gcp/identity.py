"""Where tokens come from: Google's OAuth, STS, IAM and GKE endpoints over TLS, and the metadata servers over HTTP.

One application answers for all hosts; its paths do not collide. ``fail`` and ``hang`` make a path misbehave.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from aiohttp import web

from tests.sandbox.gcp.accounts import Accounts, BadGrant

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
_AWS: Final = "urn:ietf:params:aws:token-type:aws4_request"


class Identity:
    """``calls`` counts requests by path; ``metadata`` is what the metadata server tells of its machine."""

    def __init__(self, accounts: Accounts, *, project: str, own: str) -> None:
        """``own`` is the identity of the machine that asks the metadata server."""
        self.calls: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        """What was sent to be exchanged."""
        self.metadata = {
            "project/project-id": project,
            "instance/attributes/cluster-location": "europe-west3",
            "instance/attributes/cluster-name": "shop-cluster",
        }
        self.elsewhere = "token-of-elsewhere"
        """What Azure's metadata server gives, and a URL that gives plain text."""
        self.aws_role = "node-role"
        self._accounts = accounts
        self._own = own
        self._faults: dict[str, web.Response | None] = {}
        self._ended = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._misbehave])
        app.router.add_post("/token", self._oauth)
        app.router.add_post("/v1/token", self._sts)
        app.router.add_post("/v1/identitybindingtoken", self._binding)
        app.router.add_post("/v1/projects/-/serviceAccounts/{email}:generateAccessToken", self._impersonate)
        app.router.add_get("/computeMetadata/v1/{path:.*}", self._compute)
        app.router.add_get("/metadata/identity/oauth2/token", self._azure)
        app.router.add_get("/plain-token", self._plain)
        app.router.add_put("/latest/api/token", self._aws_session)
        app.router.add_get("/latest/meta-data/{path:.*}", self._aws_metadata)
        return app

    def fail(self, path: str, status: int, body: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Answer every request for a path by this."""
        self._faults[path] = web.Response(status=status, text=body, headers=headers)

    def hang(self, path: str) -> None:
        """Take requests for a path and do not answer them."""
        self._faults[path] = None

    def clear(self) -> None:
        """All well again."""
        self._faults = {}

    def end(self) -> None:
        """Let go of requests that hang."""
        self._ended.set()

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[request.path] += 1
        if request.path in self._faults:
            fault = self._faults[request.path]
            if fault is None:
                await self._ended.wait()
                return web.Response(status=503)
            return web.Response(status=fault.status, text=fault.text, headers=fault.headers)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _oauth(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        if form.get("grant_type") != _JWT_BEARER:
            return _oauth_error("unsupported_grant_type", "Invalid grant_type")
        try:
            identity = self._accounts.sign_in(str(form.get("assertion")))
        except BadGrant as refusal:
            return _oauth_error("invalid_grant", str(refusal))
        return self._token(identity)

    async def _sts(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.bodies.append(form)
        if form.get("grant_type") != _EXCHANGE or form.get("scope") not in {
            SCOPE,
            "https://www.googleapis.com/auth/iam",
        }:
            return _oauth_error("invalid_request", "Invalid grant_type or scope")
        audience, token = form.get("audience", ""), form.get("subject_token", "")
        try:
            if form.get("subject_token_type") == _AWS:
                token = self._caller_identity(token, audience)
            identity = self._accounts.exchange(audience, token)
        except BadGrant as refusal:
            return _oauth_error("invalid_grant", str(refusal))
        return self._token(identity, issued_token_type="urn:ietf:params:oauth:token-type:access_token")

    async def _binding(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        if body.get("grant_type") != _EXCHANGE or body.get("subject_token_type") != _JWT or body.get("scope") != SCOPE:
            return _error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        try:
            identity = self._accounts.exchange(body.get("audience", ""), body.get("subject_token", ""))
        except BadGrant:
            return _error(403, "PERMISSION_DENIED", "Identity namespace does not exist or is not trusted.")
        return self._token(identity)

    async def _impersonate(self, request: web.Request) -> web.Response:
        email = request.match_info["email"]
        body = await request.json()
        self.bodies.append(body)
        identity = self._accounts.holder(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if identity is None:
            return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if identity not in self._accounts.impersonators.get(email, set()):
            message = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
            return _error(403, "PERMISSION_DENIED", message)
        if body.get("scope") != [SCOPE]:
            return _error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        lifetime = min(self._accounts.life, float(str(body.get("lifetime", "3600s")).removesuffix("s")))
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lifetime)
        return web.json_response(
            {"accessToken": self._accounts.issue(email), "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}
        )

    async def _compute(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403, text='Missing required header "Metadata-Flavor": "Google"')
        path = request.match_info["path"]
        if path == "instance/service-accounts/default/token":
            answer = self._token(self._own)
        elif path in self.metadata:
            answer = web.Response(text=self.metadata[path])
        else:
            answer = web.Response(status=404, text="not found")
        answer.headers["Metadata-Flavor"] = "Google"
        return answer

    async def _azure(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata") != "True":
            return web.json_response({"error": "invalid_request"}, status=400)
        return web.json_response({"access_token": self.elsewhere, "token_type": "Bearer"})

    async def _plain(self, request: web.Request) -> web.Response:
        return web.Response(text=self.elsewhere) if request.headers.get("Metadata") == "True" else _denied()

    async def _aws_session(self, request: web.Request) -> web.Response:
        return web.Response(text="imds-session")

    async def _aws_metadata(self, request: web.Request) -> web.Response:
        if request.headers.get("X-aws-ec2-metadata-token") != "imds-session":
            return web.Response(status=401)
        (key_id, key), *_ = self._accounts.aws_keys.items()
        answers: dict[str, str] = {
            "placement/availability-zone": "eu-central-1a",
            "iam/security-credentials": self.aws_role,
            f"iam/security-credentials/{self.aws_role}": json.dumps(
                {"AccessKeyId": key_id, "SecretAccessKey": key.secret, "Token": key.session_token}
            ),
        }
        path = request.match_info["path"]
        return web.Response(text=answers[path]) if path in answers else web.Response(status=404)

    def _token(self, identity: str, **more: str) -> web.Response:
        token = {"access_token": self._accounts.issue(identity), "token_type": "Bearer"}
        return web.json_response(token | {"expires_in": int(self._accounts.life)} | more)

    def _caller_identity(self, subject: str, audience: str) -> str:
        """The role that signed a GetCallerIdentity request, by the signature of AWS's own SDK."""
        try:
            signed = json.loads(urllib.parse.unquote(subject))
            headers = {each["key"].lower(): each["value"] for each in signed["headers"]}
            key_id, date, region, service, _ = (
                headers["authorization"].partition("Credential=")[2].partition(",")[0].split("/")
            )
            key = self._accounts.aws_keys[key_id]
        except (KeyError, TypeError, ValueError):
            raise BadGrant("Invalid AWS credential.") from None
        host = f"sts.{region}.amazonaws.com"
        if signed["url"] != f"https://{host}?Action=GetCallerIdentity&Version=2011-06-15" or service != "sts":
            raise BadGrant("Invalid AWS request.")
        if headers.get("x-goog-cloud-target-resource") != audience or not headers["x-amz-date"].startswith(date):
            raise BadGrant("Invalid AWS request headers.")
        request = botocore.awsrequest.AWSRequest(method=signed["method"], url=signed["url"], headers={"host": host})
        request.context["timestamp"] = headers["x-amz-date"]
        credentials = botocore.credentials.Credentials(key_id, key.secret, key.session_token or None)
        signer = botocore.auth.SigV4Auth(credentials, service, region)
        request.headers["X-Amz-Date"] = headers["x-amz-date"]
        if key.session_token:
            request.headers["X-Amz-Security-Token"] = key.session_token
        canonical = signer.canonical_request(request)
        expected = signer.signature(signer.string_to_sign(request, canonical), request)
        if not headers["authorization"].endswith(f"Signature={expected}"):
            raise BadGrant("Invalid AWS signature.")
        return key.arn


def _denied() -> web.Response:
    return web.Response(status=403)


def _oauth_error(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": message, "status": code}}, status=status)
