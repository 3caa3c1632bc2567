"""A stand-in for Google Cloud: Secret Manager over gRPC and the servers that give out tokens, on loopback.

``store``     secrets, versions, rights
``accounts``  service accounts, keys, tokens
``rpcs``      Secret Manager's RPCs with the SDK's own messages
``identity``  OAuth, STS, IAM credentials, GKE's binding tokens, metadata servers
``front``     TLS before the RPCs, and trouble on the way
``server``    all of it together
"""

from __future__ import annotations

from tests.sandbox.gcp.server import NUMBER, OWN, PROJECT, REGION, Gcp

__all__ = ["NUMBER", "OWN", "PROJECT", "REGION", "Gcp"]
