"""What the server says about itself: /api, /apis, /version and aggregated discovery."""

from __future__ import annotations

from .registry import Registry, Resource
from .status import Json

VERSION: Json = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_CUSTOM_VERBS = (
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
)
_ALL_STATUS = ("get", "patch", "update")


def _subresources(resource: Resource) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Name, kind, api version and verbs."""
    found: list[tuple[str, str, str, tuple[str, ...]]] = []
    if resource.has_status:
        found.append(("status", resource.kind, "", _ALL_STATUS))
    if resource.bucket == ("", "serviceaccounts"):
        found.append(("token", "TokenRequest", "authentication.k8s.io/v1", ("create",)))
    if resource.bucket == ("", "namespaces"):
        found.append(("finalize", "Namespace", "", ("update",)))
    return found


def api_versions(address: str) -> Json:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def _group(name: str, versions: list[str]) -> Json:
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(registry: Registry) -> Json:
    groups = [_group(name, versions) for name, versions in registry.groups().items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Json | None:
    versions = registry.groups().get(name)
    if versions is None:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resource_list(registry: Registry, group_name: str, version: str) -> Json | None:
    resources: list[Json] = []
    for resource in registry.in_version(group_name, version):
        entry: Json = {
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(_CUSTOM_VERBS) if resource.custom else sorted(resource.verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        resources.append(entry)
        for name, kind, api_version, verbs in _subresources(resource):
            sub: Json = {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": list(verbs),
            }
            if api_version:
                sub["group"], _, sub["version"] = api_version.rpartition("/")
            resources.append(sub)
    if not resources:
        return None
    full = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": full, "resources": resources}


def aggregated(registry: Registry, core: bool) -> Json:
    groups = {"": ["v1"]} if core else registry.groups()
    items = []
    for name, versions in groups.items():
        metadata: Json = {"creationTimestamp": None}
        if name:
            metadata["name"] = name
        items.append(
            {
                "metadata": metadata,
                "versions": [_version(registry, name, version) for version in versions],
            }
        )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _version(registry: Registry, name: str, version: str) -> Json:
    resources = []
    for resource in registry.in_version(name, version):
        entry: Json = {
            "resource": resource.plural,
            "responseKind": {"group": name, "version": version, "kind": resource.kind},
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "singularResource": resource.singular,
            "verbs": sorted(resource.verbs),
        }
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        subs = []
        for sub, kind, api_version, verbs in _subresources(resource):
            sub_group, _, sub_version = (api_version or f"{name}/{version}").rpartition("/")
            subs.append(
                {
                    "subresource": sub,
                    "verbs": list(verbs),
                    "responseKind": {"group": sub_group, "version": sub_version, "kind": kind},
                }
            )
        if subs:
            entry["subresources"] = subs
        resources.append(entry)
    return {"version": version, "resources": resources, "freshness": "Current"}
