"""A Kubernetes API server in memory, for tests and the demo on a machine with only Python.

It is small, and as strict as a real kube-apiserver wherever Keyferry or its users' tools touch it:
the same contract tests (`tests/contract/kubeapi`) run against both. Where it is laxer, that is a
bug; what is known is listed below.

    async with KubeApi(controllers=True) as api:
        api.url, api.ca_pem, api.admin_token
        api.kubeconfig_path(tmp_path)                     # an admin's; certificate=True for mTLS
        api.account_kubeconfig(tmp_path, "ns", "name")    # a ServiceAccount's: RBAC is real
        api.requests.count(verb="update", resource="secrets", user_agent="keyferry")
        api.requests.writes(namespace="ns")
        api.secret_versions("ns", "name")                 # every version a Secret ever had
        api.faults.fail(429, count=3, match=Match(resource="secrets"), retry_after=1)
        api.faults.slow(0.5), api.faults.hang_watches(), api.faults.clear()
        api.faults.expire_watches(), api.faults.drop_connections()
        await api.restart(seconds=2)
        assert not api.errors                             # bugs of the sandbox itself

`controllers=False` leaves out the garbage collector and the namespace controller, as an envtest
control plane (etcd and kube-apiserver alone) does.

    python -m tests.sandbox.kubeapi --kubeconfig PATH [--port 0] [--no-controllers]

prints one JSON line with its url when ready and runs until SIGTERM. The same levers are then at
`POST /sandbox/faults/{fail,slow,hang-watches,expire-watches,drop-connections,restart,clear}`,
`GET|DELETE /sandbox/requests?verb=...` and `GET /sandbox/secrets/<ns>/<name>/versions`, for admins.

The server runs in the caller's event loop: a blocking client in the same thread would wait for itself.

Laxer than the real one: CEL rules are checked for syntax, names and types, not for their cost, and
errors do not tell the column; Pods and Deployments are stored, hardly validated; field ownership
ignores differences between versions of one kind; protobuf is read, never written; there is no scale
subresource, no gzip, no priority and fairness, no admission webhook. A few texts for malformed bodies
and selectors are shorter than the real ones, because those repeat the body.
"""

from .faults import ANY, Faults, Match, Request, RequestLog
from .server import KubeApi

__all__ = ["ANY", "Faults", "KubeApi", "Match", "Request", "RequestLog"]
