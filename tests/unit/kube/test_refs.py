from __future__ import annotations

import base64
import datetime as dt
import itertools
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keyferry.api.common import CAProvider, SecretKeySelector, ServiceAccountSelector
from keyferry.errors import BadSpec, KeyferryError, Unreachable
from keyferry.kube.client import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, ObjectKey
from keyferry.kube.dependencies import Dependencies
from keyferry.kube.refs import StoreCredentials
from keyferry.kubehttp import KubeError
from keyferry.ports import CallerNeeded, StoreIdentity
from tests.support.memorykube import MemoryKube
from tests.support.objects import secret_body
from tests.support.virtual import run, virtual

NAMESPACES = ("home", "away", "caller")
CANARY = b"canary-c0ffee"


def certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


PEM = certificate()


class World:
    """Every namespace has the same objects; what is read tells from where."""

    def __init__(self) -> None:
        self.server = MemoryKube()
        for namespace in NAMESPACES:
            data = {"token": namespace.encode(), "ca.crt": PEM, "x": CANARY}
            self.server.put(SECRETS, secret_body("login", namespace, data=data, labels={"use": "this"}))
            body = {"metadata": {"name": "login", "namespace": namespace, "annotations": {"from": namespace}}}
            self.server.put(CONFIG_MAPS, {**body, "data": {"ca.crt": PEM.decode()}})
            self.server.put(SERVICE_ACCOUNTS, body)
        self.server.requests.clear()
        self.dependencies = Dependencies(
            self.server.kube,
            lambda _: None,
            namespaces=("nowhere",),
            idle_timeout=70,
            restarted=lambda _resource, _reason: None,
        )

    def credentials(
        self, kind: str, caller: str, token: Path = Path("/none"), *, lend: bool = False
    ) -> StoreCredentials:
        cluster = kind == "ClusterSecretStore"
        identity = StoreIdentity(
            kind="ClusterSecretStore" if cluster else "SecretStore",
            name="store",
            namespace="" if cluster else "home",
            caller=caller if cluster else "home",
        )
        return StoreCredentials(self.server.kube, identity, self.dependencies, lend_own_token=lend, own_token=token)

    @property
    def reached(self) -> set[str]:
        """Namespaces in which an object of ours was asked for."""
        parts = (path.split("/") for _, path in self.server.requests)
        return {found[found.index("namespaces") + 1] for found in parts} - {"nowhere"}


async def use(credentials: StoreCredentials, what: str, namespace: str | None) -> None:
    if what == "secret":
        selector = SecretKeySelector(name="login", namespace=namespace, key="token")
        await credentials.secret(selector, where="spec.auth")
    elif what == "labelled":
        selector = SecretKeySelector(name="login", namespace=namespace)
        await credentials.labelled_secret(selector, where="spec.auth", label=("use", "this"))
    elif what == "token":
        selected = ServiceAccountSelector(name="login", namespace=namespace)
        await credentials.service_account_token(selected, where="spec.auth")
    elif what == "annotations":
        selected = ServiceAccountSelector(name="login", namespace=namespace)
        await credentials.service_account_annotations(selected, where="spec.auth")
    elif what == "config map":
        await credentials.config_map("login", "ca.crt", namespace=namespace, where="spec.auth")
    else:
        kind = "Secret" if what == "ca secret" else "ConfigMap"
        provider = CAProvider(type=kind, name="login", namespace=namespace)
        await credentials.ca_bundle(None, provider, where="spec.ca")


SELECTORS = ("secret", "labelled", "config map", "token", "annotations", "ca secret", "ca config map")


@pytest.mark.parametrize(
    ("what", "named", "caller"), list(itertools.product(SELECTORS, (None, *NAMESPACES), ("home", "caller", "")))
)
def test_a_namespaced_store_never_reaches_outside_its_namespace(what: str, named: str | None, caller: str) -> None:
    async def main() -> None:
        world = World()
        allowed = named in {None, "home"}
        refusal: AbstractContextManager[object] = (
            nullcontext() if allowed else pytest.raises(BadSpec, match="is not the namespace of the SecretStore")
        )
        with refusal:
            await use(world.credentials("SecretStore", caller), what, named)
        assert world.reached == ({"home"} if allowed else set())
        await world.dependencies.aclose()

    run(main())


@pytest.mark.parametrize(
    ("what", "named", "caller"), list(itertools.product(SELECTORS, (None, *NAMESPACES), ("home", "caller", "")))
)
def test_a_cluster_store_reaches_what_it_names_or_else_its_caller_and_nobody_else(
    what: str, named: str | None, caller: str
) -> None:
    async def main() -> None:
        world = World()
        expected = named or ("" if what.startswith("ca") else caller)
        refusal: AbstractContextManager[object] = (
            nullcontext() if expected else pytest.raises(BadSpec if what.startswith("ca") else CallerNeeded)
        )
        with refusal:
            await use(world.credentials("ClusterSecretStore", caller), what, named)
        assert world.reached == ({expected} if expected else set())
        await world.dependencies.aclose()

    run(main())


