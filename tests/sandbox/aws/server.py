"""One port for Secrets Manager, Systems Manager and STS.

with AwsSandbox() as aws:
account = aws.account()
user = aws.directory.user(account)
aws.put_secret(account, "db", "value")
...                                # SDKs: endpoint aws.url, keys of user
assert aws.calls(account) == {"GetSecretValue": 1}
"""

from __future__ import annotations

import base64
import itertools
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import Client

from tests.sandbox.aws import batches, sts
from tests.sandbox.aws.iam import Directory, Principal, Refused
from tests.sandbox.aws.signatures import authenticate

REGION = "eu-central-1"
_TARGETS = {"secretsmanager": "secretsmanager", "AmazonSSM": "ssm"}
_NAMED = {"SecretId": "secretsmanager", "Name": "ssm", "Path": "ssm", "ResourceId": "ssm"}
"""Parameters that say which thing a call concerns."""
_accounts = itertools.count(100000000001)


@dataclass
class Reply:
    """What is answered, whatever was asked."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


Script = Callable[[Mapping[str, Any]], Reply | None]
"""Looks at what was asked; answers in AWS's stead, or not."""


class AwsSandbox:
    """See the module."""

    url: str

    def __init__(self) -> None:
        self.directory = Directory()
        self.hosts: set[str] = set()
        """Hosts under which requests may have been signed, such as that of a proxy."""
        self.scripts: dict[tuple[str, str], Script] = {}
        """Account and action → what answers instead."""
        self.pages: dict[str, int] = {}
        """Account → secrets per answer to BatchGetSecretValue, if not 20."""
        self._calls: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        # moto writes into its tables without a lock.
        self._moto_lock = threading.Lock()

    def account(self) -> str:
        """The number of an account that nobody has used."""
        return str(next(_accounts))

    def calls(self, account: str) -> Counter[str]:
        """How often each action was called by an account, whatever came of it. "" called by token, or is not known."""
        with self._lock:
            return Counter(self._calls.get(account, ()))

    def forget_calls(self, account: str) -> None:
        """Count an account's calls from here."""
        with self._lock:
            self._calls.pop(account, None)

    def admin(self, account: str, service: str, action: str, region: str = REGION, **asked: Any) -> dict[str, Any]:
        """What an administrator does: past every check, uncounted."""
        return self._forward(account, region, service, action, asked)

    def put_secret(
        self,
        account: str,
        name: str,
        value: str | bytes,
        *,
        tags: Mapping[str, str] | None = None,
        region: str = REGION,
    ) -> str:
        """Create a secret, or give it a new value; the id of the version."""
        given: dict[str, Any] = {"ClientRequestToken": str(uuid.uuid4())}
        given |= {"SecretString": value} if isinstance(value, str) else {"SecretBinary": _base64(value)}
        try:
            answer = self.admin(account, "secretsmanager", "PutSecretValue", region, SecretId=name, **given)
        except Refused:
            pairs = [{"Key": key, "Value": each} for key, each in (tags or {}).items()]
            answer = self.admin(account, "secretsmanager", "CreateSecret", region, Name=name, Tags=pairs, **given)
        return str(answer["VersionId"])

    def put_parameter(
        self, account: str, name: str, value: str, *, tags: Mapping[str, str] | None = None, kind: str = "SecureString"
    ) -> str:
        """Create a parameter, or give it a new value; the number of the version."""
        answer = self.admin(
            account, "ssm", "PutParameter", Name=name, Value=value, Type=kind, Overwrite=True, Tier="Advanced"
        )
        if tags:
            pairs = [{"Key": key, "Value": each} for key, each in tags.items()]
            self.admin(account, "ssm", "AddTagsToResource", ResourceType="Parameter", ResourceId=name, Tags=pairs)
        return str(answer["Version"])

    def answer(self, headers: Mapping[str, str], query: str, body: bytes) -> Reply:
        """One request."""
        prefix, _, action = headers.get("x-amz-target", "").partition(".")
        service = _TARGETS.get(prefix, "sts")
        form = dict(parse_qsl(body.decode(), keep_blank_values=True)) if service == "sts" else {}
        action = action or form.get("Action", "")
        request_id = str(uuid.uuid4())
        try:
            return self._answer(service, action, form or json.loads(body), headers, query, body)
        except Refused as refused:
            if service == "sts":
                return Reply(refused.status, sts.error(refused, request_id).encode(), {"Content-Type": "text/xml"})
            told = {"__type": refused.code, "message": refused.message}
            return Reply(refused.status, told, {"x-amzn-RequestId": request_id})

    def _answer(
        self,
        service: str,
        action: str,
        asked: Mapping[str, Any],
        headers: Mapping[str, str],
        query: str,
        body: bytes,
    ) -> Reply:
        by_token = action == "AssumeRoleWithWebIdentity"
        try:
            sender = None if by_token else authenticate(self.directory, headers, query, body, hosts=self.hosts)
        except Refused as refused:
            self._count("", action)
            raise _of_query(refused) if service == "sts" else refused from None
        who = sender.who if sender else None
        account = who.account if who else ""
        self._count(account, action)
        script = self.scripts.get((account, action))
        scripted = script(asked) if script else None
        if scripted is not None:
            return scripted
        if service == "sts":
            return Reply(200, self._sts(action, who, asked).encode(), {"Content-Type": "text/xml"})
        assert sender is not None
        return Reply(200, self._json(service, action, sender.who, sender.region, asked))

    def _sts(self, action: str, who: Principal | None, form: Mapping[str, str]) -> str:
        if who is None:
            return sts.assume_role_with_web_identity(self.directory, form)
        if action == "AssumeRole":
            return sts.assume_role(self.directory, who, form)
        return sts.get_caller_identity(who)

    def _json(self, service: str, action: str, who: Principal, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        def forward(each: str, given: Mapping[str, Any]) -> dict[str, Any]:
            return self._forward(who.account, region, service, each, given)

        if action == "GetParameters":
            return batches.get_parameters(who, asked, forward)
        named = next((asked[name] for name, of in _NAMED.items() if of == service and name in asked), "*")
        who.rights.check(who, f"{service}:{action}", batches.bare(named))
        if action == "BatchGetSecretValue":
            return batches.batch_get_secret_value(who, asked, forward, self.pages.get(who.account, 20))
        if action == "GetParameter":
            return {"Parameter": batches.get_parameter(asked["Name"], asked, forward)}
        answer = forward(action, asked)
        if action == "DescribeParameters":
            # Which moto leaves out.
            for each in answer["Parameters"]:
                each["ARN"] = f"arn:aws:ssm:{region}:{who.account}:parameter/{each['Name'].lstrip('/')}"
        return answer

    def _forward(
        self, account: str, region: str, service: str, action: str, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        target = {"ssm": "AmazonSSM"}.get(service, service)
        with self._moto_lock:
            answer = self._moto.post(
                "/",
                data=json.dumps(asked).encode(),
                headers={
                    "Authorization": f"AWS4-HMAC-SHA256 Credential=AKIA/20260101/{region}/{service}/aws4_request, "
                    "SignedHeaders=host, Signature=0",
                    "Content-Type": "application/x-amz-json-1.1",
                    "X-Amz-Target": f"{target}.{action}",
                    "X-Moto-Account-Id": account,
                },
            )
        found: dict[str, Any] = json.loads(answer.data or b"{}")
        answer.close()
        if answer.status_code >= 400:
            raise Refused(found["__type"].rpartition("#")[2], found.get("message") or found.get("Message") or "")
        return found

    def _count(self, account: str, action: str) -> None:
        with self._lock:
            self._calls.setdefault(account, []).append(action)

    def __enter__(self) -> Self:
        self._moto = Client(DomainDispatcherApplication(create_backend_app))
        self._server = _Server(self)
        port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        self.hosts.add(f"127.0.0.1:{port}")
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, aws: AwsSandbox) -> None:
        self.aws = aws
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: Any) -> None:
        """A client that gave up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """One request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.aws.answer(headers, self.path.partition("?")[2], body)
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in ({"Content-Type": "application/x-amz-json-1.1"} | dict(reply.headers)).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is written to the terminal."""


def _of_query(refused: Refused) -> Refused:
    """An error of authentication under the name that query services have for it."""
    names = {
        "ExpiredTokenException": "ExpiredToken",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException": "MissingAuthenticationToken",
        "UnrecognizedClientException": "InvalidClientTokenId",
    }
    return Refused(names[refused.code], refused.message, 403)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
