"""Which resources are served: the built-in ones and those of installed CRDs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .builtin_schemas import SCHEMAS
from .schema import Node, parse
from .status import Json
from .store import Bucket

ALL_VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One resource in one served version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    node: Node
    custom: bool = False
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    has_status: bool = False
    has_generation: bool = False
    # As the real registries: may PUT create, may PUT come without a resourceVersion?
    put_creates: bool = False
    put_needs_rv: bool = False
    name_style: str = "subdomain"
    fields: frozenset[str] = frozenset({"metadata.name", "metadata.namespace"})
    columns: tuple[Json, ...] = ()
    deprecation: str = ""
    stored_as: tuple[str, str] = ("", "")  # another resource's storage, for the two Events

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def bucket(self) -> Bucket:
        return self.stored_as if self.stored_as[1] else (self.group, self.plural)


@dataclass(slots=True)
class Registry:
    # (group, version, plural) to resource
    served: dict[tuple[str, str, str], Resource] = field(default_factory=dict)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self.served.get((group, version, plural))

    def add(self, resource: Resource) -> None:
        self.served[(resource.group, resource.version, resource.plural)] = resource

    def drop(self, group: str, plural: str) -> None:
        for key in [k for k in self.served if k[0] == group and k[2] == plural]:
            del self.served[key]

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """For owner references, which name a kind."""
        group, _, version = api_version.rpartition("/")
        for resource in self.served.values():
            if (resource.group, resource.version, resource.kind) == (group, version, kind):
                return resource
        return None

    def of_bucket(self, bucket: Bucket) -> Resource | None:
        for resource in self.served.values():
            if (resource.group, resource.plural) == bucket:
                return resource
        return None

    def groups(self) -> dict[str, list[str]]:
        """Named groups with their versions, the preferred one first."""
        found: dict[str, list[str]] = {}
        for resource in self.served.values():
            if resource.group:
                versions = found.setdefault(resource.group, [])
                if resource.version not in versions:
                    versions.append(resource.version)
        for versions in found.values():
            versions.sort(key=priority)
        return found

    def in_version(self, group: str, version: str) -> Iterator[Resource]:
        for resource in self.served.values():
            if (resource.group, resource.version) == (group, version):
                yield resource


def priority(version: str) -> tuple[int, int, int, str]:
    """Kubernetes' order of versions: GA before beta before alpha, newer before older."""
    import re

    match = re.match(r"^v(\d+)(?:(alpha|beta)(\d+))?$", version)
    if match is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), version)


_EVENT_FIELDS = frozenset(
    {"metadata.name", "metadata.namespace", "reason", "reportingComponent", "source", "type"}
    | {
        f"involvedObject.{k}"
        for k in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    }
)
_BASIC = frozenset({"metadata.name", "metadata.namespace"})
_RBAC = "rbac.authorization.k8s.io"


def builtin() -> Registry:
    registry = Registry()

    def add(
        group: str,
        plural: str,
        kind: str,
        namespaced: bool = True,
        short: str = "",
        **more: object,
    ) -> None:
        registry.add(
            Resource(
                group=group,
                version="v1",
                plural=plural,
                kind=kind,
                namespaced=namespaced,
                node=parse(SCHEMAS[(group, plural)]),
                singular=kind.lower(),
                list_kind=f"{kind}List",
                short_names=tuple(short.split()),
                **more,  # type: ignore[arg-type] # the columns of a table of options
            )
        )

    add(
        "",
        "namespaces",
        "Namespace",
        False,
        "ns",
        has_status=True,
        name_style="label",
        verbs=tuple(v for v in ALL_VERBS if v != "deletecollection"),
        fields=_BASIC | {"status.phase"},
    )
    add("", "secrets", "Secret", fields=_BASIC | {"type"})
    add("", "configmaps", "ConfigMap", short="cm")
    add("", "serviceaccounts", "ServiceAccount", short="sa")
    add("", "events", "Event", short="ev", put_creates=True, fields=_EVENT_FIELDS)
    add(
        "",
        "pods",
        "Pod",
        short="po",
        has_status=True,
        categories=("all",),
        fields=_BASIC | {"spec.nodeName", "status.phase", "spec.serviceAccountName", "spec.restartPolicy"},
    )
    add(
        "events.k8s.io", "events", "Event", short="ev", put_creates=True, fields=_EVENT_FIELDS, stored_as=("", "events")
    )
    add("apps", "deployments", "Deployment", short="deploy", has_status=True, has_generation=True, categories=("all",))
    add("coordination.k8s.io", "leases", "Lease", put_creates=True, put_needs_rv=True)
    for plural, kind, namespaced in (
        ("roles", "Role", True),
        ("rolebindings", "RoleBinding", True),
        ("clusterroles", "ClusterRole", False),
        ("clusterrolebindings", "ClusterRoleBinding", False),
    ):
        add(_RBAC, plural, kind, namespaced, put_creates=True, name_style="path")
    add(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        False,
        "crd crds",
        has_status=True,
        has_generation=True,
        put_needs_rv=True,
        categories=("api-extensions",),
    )
    review = ("create",)
    add("authentication.k8s.io", "tokenreviews", "TokenReview", False, verbs=review)
    add("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", False, verbs=review)
    for plural, kind in (
        ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        ("subjectaccessreviews", "SubjectAccessReview"),
        ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    ):
        add("authorization.k8s.io", plural, kind, False, verbs=review)
    add("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", verbs=review)
    return registry
