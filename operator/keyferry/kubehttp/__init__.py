"""A JSON door to one Kubernetes API server: configuration, credentials, connections, errors.

Belongs here: what every caller of an API server needs, whatever it asks for. Does not belong here: kinds, paths,
retries, bookkeeping of watches.
"""

from keyferry.kubehttp.client import KubeHttp
from keyferry.kubehttp.config import Endpoint
from keyferry.kubehttp.error import KubeError

__all__ = ["Endpoint", "KubeError", "KubeHttp"]
