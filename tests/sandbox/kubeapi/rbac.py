"""Role-based access control, evaluated from the stored roles and bindings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import meta
from .calls import Call, User
from .selectors import label_selector_object
from .status import ApiError, Json, forbidden, quote
from .store import Key, Store

GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is attempted; `path` is set for URLs that are no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def _covers(rule: Json, want: Attributes) -> bool:
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and want.verb not in verbs:
        return False
    if want.path:
        return any(
            url in ("*", want.path) or (url.endswith("*") and want.path.startswith(url[:-1]))
            for url in rule.get("nonResourceURLs") or ()
        )
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and want.group not in groups:
        return False
    resources = rule.get("resources") or ()
    wild = want.subresource and f"*/{want.subresource}" in resources
    if "*" not in resources and want.full not in resources and not wild:
        return False
    names = rule.get("resourceNames")
    return not names or want.name in names


class Rbac:
    def __init__(self, store: Store, aggregates: bool) -> None:
        self.store = store
        # Aggregation is a controller's work: an API server alone does not do it.
        self.aggregates = aggregates

    def rules(self, user: User, namespace: str) -> Iterator[Json]:
        for rule, _ in self._reasons(user, namespace):
            yield rule

    def _reasons(self, user: User, namespace: str) -> Iterator[tuple[Json, str]]:
        """The user's rules, each with the words that say where it comes from."""
        spaces = [("clusterrolebindings", "")]
        if namespace:
            spaces.append(("rolebindings", namespace))
        for plural, space in spaces:
            for binding in self._bindings(plural, space):
                subject = _subject(binding, user)
                if not subject:
                    continue
                ref, name = binding["roleRef"], binding["metadata"]["name"]
                full = f"{name}/{space}" if space else name
                source = f"{binding['kind']} {quote(full)} of {ref['kind']} {quote(ref['name'])}"
                why = f"RBAC: allowed by {source} to {subject}"
                for rule in self._role(ref, space):
                    yield rule, why

    def _bindings(self, plural: str, namespace: str) -> list[Json]:
        table = self.store.table((GROUP, plural))
        return [v.obj for v in table.by_namespace.get(namespace, {}).values()]

    def _role(self, ref: Json, namespace: str) -> list[Json]:
        plural = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
        space = "" if plural == "clusterroles" else namespace
        found = self.store.get(Key(GROUP, plural, space, ref["name"]))
        if found is None:
            return []
        rules: list[Json] = list(found.obj.get("rules") or ())
        selectors = (found.obj.get("aggregationRule") or {}).get("clusterRoleSelectors")
        if selectors and self.aggregates:
            tests = [label_selector_object(s) for s in selectors]
            for other in self._bindings("clusterroles", ""):
                if any(test(other) for test in tests):
                    rules += other.get("rules") or ()
        return rules

    def allowed(self, user: User, want: Attributes) -> bool:
        return self.reason(user, want) is not None

    def reason(self, user: User, want: Attributes) -> str | None:
        """Why it is allowed ("" needs no reason), or None when it is not."""
        if "system:masters" in user.groups:
            return ""
        return next((why for rule, why in self._reasons(user, want.namespace) if _covers(rule, want)), None)

    def authorize(self, call: Call) -> None:
        if not call.plural:
            want = Attributes(call.method.lower(), path=call.path)
            if not self.allowed(call.user, want):
                who = quote(call.user.name)
                text = f"forbidden: User {who} cannot {want.verb} path {quote(call.path)}"
                raise ApiError(403, "Forbidden", text, {})
            return
        want = Attributes(call.verb, call.group, call.plural, call.subresource, call.namespace, call.name)
        if not self.allowed(call.user, want):
            raise self.refusal(call.user, want)

    @staticmethod
    def refusal(user: User, want: Attributes) -> ApiError:
        where = f"in the namespace {quote(want.namespace)}" if want.namespace else "at the cluster scope"
        return forbidden(
            want.resource,
            want.group,
            want.name,
            (
                f"User {quote(user.name)} cannot {want.verb} resource {quote(want.full)} in API group "
                f"{quote(want.group)} {where}"
            ),
        )

    # -- escalation -----------------------------------------------------------------------------

    def admit(self, call: Call, new: Json, old: Json | None) -> None:
        """Nobody grants what they do not hold."""
        if call.group != GROUP or "system:masters" in call.user.groups:
            return
        if call.plural in ("roles", "clusterroles"):
            if old is not None and old.get("rules") == new.get("rules"):
                return
            verb, rules, name = "escalate", new.get("rules") or [], new["metadata"]["name"]
            target = call.plural
        else:
            ref = new["roleRef"]
            verb, name = "bind", ref["name"]
            rules = self._role(ref, call.namespace)
            target = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
        allowed = Attributes(verb, GROUP, target, "", call.namespace, name)
        if self.allowed(call.user, allowed):
            return
        held = list(self.rules(call.user, call.namespace))
        missing = [r for r in rules if not all(any(_covers(h, one) for h in held) for one in _spread(r))]
        if missing:
            raise forbidden(
                call.plural,
                GROUP,
                new["metadata"]["name"],
                (
                    f"user {quote(call.user.name)} (groups={list(call.user.groups)}) is attempting "
                    f"to grant RBAC permissions not currently held:\n" + "\n".join(str(r) for r in missing)
                ),
            )


