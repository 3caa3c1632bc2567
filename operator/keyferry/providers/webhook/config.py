"""``spec.provider.webhook``: the fields of ESO's CRD."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from keyferry.api.common import CallersReference, CAProvider, Model, SecretKeySelector

_KNOWN: Final = re.compile(r"\$?\.remoteRef\.(?:key|version|property)\b")
"""What a template may name of a ref without asking whose it is."""
_WHOLE: Final = re.compile(r"remoteRef|(?<![\w)\]])\.(?!\w)|\$(?![\w.])")
"""What else leads to the ref: its map, the root as ``.``, or the root as ``$``."""


class NTLMProtocol(Model):
    username_secret: SecretKeySelector
    """Where the name of the user is kept: user, DOMAIN\\user or user@domain."""
    password_secret: SecretKeySelector
    """Where the password is kept."""


class AuthorizationProtocol(Model):
    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    ntlm: NTLMProtocol | None = None
    """Log in with NTLM."""


class WebhookResult(Model):
    json_path: str | None = None
    """JSONPath of the value in the answer, a template. Default: the whole answer is the value."""


class WebhookSecret(Model):
    name: str
    """Name of the Secret in templates."""
    secret_ref: SecretKeySelector
    """The Secret. All its keys can be used; it has to carry the label external-secrets.io/type: webhook."""


class WebhookConfig(CallersReference):
    """Any HTTP endpoint. url, headers, body and result.jsonPath are Go templates over remoteRef and the secrets."""

    method: str | None = None
    """Method of the request. Default: GET."""
    url: str
    """Address of the request, a template. Key, version and property are escaped for a query."""
    headers: dict[str, str] | None = None
    """Headers of the request; their values are templates."""
    auth: AuthorizationProtocol | None = None
    """How to log in, where headers do not do it."""
    body: str | None = None
    """Body of the request, a template."""
    timeout: str | None = None
    """How long a request may take, such as 10s."""
    result: WebhookResult | None = None
    """Where the value is in the answer."""
    secrets: list[WebhookSecret] | None = None
    """Secrets for the templates."""
    ca_bundle: Annotated[str, Field(json_schema_extra={"format": "byte"})] | None = None
    """PEM of the authorities that may have signed the server's certificate. Wins over caProvider."""
    ca_provider: CAProvider | None = None
    """Where these authorities are kept in the cluster. With neither, the system's authorities are trusted."""

    @property
    def of_caller(self) -> bool:
        """Whether a template can tell callers apart, by ``.remoteRef.namespace``; in doubt it can."""
        result = self.result.json_path if self.result else None
        texts = (self.url, self.body or "", result or "", *(self.headers or {}).values())
        return any(_WHOLE.search(_KNOWN.sub("", action)) for text in texts for action in _actions(text))


def _actions(template: str) -> Iterator[str]:
    """What stands in the actions of a template, and what follows those with strings: braces in one end no action."""
    for rest in template.split("{{")[1:]:
        action = rest.partition("}}")[0]
        yield rest if set(action) & set("\"'`") else action
