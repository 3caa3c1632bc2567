"""The rights that the chart grants, and those that were used: by the sandbox's own record or a real one's audit log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.support.chart import container, rendered
from tests.support.cluster import Cluster
from tests.support.operator import Operator

_RIGHTS = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
FINALIZERS = "externalsecrets/finalizers"
"""Looked at by an admission plugin; no request is made for it."""


class Right(NamedTuple):
    """``namespace`` is "" for what is granted everywhere; ``resource`` has the subresource behind a slash."""

    namespace: str
    verb: str
    group: str
    resource: str


@dataclass(frozen=True)
class Account:
    """The ServiceAccount of a release, with the chart's rights and no others."""

    cluster: Cluster
    namespace: str
    objects: list[dict[str, Any]]
    kubeconfig: Path

    @property
    def user(self) -> str:
        """Its name, as the API server knows it."""
        (name,) = [each["metadata"]["name"] for each in self.objects if each["kind"] == "ServiceAccount"]
        return f"system:serviceaccount:{self.namespace}:{name}"

    def operator(self) -> Operator:
        """The operator with this account, and with the flags of the release's Deployment but its ports."""
        flags = dict(each.removeprefix("--").split("=", 1) for each in container(self.objects)["args"][1:])
        # In a pod it comes from POD_NAMESPACE.
        flags |= {"leader-election-namespace": self.namespace}
        own = {"metrics-addr", "live-addr"}
        return Operator(self.kubeconfig, **{k.replace("-", "_"): v for k, v in flags.items() if k not in own})

    def granted(self) -> set[Right]:
        """What the release's roles grant to this account."""
        bound = {
            (each["roleRef"]["kind"], each["metadata"].get("namespace", ""), each["roleRef"]["name"])
            for each in self.objects
            if each["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        }
        roles = [each for each in self.objects if each["kind"] in {"Role", "ClusterRole"}]
        return {
            Right(namespace, verb, group, resource)
            for role in roles
            for namespace in (role["metadata"].get("namespace", ""),)
            if (role["kind"], namespace, role["metadata"]["name"]) in bound
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    def used(self) -> tuple[set[Right], list[str]]:
        """Which of these rights requests were made with, and the requests that nothing allowed."""
        granted = self.granted()
        used: set[Right] = set()
        refused: list[str] = []
        for allowed, right in self._requests():
            everywhere = right._replace(namespace="")
            used |= {each for each in (right, everywhere) if each in granted}
            if not allowed:
                refused.append(str(right))
        return used, refused

    def _requests(self) -> Iterator[tuple[bool, Right]]:
        # A namespace that is going away refuses what roles allow, with the same status: those of other tests may be.
        if self.cluster.audit:
            for line in Path(self.cluster.audit).read_text("utf-8").splitlines():
                event = json.loads(line)
                what = event.get("objectRef")
                if what and event["user"]["username"] == self.user:
                    resource = "/".join(filter(None, (what["resource"], what.get("subresource", ""))))
                    right = Right(what.get("namespace", ""), event["verb"], what.get("apiGroup", ""), resource)
                    yield event["annotations"]["authorization.k8s.io/decision"] == "allow", right
        else:
            asked = self.cluster.kubectl.run("get", "--raw", f"/sandbox/requests?user={self.user}")
            for each in json.loads(asked)["items"]:
                if each["resource"]:
                    resource = "/".join(filter(None, (each["resource"], each["subresource"])))
                    right = Right(each["namespace"], each["verb"], each["group"], resource)
                    yield each["code"] != 403 or self._going(right.namespace), right

    def _going(self, namespace: str) -> bool:
        found = self.cluster.kubectl.get("namespace", namespace) if namespace else {}
        return found is None or found.get("status", {}).get("phase") == "Terminating"


@contextmanager
def account(cluster: Cluster, namespace: str, values: Mapping[str, Any], folder: Path) -> Iterator[Account]:
    """A release's account and roles, applied; what they have outside of namespaces goes at the end."""
    name = f"kf-{namespace}"
    objects = rendered(values, name=name, namespace=namespace)
    rights = [each for each in objects if each["kind"] in _RIGHTS]
    cluster.kubectl.apply(rights)
    try:
        (who,) = [each["metadata"]["name"] for each in rights if each["kind"] == "ServiceAccount"]
        token = cluster.kubectl.run("create", "token", who, "-n", namespace).strip()
        administrator = yaml.safe_load(cluster.kubeconfig.read_text())
        path = folder / f"{name}.yaml"
        users = [{"name": each["name"], "user": {"token": token}} for each in administrator["users"]]
        path.write_text(yaml.safe_dump({**administrator, "users": users}))
        yield Account(cluster, namespace, objects, path)
    finally:
        _forget(cluster, rights)


def _forget(cluster: Cluster, objects: Iterable[Mapping[str, Any]]) -> None:
    named = [
        f"{each['kind'].lower()}/{each['metadata']['name']}" for each in objects if each["kind"].startswith("Cluster")
    ]
    if named:
        cluster.kubectl.run("delete", *named)
