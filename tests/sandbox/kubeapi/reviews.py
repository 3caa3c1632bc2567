"""Resources that are questions: access reviews and token reviews. Nothing is stored."""

from __future__ import annotations

from . import meta
from .calls import Call, User, as_dict
from .decode import check_type, parse_body
from .identity import Tokens
from .rbac import Attributes, Rbac
from .status import Json, invalid, invalid_object


def _attributes(spec: Json) -> Attributes:
    path = spec.get("nonResourceAttributes")
    if path:
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    wanted = spec.get("resourceAttributes") or {}
    return Attributes(
        wanted.get("verb", ""),
        wanted.get("group", ""),
        wanted.get("resource", ""),
        wanted.get("subresource", ""),
        wanted.get("namespace", ""),
        wanted.get("name", ""),
    )


def answer(call: Call, rbac: Rbac, tokens: Tokens) -> tuple[int, Json]:
    body = check_type(parse_body(call.body, call.content_type), call.resource)
    body["metadata"] = as_dict(body.get("metadata"))
    spec = as_dict(body.get("spec"))
    kind = call.resource.kind
    if kind == "TokenReview":
        return 201, tokens.review(body)
    if kind == "SelfSubjectReview":
        body["metadata"]["creationTimestamp"] = meta.now()
        info: Json = {"username": call.user.name, "groups": list(call.user.groups)}
        if call.user.uid:
            info["uid"] = call.user.uid
        if call.user.extra:
            info["extra"] = dict(call.user.extra)
        return 201, {**body, "status": {"userInfo": info}}
    if kind == "SelfSubjectRulesReview":
        return 201, {**body, "status": _rules(call.user, spec.get("namespace", ""), rbac)}
    user = call.user
    both = [k for k in ("resourceAttributes", "nonResourceAttributes") if spec.get(k)]
    if len(both) != 1:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        error = invalid("spec.resourceAttributes", spec.get("resourceAttributes"), text)
        raise invalid_object("", call.group, "", [error])
    if kind != "SelfSubjectAccessReview":
        user = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
        if not user.name and not user.groups:
            text = "at least one of user or group must be specified"
            raise invalid_object("", call.group, "", [invalid("spec.user", "", text)])
    want = _attributes(spec)
    reason = rbac.reason(user, want)
    status: Json = {"allowed": reason is not None}
    if reason:
        status["reason"] = reason
    return 201, {**body, "spec": spec, "status": status}


def _rules(user: User, namespace: str, rbac: Rbac) -> Json:
    resource, other = [], []
    for rule in rbac.rules(user, namespace):
        if rule.get("nonResourceURLs"):
            other.append({k: rule[k] for k in ("verbs", "nonResourceURLs")})
        else:
            keys = ("verbs", "apiGroups", "resources", "resourceNames")
            resource.append({k: rule[k] for k in keys if rule.get(k)})
    return {"resourceRules": resource, "nonResourceRules": other, "incomplete": False}
