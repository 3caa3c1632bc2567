"""Azure Key Vault, over Microsoft's SDKs in their asyncio flavour, with one HTTP session per store.

``config``    the models of ``spec.provider.azurekv``
``places``    which hosts a store may talk to
``wire``      how requests travel: connections, TLS, proxies, time-outs
``identity``  who logs in: service principal, managed identity, workload identity
``login``     the token: when it is asked for, and what a refusal means
``answers``   status and code of a vault's answer → error
``door``      calls to one vault
``objects``   secrets, keys and certificates as documents
``shelf``     what need not be downloaded again
``adapter``   the provider
"""

from __future__ import annotations

import logging

from keyferry.providers.azurekv.adapter import AzureKeyVault

__all__ = ["AzureKeyVault"]

# The SDKs log every failure as a warning that quotes the answer; what it means is told by our errors.
logging.getLogger("azure").setLevel(logging.CRITICAL)
