from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from keyferry.providers import load
from keyferry.providers.vault import OpenBao, Vault
from keyferry.providers.vault.config import OpenBaoAppRole, OpenBaoAuth, OpenBaoConfig, VaultConfig

REF = {"name": "s", "key": "k"}
ACCOUNT = {"name": "a", "audiences": ["x"]}

FULL: dict[str, Any] = {
    "server": "https://vault:8200",
    "path": "secret",
    "version": "v2",
    "namespace": "ns",
    "caBundle": "Q0E=",
    "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"},
    "tls": {"certSecretRef": {"name": "s"}, "keySecretRef": {"name": "s"}},
    "headers": {"X-A": "b"},
    "readYourWrites": True,
    "forwardInconsistent": False,
    "checkAndSet": {"required": True},
    "auth": {
        "namespace": "ns",
        "tokenSecretRef": REF,
        "appRole": {"path": "approle", "roleId": "r", "roleRef": REF, "secretRef": REF},
        "kubernetes": {"mountPath": "kubernetes", "role": "r", "serviceAccountRef": ACCOUNT, "secretRef": REF},
        "ldap": {"path": "ldap", "username": "u", "secretRef": REF},
        "userPass": {"path": "userpass", "username": "u", "secretRef": REF},
        "jwt": {
            "path": "jwt",
            "role": "r",
            "secretRef": REF,
            "kubernetesServiceAccountToken": {
                "serviceAccountRef": ACCOUNT,
                "audiences": ["vault"],
                "expirationSeconds": 600,
            },
        },
        "cert": {"path": "cert", "vaultRole": "r", "clientCert": REF, "secretRef": REF},
        "iam": {
            "path": "aws",
            "region": "eu-central-1",
            "role": "arn",
            "vaultRole": "r",
            "externalID": "e",
            "vaultAwsIamServerID": "v",
            "secretRef": {
                "accessKeyIDSecretRef": REF,
                "secretAccessKeySecretRef": REF,
                "sessionTokenSecretRef": REF,
            },
            "jwt": {"serviceAccountRef": ACCOUNT},
        },
        "gcp": {
            "path": "gcp",
            "role": "r",
            "projectID": "p",
            "location": "l",
            "secretRef": {"secretAccessKeySecretRef": REF},
            "workloadIdentity": {
                "serviceAccountRef": ACCOUNT,
                "clusterLocation": "l",
                "clusterName": "n",
                "clusterProjectID": "p",
            },
            "serviceAccountRef": ACCOUNT,
        },
    },
}


def test_every_field_is_taken_under_its_name() -> None:
    assert VaultConfig.parse(FULL).model_dump(by_alias=True, exclude_unset=True) == FULL


def test_what_has_a_default_may_be_left_out() -> None:
    config = VaultConfig.parse(
        {
            "server": "s",
            "auth": {
                "appRole": {"secretRef": {}},
                "kubernetes": {"role": "r"},
                "ldap": {"username": "u"},
                "userPass": {"username": "u"},
                "jwt": {},
                "cert": {},
            },
        }
    )
    auth = config.auth
    assert auth
    assert auth.app_role
    assert auth.kubernetes
    assert auth.ldap
    assert auth.user_pass
    assert auth.jwt
    assert auth.cert
    assert (config.version, auth.app_role.path, auth.kubernetes.mount_path) == ("v2", "approle", "kubernetes")
    assert (auth.ldap.path, auth.user_pass.path, auth.jwt.path, auth.cert.path) == ("ldap", "userpass", "jwt", "cert")


def test_another_version_than_v1_and_v2_is_refused() -> None:
    with pytest.raises(ValidationError):
        VaultConfig.model_validate({"server": "s", "version": "v3"})


def test_every_field_is_described() -> None:
    def fields(schema: dict[str, Any]) -> list[str]:
        models = [schema, *schema["$defs"].values()]
        return [
            f"{model['title']}.{name}"
            for model in models
            for name, field in model.get("properties", {}).items()
            if not field.get("description")
        ]

    for model in (VaultConfig, OpenBaoConfig):
        assert fields(model.model_json_schema(by_alias=True)) == []


def test_the_rules_of_the_openbao_provider_are_in_its_schema() -> None:
    assert [rule.rule for rule in OpenBaoConfig.rules] == [
        "[has(self.caBundle),has(self.caProvider)].filter(x,x==true).size() <= 1"
    ]
    assert [rule.rule for rule in OpenBaoAuth.rules] == [
        "[has(self.appRole),has(self.tokenSecretRef),has(self.userPass)].filter(x,x==true).size() == 1"
    ]
    assert [rule.rule for rule in OpenBaoAppRole.rules] == [
        "[has(self.roleId),has(self.roleRef)].filter(x,x==true).size() == 1"
    ]


@pytest.mark.parametrize("provider", [Vault, OpenBao])
def test_both_providers_are_in_the_registry_and_can_search(provider: type[Vault | OpenBao]) -> None:
    assert load(provider.name) is provider
    for method in ("open", "read", "validate", "aclose", "find"):
        assert callable(getattr(provider, method))
