"""What the environment says of Google, and a store that is opened with nothing but that."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from keyferry.errors import BadSpec
from keyferry.providers import gcpsm
from keyferry.providers.gcpsm.places import Place
from keyferry.providers.gcpsm.sites import Sites
from tests.contract.gcpsm.support import World, keyed, value
from tests.sandbox.gcp import PROJECT
from tests.support.credentials import make_context


def test_endpoints_of_google_can_be_replaced_by_an_administrator() -> None:
    sites = Sites.of({"KEYFERRY_GCP_ENDPOINTS": " a.googleapis.com=b:8443, sts.googleapis.com=10.0.0.1 ,"})
    assert sites.address("a.googleapis.com") == "b:8443"
    assert sites.address("other.googleapis.com") == "other.googleapis.com"
    assert sites.reached(urlsplit("https://sts.googleapis.com/v1/token")).geturl() == "https://10.0.0.1/v1/token"
    assert sites.reached(urlsplit("https://example.com:1/x?y=z")).geturl() == "https://example.com:1/x?y=z"


@pytest.mark.parametrize("endpoints", ["a", "a=", "=b", "a=https://b", "a=b/c"])
def test_endpoints_that_cannot_be_read_are_told(endpoints: str) -> None:
    with pytest.raises(BadSpec, match="KEYFERRY_GCP_ENDPOINTS cannot be read"):
        Sites.of({"KEYFERRY_GCP_ENDPOINTS": endpoints})


def test_googles_own_variables_are_read() -> None:
    sites = Sites.of({"GCE_METADATA_HOST": "10.0.0.2:80", "GOOGLE_APPLICATION_CREDENTIALS": "key.json"})
    assert sites.address("metadata.google.internal") == "10.0.0.2:80"
    assert sites.credentials_file == "key.json"
    assert Sites.of({}).own_credentials() is None


def test_authorities_are_those_of_the_libraries_unless_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"PEM")
    assert Sites.of({}).roots is None
    assert Sites.of({"SSL_CERT_FILE": str(tmp_path / "ca.pem")}).roots == b"PEM"
    with pytest.raises(BadSpec, match="SSL_CERT_FILE names no readable file"):
        Sites.of({"SSL_CERT_FILE": str(tmp_path / "none.pem")})


def test_a_place_is_the_address_of_its_secrets() -> None:
    everywhere, here = Place("shop"), Place("shop", "europe-west3")
    assert everywhere.host == "secretmanager.googleapis.com"
    assert here.host == "secretmanager.europe-west3.rep.googleapis.com"
    assert everywhere.version("db", "latest") == "projects/shop/secrets/db/versions/latest"
    assert here.version("db", "3") == "projects/shop/locations/europe-west3/secrets/db/versions/3"
    assert (str(everywhere), str(here)) == ('project "shop"', 'project "shop" in "europe-west3"')


async def test_a_store_finds_google_by_the_environment_alone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.plant_key()
    world.put("db", b"value")
    (tmp_path / "ca.pem").write_bytes(world.gcp.ca_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("KEYFERRY_GCP_ENDPOINTS", ",".join(f"{a}={b}" for a, b in world.gcp.hosts.items()))
    config = gcpsm.Gcpsm.Config.parse({"projectID": PROJECT, "auth": keyed("reader")})
    adapter = await gcpsm.Gcpsm.open(config, make_context(world.credentials))
    world.opened.append(adapter)
    assert await value(adapter, "db") == b"value"
