"""The adapter: requests, answers, errors."""

from __future__ import annotations

import asyncio
import base64
import difflib
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from keyferry.api.common import Model
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.kubehttp import KubeError, KubeHttp
from keyferry.ports import Capabilities, Context, Fetched, Layout, Query, Ref, Validation
from keyferry.providers.kubernetes.config import KubernetesConfig
from keyferry.providers.kubernetes.connection import connect

_AT_ONCE = 8
"""Requests to one API server at the same time."""
_PAGE = 500
"""Secrets per page of a listing."""
_CROWD = 10
"""Secrets of a namespace that are listed without their values, at the most, for each that need not be downloaded."""
_NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Names that the API server gives to Secrets; no other key can be found, or lead to another path."""
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_USER = re.compile(r'User "([^"]{1,300})"')
_REMEDIES = {
    "Connection": "check server.url and the way there",
    "TLS": "name the server's CA by server.caBundle or server.caProvider; this cluster's is in kube-root-ca.crt",
    "Garbage": "is it the URL of an API server?",
}
"""By the reason of a KubeError without answer."""


class Kubernetes:
    """See the package."""

    name: ClassVar[str] = "kubernetes"
    label: ClassVar[str] = "Kubernetes"
    capabilities: ClassVar[Capabilities] = Capabilities.READ_ONLY
    layout: ClassVar[Layout] = Layout("keyed", "literal-first", "error")
    Config: ClassVar[type[Model]] = KubernetesConfig

    def __init__(self, http: KubeHttp, namespace: str, context: Context) -> None:
        self._http = http
        self._namespace = namespace
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._context = context
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._may_list = True
        self._crowd = 0
        """Secrets that the namespace has, as far as is known."""

    @classmethod
    async def open(cls, config: Model, context: Context) -> Self:
        """See ``Provider.open``."""
        if not isinstance(config, KubernetesConfig):
            raise TypeError(type(config))
        endpoint = await connect(config, context.credentials)
        http = KubeHttp(endpoint, limit=_AT_ONCE, user_agent="keyferry")
        return cls(http, config.remote_namespace or "default", context)

    async def read(self, refs: Sequence[Ref]) -> Mapping[Ref, Fetched | KeyferryError]:
        """See ``Provider.read``. One request per Secret, however many refs name it."""
        keys = list(dict.fromkeys(ref.key for ref in refs))
        secrets = dict(zip(keys, await asyncio.gather(*map(self._get, keys)), strict=True))
        absent = [key for key, secret in secrets.items() if isinstance(secret, NotThere)]
        if absent:
            names = await self._names()
            secrets |= {key: self._not_there(key, names) for key in absent}
        return {ref: _answer(secrets[ref.key], metadata=ref.metadata) for ref in refs}

    async def reread(self, refs: Sequence[Ref], known: Mapping[Ref, Fetched]) -> Mapping[Ref, Fetched | KeyferryError]:
        """See ``Comparer.reread``. One listing without values tells the versions of many Secrets.

        A single Secret is read: that is one request as well.
        """
        names = {ref.key for ref in known}
        versions = await self._versions(len(names)) if len(names) > 1 else {}
        same = {ref: last for ref, last in known.items() if versions.get(ref.key) == last.version}
        return {**await self.read([ref for ref in refs if ref not in same]), **same}

    async def find(self, query: Query) -> Mapping[str, Ref | Fetched]:
        """See ``Finder.find``. Tags are a label selector, and win over a name; no tags at all select every Secret."""
        if query.tags is None and query.name is None:
            raise BadSpec("a Kubernetes store is searched by name or tags", remedy="set find.name or find.tags")
        selector = {"labelSelector": _selector(query.tags)} if query.tags else {}
        found: dict[str, Ref | Fetched] = {}
        async for item in self._list(selector, "application/json"):
            name = _name(item)
            if query.tags is not None or query.matches(name):
                found[name] = _document(item, metadata=False)
        return found

    async def validate(self) -> Validation:
        """See ``Provider.validate``. Raises ``Denied`` where the credential may not read Secrets."""
        rules = (await self._review("SelfSubjectRulesReview", {"namespace": self._namespace})).get("resourceRules")
        if isinstance(rules, list) and any(map(_grants, rules)):
            return Validation.READY
        asked = {"resource": "secrets", "namespace": self._namespace, "verb": "get"}
        # Rules are incomplete where an authorizer other than RBAC decides.
        access = await self._review("SelfSubjectAccessReview", {"resourceAttributes": asked})
        if access.get("allowed") is True:
            return Validation.READY
        raise self._denied("get")

    async def aclose(self) -> None:
        """See ``Provider.aclose``."""
        await self._http.aclose()

    async def _get(self, key: str) -> Mapping[str, Any] | KeyferryError:
        if len(key) > 253 or not _NAME.fullmatch(key):
            return BadSpec(f'"{key}" cannot be the name of a Secret', remedy="remoteRef.key is the Secret's name")
        try:
            async with self._at_once:
                with self._context.observe("GetSecret"):
                    secret = await self._request("GET", f"{self._path}/{key}")
            _name(secret)
        except KubeError as error:
            # Only an API server's own word counts: a proxy's 404 must not look like a deletion.
            if error.not_found and error.details.get("kind") == "secrets":
                return self._not_there(key, ())
            return self._mapped(error, "get")
        except KeyferryError as error:
            return error
        else:
            found: Mapping[str, Any] = secret
            return found

    async def _list(self, query: Mapping[str, str], accept: str) -> AsyncIterator[Mapping[str, Any]]:
        """Every Secret of the namespace, page by page."""
        more = ""
        while True:
            asked = {**query, "limit": str(_PAGE)} | ({"continue": more} if more else {})
            items, about = await self._page(asked, accept)
            for item in items:
                yield item
            more = about.get("continue", "")
            if not more:
                return

    async def _page(self, query: Mapping[str, str], accept: str) -> tuple[list[Any], Mapping[str, Any]]:
        """One page of a listing, and what is told of the listing."""
        try:
            with self._context.observe("ListSecrets"):
                page = await self._request("GET", self._path, query=query, accept=accept)
        except KubeError as error:
            raise self._mapped(error, "list") from None
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            raise _strange()
        about = page.get("metadata")
        return page["items"], about if isinstance(about, dict) else {}

    async def _versions(self, wanted: int) -> Mapping[str, str]:
        """Versions of Secrets by name, without those that it would take too long a listing to know."""
        most = min(_PAGE, wanted * _CROWD)
        if not self._may_list or self._crowd > most:
            return {}
        try:
            items, about = await self._page({"limit": str(most)}, _NAMES_ONLY)
        except Denied:
            # Reading does not need this right.
            self._may_list = False
            return {}
        left = about.get("remainingItemCount")
        self._crowd = len(items) + (left if isinstance(left, int) else 1 if about.get("continue") else 0)
        return {_name(item): str(item["metadata"].get("resourceVersion", "")) for item in items}

    async def _names(self) -> Sequence[str]:
        """Names of Secrets, nothing where they cannot be listed: they only serve a remedy."""
        try:
            return [_name(item) async for item in self._list({}, _NAMES_ONLY)]
        except KeyferryError:
            return []

    async def _review(self, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """The status of a review of our own rights."""
        group, plural = "authorization.k8s.io", f"{kind.lower()}s"
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        try:
            with self._context.observe(f"Create{kind}"):
                answer = await self._request("POST", f"/apis/{group}/v1/{plural}", body=body)
        except KubeError as error:
            raise self._mapped(error, "create", group, plural) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), dict):
            raise _strange()
        status: Mapping[str, Any] = answer["status"]
        return status

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        return await self._http.request(method, path, timeout=self._context.timeout, **options)

    def _not_there(self, key: str, names: Iterable[str]) -> NotThere:
        near = sorted(difflib.get_close_matches(key, names, n=3))
        remedy = f"is it one of {', '.join(near)}?" if near else ""
        return NotThere(f'there is no Secret "{key}" in namespace "{self._namespace}"', remedy=remedy)

    def _denied(self, verb: str, group: str = "", resource: str = "secrets", user: str = "") -> Denied:
        who = f'user "{user}"' if user else "the credential"
        where, role = (f' in namespace "{self._namespace}"', "Role") if not group else ("", "ClusterRole")
        rule = f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}}'
        return Denied(
            f"{who} may not {verb} {resource}{where}", remedy=f"bind it to a {role}{where} with the rule {rule}"
        )

    def _mapped(self, error: KubeError, verb: str, group: str = "", resource: str = "secrets") -> KeyferryError:
        server = self._http.server
        if error.too_many or (error.unreachable and error.retry_after is not None):
            return Busy(f"{server} asks to be asked less often", retry_after=error.retry_after)
        if error.unauthorized:
            return Denied(f"{server} does not accept the credential", remedy="renew what the store's auth names")
        if error.forbidden:
            user = _USER.search(error.message)
            return self._denied(verb, group, resource, user[1] if user else "")
        if error.invalid:
            return BadSpec(f"{server} refuses the request: {error}")
        if error.status == 0:
            return Unreachable(error.message, remedy=_REMEDIES.get(error.reason, ""))
        remedy = "is it the URL of an API server?" if error.not_found else ""
        return Unreachable(f"{server} answers {error.status} {error.reason}", remedy=remedy)


def _strange() -> KeyferryError:
    return Unreachable("the answer is not that of an API server", remedy="check server.url")


def _name(item: object) -> str:
    about = item.get("metadata") if isinstance(item, dict) else None
    name = about.get("name") if isinstance(about, dict) else None
    if not isinstance(name, str):
        raise _strange()
    return name


def _answer(secret: Mapping[str, Any] | KeyferryError, *, metadata: bool) -> Fetched | KeyferryError:
    if isinstance(secret, KeyferryError):
        return secret.copy()
    try:
        return _document(secret, metadata=metadata)
    except KeyferryError as error:
        return error


def _document(secret: Mapping[str, Any], *, metadata: bool) -> Fetched:
    """The values of a Secret, or its labels and annotations as ESO renders them."""
    about = secret["metadata"]
    version = str(about.get("resourceVersion", ""))
    if metadata:
        kept = {"annotations": about.get("annotations"), "labels": about.get("labels")}
        return Fetched(_go_json(kept), version)
    try:
        return Fetched({key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}, version)
    except (AttributeError, TypeError, ValueError):
        # The decoder's error may hold the value.
        raise _strange() from None


def _go_json(value: object) -> bytes:
    """JSON as Go's encoding/json writes it without HTML escapes, which is how metadata reaches users' Secrets."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


def _selector(tags: Sequence[tuple[str, str]]) -> str:
    """A label selector of equalities. Raises ``BadSpec`` for what cannot be a label, as it would change the meaning."""
    for key, value in tags:
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise BadSpec(f'find.tags: "{key}={value}" cannot be a label')
    return ",".join(f"{key}={value}" for key, value in sorted(tags))


def _grants(rule: object) -> bool:
    """Whether a rule of a SelfSubjectRulesReview lets us get Secrets; eso-facts 5.6."""

    def has(field: str, wanted: str) -> bool:
        given = rule.get(field) if isinstance(rule, dict) else None
        return isinstance(given, list) and (wanted in given or "*" in given)

    any_group = isinstance(rule, dict) and not rule.get("apiGroups")
    return has("resources", "secrets") and has("verbs", "get") and (any_group or has("apiGroups", ""))
