"""STS, and a server that asks it: stubs that check signatures as AWS would."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.contract.vault.stub import Reply, Request, Stub, serving
from tests.contract.vault.support import SECRET

ROLE = "arn:aws:iam::123456789012:role/reader"
KEYS = {"AKIAGIVEN": "canary-given", "AKIAOTHER": "canary-other", "ASIAROLE": "canary-role", "ASIAWEB": "canary-web"}
"""Access key → its secret."""
XML = {"Content-Type": "text/xml"}


@dataclass
class Aws:
    """STS and a server that asks it, both stubs."""

    vault: Stub
    sts: Stub
    answers: list[Reply] = field(default_factory=list)
    """What STS answers next, in place of keys."""

    @property
    def logins(self) -> list[dict[str, Any]]:
        return [request.body for request in self.vault.requests if request.path.endswith("/login")]

    @property
    def asked(self) -> list[dict[str, str]]:
        """What STS was asked, with the access key that signed it."""
        found = []
        for request in self.sts.requests:
            form = {name: values[0] for name, values in parse_qs(str(request.body)).items()}
            headers = {name: values[0] for name, values in request.headers.items()}
            signed = "authorization" in headers
            found.append(form | ({"signed": signer(headers, "/", str(request.body))} if signed else {}))
        return found


def signer(headers: dict[str, str], path: str, body: str) -> str:
    """The access key that signed a request (Signature Version 4). Raises where the signature is not right."""
    given = {name.lower(): " ".join(text.split()) for name, text in headers.items()}
    scheme, _, rest = given["authorization"].partition(" ")
    assert scheme == "AWS4-HMAC-SHA256"
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    access_key, *scope = parts["Credential"].split("/")
    names = parts["SignedHeaders"].split(";")
    assert {"host", "x-amz-date"} <= set(names)
    assert ("x-amz-security-token" in given) is ("x-amz-security-token" in names)
    canonical = [
        "POST",
        path,
        "",
        *(f"{name}:{given[name]}" for name in names),
        "",
        parts["SignedHeaders"],
        hashlib.sha256(body.encode()).hexdigest(),
    ]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join([scheme, given["x-amz-date"], "/".join(scope), digest])
    key = f"AWS4{KEYS[access_key]}".encode()
    for step in scope:
        key = hmac.new(key, step.encode(), "sha256").digest()
    assert hmac.new(key, text.encode(), "sha256").hexdigest() == parts["Signature"]
    return access_key


def proven(login: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The access key that a login is signed with, and its headers. Raises where AWS would refuse it."""
    url, body, headers = (
        base64.b64decode(login[f"iam_request_{name}"]).decode() for name in ("url", "body", "headers")
    )
    assert login["iam_http_request_method"] == "POST"
    assert body == "Action=GetCallerIdentity&Version=2011-06-15"
    parts = urlsplit(url)
    assert (parts.scheme, parts.path, parts.query) == ("https", "/", "")
    shown = {name: ",".join(values) for name, values in json.loads(headers).items()} | {"Host": parts.netloc}
    return signer(shown, "/", body), shown


def keys_of(request: Request) -> Reply:
    """STS: keys of a session for whoever asks."""
    action = parse_qs(str(request.body))["Action"][0]
    key = "ASIAWEB" if action == "AssumeRoleWithWebIdentity" else "ASIAROLE"
    session = f"session of {key}"
    text = (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials>'
        f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{KEYS[key]}</SecretAccessKey>"
        f"<SessionToken>{session}</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>"
        f"</{action}Result></{action}Response>"
    )
    return Reply(200, text.encode(), XML)


def refusal(status: int, code: str) -> Reply:
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>canary: no</Message></Error>"
        "<RequestId>0e3cf3a4-9b1c-4c9e-8e2b-2f1c2f1c2f1c</RequestId></ErrorResponse>"
    )
    return Reply(status, text.encode(), XML)


def vault(request: Request) -> Reply:
    if request.path.endswith("/login"):
        return Reply(body={"auth": {"client_token": "t", "lease_duration": 60, "renewable": True}})
    return SECRET


@contextmanager
def running() -> Iterator[Aws]:
    answers: list[Reply] = []
    with serving(vault) as server, serving(lambda request: answers.pop(0) if answers else keys_of(request)) as sts:
        yield Aws(server, sts, answers)
