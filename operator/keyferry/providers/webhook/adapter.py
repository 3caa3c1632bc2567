"""The provider: refs to requests, each sent once, and their answers to documents."""

from __future__ import annotations

import asyncio
import importlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, Self

from keyferry import transport
from keyferry.api.common import Model, SecretKeySelector
from keyferry.api.duration import parse_duration
from keyferry.errors import BadSpec, KeyferryError, NotThere
from keyferry.ports import Capabilities, Context, Fetched, Layout, Ref, Validation
from keyferry.providers.webhook import values
from keyferry.providers.webhook.answers import Kept, Shelf, judge
from keyferry.providers.webhook.config import NTLMProtocol, WebhookConfig
from keyferry.providers.webhook.door import Door, Login
from keyferry.providers.webhook.requests import Request, Requests

_LABEL: Final = ("external-secrets.io/type", "webhook")
"""By which the owner of a Secret agrees that it is sent to a webhook."""


class Webhook:
    """See the package."""

    name: ClassVar[str] = "webhook"
    label: ClassVar[str] = "Webhook"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("object", "asked", "error")
    Config: ClassVar[type[Model]] = WebhookConfig

    def __init__(self, requests: Requests, door: Door, threads: transport.Threads, context: Context) -> None:
        self._requests = requests
        self._door = door
        self._threads = threads
        self._context = context
        self._shelf = Shelf()

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """Build the adapter. Reads the Secrets and the authorities; sends nothing.

        Raises ``BadSpec`` and ``Unreachable``.
        """
        if not isinstance(config, WebhookConfig):
            raise TypeError(type(config))
        threads = transport.Threads()
        requests = Requests(config, await _secrets(config, context), namespace=context.store.caller, fill=context.fill)
        ca = await context.credentials.ca_bundle(config.ca_bundle, config.ca_provider, where="caBundle")
        ntlm = config.auth.ntlm if config.auth else None
        plain = requests.server.url is not None and requests.server.url.scheme == "http"
        door = Door(
            requests.server,
            context.addresses,
            None if plain else transport.ssl_context(ca),
            timeout=_timeout(config, context),
            login=await _login(ntlm, context, threads) if ntlm else None,
        )
        return cls(requests, door, threads, context)

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """See ``Provider.read``. Refs that make the same request share it.

        ``metadata`` of a ref is not looked at, as in ESO.
        """
        answers, _ = await self._read(refs)
        return answers

    async def reread(self, refs: Sequence[Ref], known: Mapping[Ref, Fetched]) -> Mapping[Ref, Fetched | KeyferryError]:
        """See ``Comparer.reread``. What the server says 304 to is compared by its bytes.

        A template may make another request of the same ref, so that the tag of a ref would tell nothing.
        """
        answers, unchanged = await self._read(refs)
        same = {ref: last for ref, last in known.items() if ref in unchanged and last == answers[ref]}
        return {**answers, **same}

    async def _read(self, refs: Sequence[Ref]) -> tuple[dict[Ref, Fetched | KeyferryError], set[Ref]]:
        """An answer per ref, and the refs whose documents the server did not send again."""
        made = await asyncio.gather(*(self._made(ref) for ref in refs))
        asking: defaultdict[Request, list[tuple[Ref, Request]]] = defaultdict(list)
        answers: dict[Ref, Fetched | KeyferryError] = {}
        for ref, request in zip(refs, made, strict=True):
            if isinstance(request, KeyferryError):
                answers[ref] = request
            else:
                asking[request].append((ref, request))
        unchanged: set[Ref] = set()
        found = await asyncio.gather(*(self._answered(request, who) for request, who in asking.items()))
        for documents, is_unchanged in found:
            answers.update(documents)
            unchanged.update(documents if is_unchanged else ())
        return answers, unchanged

    async def validate(self) -> Validation:
        """See ``Provider.validate``. A connection to the server, as by ESO: there is no key to ask it for.

        Raises ``Denied`` for an address that the store may not reach. Where a template makes the address, nothing is
        known.
        """
        url = self._requests.server.url
        if url is None:
            return Validation.UNKNOWN
        await self._door.dial(url)
        return Validation.READY

    async def aclose(self) -> None:
        """See ``Provider.aclose``."""
        await self._door.aclose()

    async def _made(self, ref: Ref) -> Request | KeyferryError:
        try:
            return await self._threads.run(partial(self._requests.make, ref))
        except KeyferryError as error:
            return error.copy()

    async def _answered(
        self, request: Request, who: Sequence[tuple[Ref, Request]]
    ) -> tuple[Mapping[Ref, Fetched | KeyferryError], bool]:
        """The documents of all refs that make the same request, and whether the server says that nothing changed."""
        try:
            kept, is_unchanged = await transport.retried(partial(self._content, request), self._context.retries)
        except NotThere as error:
            return {ref: error.within(f'"{ref.key}" does not exist') for ref, _ in who}, False
        except KeyferryError as error:
            return {ref: error.copy() for ref, _ in who}, False
        wanted = [(ref, each.path) for ref, each in who]
        return await self._threads.run(partial(_documents, kept, wanted)), is_unchanged

    async def _content(self, request: Request) -> tuple[Kept, bool]:
        """The answer to a request; or the one from before, where the server says that it still holds: True."""
        kept = self._shelf.get(request)
        with self._context.observe("HTTPRequest"):
            answer = await self._door.send(request.having("If-None-Match", kept.tag) if kept else request)
            if kept is not None and answer.status == 304:
                return kept, True
            refusal = judge(answer, request, self._door.address)
            if refusal is not None:
                raise refusal
        return self._shelf.put(request, answer), False


