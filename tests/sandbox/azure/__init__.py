"""Azure for tests and demos: Key Vault, Entra ID and the metadata service of a node, on loopback."""

from __future__ import annotations

from tests.sandbox.azure.cloud import CLOUDS, AzureCloud, Fault
from tests.sandbox.azure.entra import TENANT, Application, Entra, Federated, Issuer, certificate
from tests.sandbox.azure.vault import ALL, LARGEST, READ, Vault

__all__ = [
    "ALL",
    "CLOUDS",
    "LARGEST",
    "READ",
    "TENANT",
    "Application",
    "AzureCloud",
    "Entra",
    "Fault",
    "Federated",
    "Issuer",
    "Vault",
    "certificate",
]
