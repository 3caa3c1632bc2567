"""HashiCorp Vault and OpenBao, KV secrets engine, over ``hvac`` in bounded threads.

``config``    the models of ``spec.provider.vault`` and ``spec.provider.openBao``
``places``    key of a manifest → mount and path on the server
``answers``   HTTP status → error
``session``   one server: TLS, headers, proxies, retries; a request in, an answer out
``auth``      how to log in
``iam``       the same with an identity of AWS, ``gcp`` of Google Cloud; imported where a store asks for them
``tokens``    when to log in, renew and revoke
``kv``        reading and listing the KV secrets engine
``adapter``   the two providers
"""

from __future__ import annotations

from keyferry.providers.vault.adapter import OpenBao, Vault

__all__ = ["OpenBao", "Vault"]