def _documents(kept: Kept, wanted: Sequence[tuple[Ref, str]]) -> Mapping[Ref, Fetched | KeyferryError]:
    """What each ref makes of one answer. Blocking."""
    documents: dict[Ref, Fetched | KeyferryError] = {}
    decoded: list[Any] = []
    for ref, path in wanted:
        try:
            if path and not decoded:
                decoded.append(values.loads(kept.content))
            documents[ref] = Fetched(values.value(decoded[0], path) if path else kept.content, kept.tag)
        except KeyferryError as error:
            documents[ref] = error.within(f'"{ref.key}"')
    return documents


async def _secrets(config: WebhookConfig, context: Context) -> Mapping[str, Mapping[str, str]]:
    """The Secrets for templates, by their names there; the keys of two that share a name are put together."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for number, each in enumerate(config.secrets or ()):
        content = await _secret(each.secret_ref, context, where=f"secrets[{number}].secretRef")
        found[each.name] |= {key: raw.decode("utf-8", "surrogateescape") for key, raw in content.items()}
    return found


async def _secret(selector: SecretKeySelector, context: Context, *, where: str) -> Mapping[str, bytes]:
    if context.store.kind == "ClusterSecretStore" and selector.namespace is None:
        raise BadSpec(
            f"{where}.namespace is empty", remedy="a ClusterSecretStore has to name the namespaces of its Secrets"
        )
    return await context.credentials.labelled_secret(selector, where=where, label=_LABEL)


async def _login(ntlm: NTLMProtocol, context: Context, threads: transport.Threads) -> Login:
    async def text(selector: SecretKeySelector, where: str) -> str:
        content = await _secret(selector, context, where=where)
        try:
            # Without the line break that often ends it.
            found = content[selector.key or ""].decode().rstrip("\r\n")
        except (KeyError, UnicodeDecodeError):
            found = ""
        if not found:
            raise BadSpec(
                f'{where}: the Secret has no text under the key "{selector.key or ""}"', remedy="put it there"
            )
        return found

    user = await text(ntlm.username_secret, "auth.ntlm.usernameSecret")
    password = await text(ntlm.password_secret, "auth.ntlm.passwordSecret")
    # Few stores need it, and its library takes a while to load.
    module = await threads.run(partial(importlib.import_module, "keyferry.providers.webhook.ntlm"))
    login: Login = module.Ntlm(user, password)
    return login


def _timeout(config: WebhookConfig, context: Context) -> float:
    """Seconds that a request may take: what the manifest says, but no more than any call may."""
    try:
        wanted = parse_duration(config.timeout or "0")
    except ValueError as error:
        raise BadSpec(f"timeout: {error}") from None
    return min(wanted, context.timeout) if wanted > 0 else context.timeout