def _spread(rule: Json) -> Iterator[Attributes]:
    for verb in rule.get("verbs") or ():
        for url in rule.get("nonResourceURLs") or ():
            yield Attributes(verb, path=url)
        for group in rule.get("apiGroups") or ():
            for full in rule.get("resources") or ():
                plural, _, sub = full.partition("/")
                for name in rule.get("resourceNames") or ("",):
                    yield Attributes(verb, group, plural, sub, "", name)


def _subject(binding: Json, user: User) -> str:
    """The subject of a binding that this user is, in words; "" when none."""
    for subject in binding.get("subjects") or ():
        kind, name = subject["kind"], subject["name"]
        if (kind == "User" and user.name == name) or (kind == "Group" and name in user.groups):
            return f"{kind} {quote(name)}"
        if kind == "ServiceAccount":
            space = subject.get("namespace", "")
            if user.name == f"system:serviceaccount:{space}:{name}":
                return f"ServiceAccount {quote(f'{name}/{space}')}"
    return ""


_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_CORE = ["configmaps", "events", "pods", "serviceaccounts"]
_OPEN = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
]


def _rule(verbs: list[str], groups: list[str], resources: list[str]) -> Json:
    return {"verbs": verbs, "apiGroups": groups, "resources": resources}


_ROLES: dict[str, list[Json]] = {
    "cluster-admin": [_rule(["*"], ["*"], ["*"]), {"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "system:discovery": [{"verbs": ["get"], "nonResourceURLs": _DISCOVERY}],
    "system:public-info-viewer": [{"verbs": ["get"], "nonResourceURLs": _OPEN}],
    "system:basic-user": [
        _rule(["create"], ["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
        _rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
    ],
    "system:auth-delegator": [
        _rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
        _rule(["create"], ["authorization.k8s.io"], ["subjectaccessreviews"]),
    ],
    "system:service-account-issuer-discovery": [
        {
            "verbs": ["get"],
            "nonResourceURLs": [
                "/.well-known/openid-configuration",
                "/.well-known/openid-configuration/",
                "/openid/v1/jwks",
                "/openid/v1/jwks/",
            ],
        }
    ],
    "view": [_rule(_READ, [""], [*_CORE, "namespaces"]), _rule(_READ, ["apps"], ["deployments"])],
    "edit": [
        _rule(_READ + _WRITE, [""], [*_CORE, "secrets"]),
        _rule(_READ + _WRITE, ["apps"], ["deployments"]),
        _rule(_READ + _WRITE, ["coordination.k8s.io"], ["leases"]),
        _rule(_READ, [""], ["namespaces"]),
        _rule(["create"], [""], ["serviceaccounts/token"]),
    ],
    "admin": [
        _rule(_READ + _WRITE, [""], [*_CORE, "secrets"]),
        _rule(_READ + _WRITE, ["apps"], ["deployments"]),
        _rule(_READ + _WRITE, ["coordination.k8s.io"], ["leases"]),
        _rule(_READ + _WRITE, [GROUP], ["roles", "rolebindings"]),
        _rule(_READ, [""], ["namespaces"]),
        _rule(["create"], [""], ["serviceaccounts/token"]),
        _rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews"]),
    ],
}
_BOUND = (
    ("cluster-admin", "system:masters"),
    ("system:discovery", "system:authenticated"),
    ("system:basic-user", "system:authenticated"),
    ("system:public-info-viewer", "system:authenticated"),
    ("system:public-info-viewer", "system:unauthenticated"),
    ("system:service-account-issuer-discovery", "system:serviceaccounts"),
)


def bootstrap(store: Store) -> None:
    """The default roles a real server writes at its first start."""

    def stored(plural: str, kind: str, name: str, **more: object) -> None:
        data: Json = {
            "name": name,
            "uid": meta.new_uid(),
            "creationTimestamp": meta.now(),
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        }
        obj: Json = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": data, **more}
        if name in ("view", "edit", "admin"):
            label = f"rbac.authorization.k8s.io/aggregate-to-{name}"
            obj["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}
        store.put(Key(GROUP, plural, "", name), obj)

    for name, rules in _ROLES.items():
        stored("clusterroles", "ClusterRole", name, rules=rules)
    subjects: dict[str, list[Json]] = {}
    for role, group in _BOUND:
        subject = {"kind": "Group", "apiGroup": GROUP, "name": group}
        subjects.setdefault(role, []).append(subject)
    for role, bound in subjects.items():
        ref = {"apiGroup": GROUP, "kind": "ClusterRole", "name": role}
        stored("clusterrolebindings", "ClusterRoleBinding", role, subjects=bound, roleRef=ref)