@virtual
async def test_what_is_read_is_what_the_key_holds() -> None:
    world = World()
    credentials = world.credentials("SecretStore", "")
    assert await credentials.secret(SecretKeySelector(name="login", key="token"), where="w") == b"home"
    assert await credentials.secret(SecretKeySelector(name="login"), where="w", default_key="token") == b"home"
    assert await credentials.ca_bundle(base64.b64encode(PEM).decode(), None, where="w") == PEM
    assert await credentials.ca_bundle(None, CAProvider(type="ConfigMap", name="login"), where="w") == PEM
    assert await credentials.ca_bundle(None, None, where="w") is None
    selector = ServiceAccountSelector(name="login", audiences=["b", "a"])
    token = await credentials.service_account_token(selector, where="w", audiences=["a"], seconds=60)
    assert (token.value, token.expires_at) == ("t0ken", dt.datetime(2030, 1, 1, tzinfo=dt.UTC).timestamp())
    assert world.server.bodies[-1]["spec"] == {"audiences": ["a", "b"], "expirationSeconds": 600}
    await world.dependencies.aclose()


@virtual
async def test_what_is_read_is_remembered_so_that_its_change_is_told() -> None:
    world = World()
    with pytest.raises(BadSpec, match="does not exist"):
        await world.credentials("SecretStore", "").secret(SecretKeySelector(name="absent", key="k"), where="w")
    assert world.dependencies.is_absent(ObjectKey("Secret", "home", "absent"))
    await world.dependencies.aclose()


@virtual
@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, "w.name is empty"),
        ({"name": "login"}, "w.key is empty"),
        ({"name": "absent", "key": "k"}, 'w: Secret "absent" does not exist in namespace "home"'),
        ({"name": "login", "key": "tokn"}, 'w: Secret "home/login" has no key "tokn": it has ca.crt, token, x'),
    ],
)
async def test_what_is_missing_is_named_and_no_value_is_shown(selector: dict[str, str], expected: str) -> None:
    world = World()
    with pytest.raises(BadSpec) as refused:
        await world.credentials("SecretStore", "").secret(SecretKeySelector(**selector), where="w")
    assert str(refused.value).startswith(expected)
    assert "canary" not in str(refused.value)
    await world.dependencies.aclose()


@virtual
@pytest.mark.parametrize("bundle", ["%%%", base64.b64encode(CANARY).decode()])
async def test_a_bundle_that_is_no_pem_is_refused_without_being_shown(bundle: str) -> None:
    world = World()
    with pytest.raises(BadSpec, match="w ") as refused:
        await world.credentials("SecretStore", "").ca_bundle(bundle, None, where="w")
    assert "canary" not in str(refused.value)
    await world.dependencies.aclose()


@virtual
async def test_an_api_server_that_does_not_answer_is_told_with_the_place() -> None:
    world = World()

    def before(method: str, path: str) -> None:
        raise KubeError(0, "Timeout", "silent")

    world.server.before = before
    for what in SELECTORS:
        with pytest.raises(Unreachable, match=r"^spec\.(auth|ca): "):
            await use(world.credentials("SecretStore", ""), what, None)
    await world.dependencies.aclose()


@virtual
async def test_a_service_account_that_is_absent_is_named() -> None:
    world = World()
    with pytest.raises(BadSpec, match='ServiceAccount "absent" does not exist'):
        await world.credentials("SecretStore", "").service_account_token(
            ServiceAccountSelector(name="absent"), where="w"
        )
    await world.dependencies.aclose()


@virtual
async def test_the_own_token_is_read_each_time_and_its_absence_is_told(tmp_path: Path) -> None:
    world = World()
    path = tmp_path / "token"
    credentials = world.credentials("ClusterSecretStore", "", path)
    with pytest.raises(KeyferryError, match="not mounted"):
        await credentials.own_token()
    for content in ("one\n", "two\n"):
        path.write_text(content)
        assert await credentials.own_token() == content.strip()
    await world.dependencies.aclose()


@virtual
async def test_a_namespaced_store_is_lent_the_own_token_only_where_an_administrator_says_so(tmp_path: Path) -> None:
    world = World()
    path = tmp_path / "token"
    path.write_text("own")
    with pytest.raises(BadSpec, match="may not log in with Keyferry's own ServiceAccount"):
        await world.credentials("SecretStore", "", path).own_token()
    with pytest.raises(BadSpec, match="may not log in with Keyferry's own ServiceAccount"):
        await world.credentials("SecretStore", "", path).permit_own_identity()
    await world.credentials("ClusterSecretStore", "", path).permit_own_identity()
    assert await world.credentials("SecretStore", "", path, lend=True).own_token() == "own"
    await world.dependencies.aclose()


@virtual
async def test_a_secret_without_the_label_is_not_given_out() -> None:
    credentials = World().credentials("SecretStore", "home")
    selector = SecretKeySelector(name="login")
    assert (await credentials.labelled_secret(selector, where="w", label=("use", "this")))["x"] == CANARY
    for label in (("use", "that"), ("other", "this")):
        with pytest.raises(BadSpec) as refused:
            await credentials.labelled_secret(selector, where="w", label=label)
        assert str(refused.value).startswith(
            f'w: Secret "home/login" does not carry the label {label[0]}: {label[1]}: set it'
        )
        assert CANARY.decode() not in str(refused.value)
