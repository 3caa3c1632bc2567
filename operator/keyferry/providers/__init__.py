"""Backends: one file (or folder) per backend, strangers to each other, found by name.

``REGISTRY`` names the class of each built-in provider; other packages declare theirs as entry points of the group
``keyferry.providers``, by the property of ``spec.provider`` that selects them. A class is imported on first use, so
that an SDK costs nothing where no store needs it.

Belongs here: calling a store's API and mapping its errors. Does not belong here: caching, retries across objects,
properties of documents, Kubernetes writes.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from keyferry.errors import BadSpec
from keyferry.ports import Provider
from keyferry.telemetry import get_logger

GROUP = "keyferry.providers"
"""The entry points of providers from other packages."""
_OWED = ("name", "label", "capabilities", "layout", "Config", "open", "read", "validate", "aclose")
_log = get_logger(__name__)

REGISTRY: Mapping[str, str] = MappingProxyType(
    {
        "aws": "keyferry.providers.aws:Aws",
        "azurekv": "keyferry.providers.azurekv:AzureKeyVault",
        "fake": "keyferry.providers.fake:Fake",
        "gcpsm": "keyferry.providers.gcpsm:Gcpsm",
        "gitlab": "keyferry.providers.gitlab:GitLab",
        "kubernetes": "keyferry.providers.kubernetes:Kubernetes",
        "openBao": "keyferry.providers.vault:OpenBao",
        "pulumi": "keyferry.providers.pulumi:Pulumi",
        "vault": "keyferry.providers.vault:Vault",
        "webhook": "keyferry.providers.webhook:Webhook",
    }
)
"""``spec.provider`` property → ``module:class``."""


def load(name: str) -> type[Provider]:
    """The class of a provider.

    Raises ``BadSpec`` for a provider that nobody has, and for one of another package that cannot be imported or is no
    provider; its stores say so, and no others.
    """
    if name in REGISTRY:
        module, _, attribute = REGISTRY[name].partition(":")
        provider: type[Provider] = getattr(importlib.import_module(module), attribute)
        return provider
    if name in outsiders():
        return _outsider(outsiders()[name])
    served = ", ".join(sorted({*REGISTRY, *outsiders()}))
    raise BadSpec(f'provider "{name}" is not supported by Keyferry', remedy=f"use one of {served}")


@cache
def outsiders() -> Mapping[str, EntryPoint]:
    """The providers of other packages. The name of a built-in one is not theirs to take; one of two equals wins."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda each: (each.name, _package(each))):
        if point.name in REGISTRY or point.name in found:
            _log.warning("provider left out: its name is taken", provider=point.name, package=_package(point))
            continue
        found[point.name] = point
    return MappingProxyType(found)


def _outsider(point: EntryPoint) -> type[Provider]:
    blame = f'provider "{point.name}" of package {_package(point)}'
    try:
        provider: Any = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- an import may fail with anything
        raise BadSpec(
            f"{blame} cannot be imported ({type(error).__name__}: {error})", remedy="mend or reinstall the package"
        ) from None
    lacking = [each for each in _OWED if not hasattr(provider, each)]
    if lacking:
        raise BadSpec(f"{blame} is no provider: it lacks {', '.join(lacking)}", remedy="see keyferry.ports.Provider")
    if provider.name != point.name:
        raise BadSpec(f'{blame} calls itself "{provider.name}"', remedy="declare the entry point under that name")
    found: type[Provider] = provider
    return found


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module
