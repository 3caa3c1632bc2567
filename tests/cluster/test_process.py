"""The process: how it starts, waits, stands by, and ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.sandbox.openbao import OpenBao
from tests.support.cluster import Cluster, external_secret, fake, one_key, opaque, store, vault
from tests.support.kubectl import Kubectl
from tests.support.operator import Operator, eventually, ready_condition
from tests.support.processes import ROOT, Process

pytestmark = pytest.mark.cluster


def in_step(kubectl: Kubectl, name: str, namespace: str) -> bool | None:
    """True once the ExternalSecret is Ready."""
    found = ready_condition(kubectl.get("externalsecret", name, namespace))
    assert found.get("status") == "True", str(found)
    return True


def test_sigterm_ends_the_process_with_status_zero_and_revokes_its_tokens(
    cluster: Cluster, namespace: str, bao: OpenBao
) -> None:
    admin = bao.client()
    if "approle/" not in admin.sys.list_auth_methods()["data"]:
        admin.sys.enable_auth_method("approle")
    admin.sys.create_or_update_policy(namespace, f'path "secret/data/{namespace}/*" {{ capabilities = ["read"] }}')
    admin.auth.approle.create_or_update_approle(namespace, token_policies=[namespace], token_ttl="1h")
    role_id = admin.auth.approle.read_role_id(namespace)["data"]["role_id"]
    secret_id = admin.auth.approle.generate_secret_id(namespace)["data"]["secret_id"]
    admin.secrets.kv.v2.create_or_update_secret(f"{namespace}/a", {"k": "v"})
    provider = vault(bao.url, "secret")
    provider["vault"]["auth"] = {
        "appRole": {"path": "approle", "roleId": role_id, "secretRef": {"name": "approle", "key": "secret-id"}}
    }
    cluster.kubectl.apply(
        [
            opaque("approle", namespace, **{"secret-id": secret_id}),
            store(namespace, provider),
            external_secret("es", namespace, data=[one_key("k", f"{namespace}/a", "k")]),
        ]
    )
    operator = Operator(cluster.kubeconfig).start()
    eventually(lambda: in_step(cluster.kubectl, "es", namespace), told=operator.process.tail)
    assert accessors_of(bao, namespace)

    assert operator.stop() == 0

    assert not accessors_of(bao, namespace)
    assert '"msg":"stopped"' in operator.process.tail()


def accessors_of(bao: OpenBao, policy: str) -> list[str]:
    """Accessors of the live tokens that have this policy."""
    admin = bao.client()
    found = []
    for accessor in admin.auth.token.list_accessors()["data"]["keys"]:
        try:
            token = admin.auth.token.lookup_accessor(accessor)["data"]
        except Exception:  # noqa: BLE001 -- it was revoked between the list and this
            continue
        if policy in token["policies"]:
            found.append(accessor)
    return found


def test_it_waits_for_the_crds_and_says_so(folder: Path) -> None:
    kubeconfig = folder / "kubeconfig"
    with Process("tests.sandbox", "--kubeconfig", str(kubeconfig)) as server:
        server.wait_for(lambda line: "kubeconfig" in line)
        kubectl = Kubectl(kubeconfig)
        operator = Operator(kubeconfig)
        try:
            operator.start(ready=False)
            operator.process.wait_for(lambda line: "are not installed" in str(line.get("reason")))
            assert operator.get("live", "/readyz")[0] == 503
            assert operator.get("live", "/healthz")[0] == 200

            kubectl.run("apply", "-f", str(ROOT / "crds"))
            operator.wait_ready()
            kubectl.apply(
                [store("default", fake({"k": "v"})), external_secret("es", "default", data=[one_key("k", "k")])]
            )

            eventually(lambda: in_step(kubectl, "es", "default"), told=operator.process.tail)
        finally:
            operator.stop()


def test_it_waits_for_the_api_server_and_survives_its_absence(folder: Path) -> None:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n"
    )
    operator = Operator(kubeconfig).start(ready=False)

    line = operator.process.wait_for(lambda each: each.get("msg") == "waiting for the API server")

    assert line["reason"]
    assert operator.get("live", "/readyz")[0] == 503
    assert operator.stop() == 0


def test_of_two_replicas_one_works_and_the_other_takes_over_when_it_ends(cluster: Cluster, namespace: str) -> None:
    flags = {
        "enable_leader_election": "true",
        "leader_election_namespace": namespace,
        "leader_election_lease_duration": "3s",
        "leader_election_renew_deadline": "2s",
        "leader_election_retry_period": "500ms",
    }
    first = Operator(cluster.kubeconfig, **flags).start()
    second = Operator(cluster.kubeconfig, **flags)
    try:
        eventually(lambda: first.metric("leader_election_master_status") == 1 or None, told=first.process.tail)
        second.start()
        assert second.get("live", "/readyz")[0] == 200
        assert second.metric("leader_election_master_status") == 0
        cluster.kubectl.apply(
            [store(namespace, fake({"k": "v"})), external_secret("one", namespace, data=[one_key("k", "k")])]
        )
        eventually(lambda: in_step(cluster.kubectl, "one", namespace), told=first.process.tail)
        assert second.metric("externalsecret_sync_calls_total") == 0

        assert first.stop() == 0

        eventually(lambda: second.metric("leader_election_master_status") == 1 or None, told=second.process.tail)
        cluster.kubectl.apply(external_secret("two", namespace, data=[one_key("k", "k")]))
        eventually(lambda: in_step(cluster.kubectl, "two", namespace), told=second.process.tail)
        second.kill()
        third = Operator(cluster.kubeconfig, **flags).start()
        eventually(lambda: third.metric("leader_election_master_status") == 1 or None, told=third.process.tail)
        assert third.stop() == 0
    finally:
        for each in (first, second):
            if not each.process.ended:
                each.stop()


def test_a_process_for_some_namespaces_leaves_the_others_alone(cluster: Cluster, namespace: str) -> None:
    with Operator(cluster.kubeconfig, namespace=namespace) as operator:
        for where in (namespace, "default"):
            cluster.kubectl.apply(
                [store(where, fake({"k": "v"})), external_secret("scoped", where, data=[one_key("k", "k")])]
            )
        eventually(lambda: in_step(cluster.kubectl, "scoped", namespace), told=operator.process.tail)

        assert ready_condition(cluster.kubectl.get("externalsecret", "scoped", "default")) == {}
    cluster.kubectl.run("delete", "externalsecret/scoped", "secretstore/store", "-n", "default")


def test_sigusr1_tells_what_is_due_and_where_every_task_waits(operator: Operator) -> None:
    operator.process.send(signal.SIGUSR1)

    waiting = operator.process.wait_for(lambda each: each.get("msg") == "waiting for a worker")
    assert waiting["due"] == 0, str(waiting)
    line = operator.process.wait_for(lambda each: each.get("msg") == "task" and "worker" in str(each.get("task")))

    assert any("kits/workqueue.py" in frame for frame in line["stack"]), str(line)
