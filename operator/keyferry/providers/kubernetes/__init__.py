"""``spec.provider.kubernetes``: Secrets of a namespace of this cluster or another one.

The rules are those of eso-facts 5.6. A key is the name of a Secret; its version is not asked for, as Secrets keep none.
A Secret that does not exist is ``NotThere`` wherever it is asked for, so that the deletion policy counts for ``data``
as it does for ``dataFrom``.
"""

from keyferry.providers.kubernetes.adapter import Kubernetes

__all__ = ["Kubernetes"]
