from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from keyferry.errors import BadSpec
from keyferry.kubehttp.inline import parse

CANARY = "canary-0e44"
WHERE = "authRef"


def kubeconfig(
    user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, current: str = "here", **changes: Any
) -> dict[str, Any]:
    return {
        "current-context": current,
        "contexts": [
            {"name": "there", "context": {"cluster": "x", "user": "y"}},
            {"name": "here", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://c.example"} | (cluster or {})}],
        "users": [
            {"name": "y", "user": {"exec": {"command": "sh"}}},
            {"name": "u", "user": user or {}},
        ],
    } | changes


def read(content: object) -> Any:
    return parse(yaml.safe_dump(content).encode(), where=WHERE)


def test_the_current_contexts_data_are_read_and_other_contexts_do_not_matter() -> None:
    encoded = {name: base64.b64encode(name.encode()).decode() for name in ("ca", "cert", "key")}
    found = read(
        kubeconfig(
            {
                "client-certificate-data": encoded["cert"],
                "client-key-data": f"{encoded['key']}\n",
                "token": "t",
                "username": "n",
                "password": "p",
            },
            {"certificate-authority-data": encoded["ca"], "insecure-skip-tls-verify": True},
        )
    )
    assert (found.server, found.ca, found.cert, found.key) == ("https://c.example", b"ca", b"cert", b"key")
    assert (found.token, found.username, found.password, found.insecure) == ("t", "n", "p", True)


def test_a_context_without_user_is_anonymous() -> None:
    found = read(kubeconfig(contexts=[{"name": "here", "context": {"cluster": "c"}}]))
    assert (found.token, found.cert) == ("", None)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("cluster", "certificate-authority"),
        ("user", "exec"),
        ("user", "auth-provider"),
        ("user", "tokenFile"),
        ("user", "client-certificate"),
        ("user", "client-key"),
        ("user", "as"),
        ("user", "as-uid"),
        ("user", "as-groups"),
        ("user", "as-user-extra"),
    ],
)
def test_whatever_starts_a_program_reads_a_file_or_changes_who_we_are_is_refused(kind: str, field: str) -> None:
    part: Any = {field: {CANARY: CANARY}}
    content = kubeconfig(part) if kind == "user" else kubeconfig(cluster=part)
    with pytest.raises(BadSpec) as caught:
        read(content)
    assert caught.value.message == f"authRef: {kind}.{field} is not allowed in a kubeconfig of a store"
    assert caught.value.remedy
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is no YAML object"),
        ({}, "names no current context"),
        (kubeconfig(current="nowhere"), "current context is not among its contexts"),
        (kubeconfig(contexts=None), "current context is not among its contexts"),
        (kubeconfig(clusters=[{"name": "c"}]), "current cluster is not among its clusters"),
        (kubeconfig(users=[1]), "current user is not among its users"),
        (kubeconfig({"token": 7}), "token of the kubeconfig is no text"),
        (kubeconfig({"client-key-data": CANARY}), "client-key-data of the kubeconfig is no base64"),
        (kubeconfig({"client-key-data": "aaaa"}), "client-certificate-data and client-key-data need each other"),
    ],
)
def test_what_cannot_be_used_is_a_bad_spec(content: object, message: str) -> None:
    with pytest.raises(BadSpec) as caught:
        read(content)
    assert message in str(caught.value)
    assert str(caught.value).startswith("authRef: ")


@pytest.mark.parametrize(
    "document", [f"a: [{CANARY}".encode(), f"{CANARY}: \xff".encode("latin-1"), b"\x00", b"&a [*a"]
)
def test_what_is_no_yaml_is_a_bad_spec_without_it(document: bytes) -> None:
    with pytest.raises(BadSpec, match="is no YAML") as caught:
        parse(document, where=WHERE)
    assert CANARY not in f"{caught.value!r} {vars(caught.value)}"
    assert caught.value.__suppress_context__


def test_no_credential_is_shown_by_a_repr() -> None:
    assert CANARY not in repr(read(kubeconfig({"token": CANARY, "password": CANARY})))
