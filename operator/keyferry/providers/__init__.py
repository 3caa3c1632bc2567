"""Backends: one file (or folder) per backend, strangers to each other, found by name.

``REGISTRY`` names the class of each built-in provider; it is imported on first use, so that an SDK costs nothing where
no store needs it. Belongs here: calling a store's API and mapping its errors. Does not belong here: caching, retries
across objects, properties of documents, Kubernetes writes.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from keyferry.errors import BadSpec
from keyferry.ports import Provider

REGISTRY: Mapping[str, str] = MappingProxyType(
    {
        "fake": "keyferry.providers.fake:Fake",
        "kubernetes": "keyferry.providers.kubernetes:Kubernetes",
        "openBao": "keyferry.providers.vault:OpenBao",
        "vault": "keyferry.providers.vault:Vault",
    }
)
"""``spec.provider`` property → ``module:class``."""


def load(name: str) -> type[Provider]:
    """The class of a provider. Raises ``BadSpec`` for a provider that Keyferry does not have."""
    if name not in REGISTRY:
        served = ", ".join(sorted(REGISTRY))
        raise BadSpec(f'provider "{name}" is not supported by Keyferry', remedy=f"use one of {served}")
    module, _, attribute = REGISTRY[name].partition(":")
    provider: type[Provider] = getattr(importlib.import_module(module), attribute)
    return provider
