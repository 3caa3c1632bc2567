from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.hashes import created_by, field_manager, object_hash, synced_resource_version
from tests.unit.shape.data import vectors

DATA = vectors("hashes")


@pytest.mark.parametrize("case", DATA["data_hash"], ids=lambda case: case["name"])
def test_the_hash_of_data_is_gos(case: dict[str, Any]) -> None:
    data = {key: base64.b64decode(value) for key, value in case["data"].items()}
    assert object_hash(data) == case["hash"]
    assert object_hash(dict(reversed(data.items()))) == case["hash"]


def test_no_data_and_empty_data_hash_alike() -> None:
    assert object_hash(None) == object_hash({})


@pytest.mark.parametrize("case", DATA["metadata_hash"], ids=lambda case: case["name"])
def test_the_version_of_an_object_is_its_generation_and_the_hash_of_its_metadata(case: dict[str, Any]) -> None:
    assert synced_resource_version(3, case["annotations"], case["labels"]) == f"3-{case['hash']}"


def test_absent_and_empty_metadata_hash_alike() -> None:
    assert synced_resource_version(1, None, None) == synced_resource_version(1, {}, {})


def test_the_creator_is_the_hash_of_namespace_and_name() -> None:
    assert created_by("prod", "db") == hashlib.sha3_224(b"prod/db").hexdigest()


def test_a_field_manager_has_the_name_of_its_object_up_to_63_characters() -> None:
    prefix = "externalsecrets.external-secrets.io/"
    assert field_manager("n" * 27) == prefix + "n" * 27
    assert field_manager("n" * 28) == f"{prefix}sha3/{hashlib.sha3_224(b'n' * 28).hexdigest()}"


def test_ten_thousand_secrets_are_hashed_within_seconds() -> None:
    data = {"tls.crt": bytes(range(256)) * 4, "tls.key": bytes(range(256)) * 4}
    began = time.process_time()
    for _ in range(1000):
        object_hash(data)
    assert time.process_time() - began < 1.0


@given(st.dictionaries(st.text(alphabet="abc.-_AZ09é", max_size=6), st.binary(max_size=20)))
def test_the_hash_is_that_of_the_printed_map(data: dict[str, bytes]) -> None:
    order = sorted(data, key=lambda key: key.encode())
    printed = " ".join(f"{key}:[{' '.join(str(byte) for byte in data[key])}]" for key in order)
    assert object_hash(data) == hashlib.sha3_224(f"map[{printed}]".encode()).hexdigest()


@given(st.dictionaries(st.text(alphabet="abc/", max_size=4), st.text(max_size=5), min_size=1), st.data())
def test_any_change_of_a_label_changes_the_version(labels: dict[str, str], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(labels)))
    changed = labels | {key: labels[key] + "x"}
    assert synced_resource_version(1, {}, labels) != synced_resource_version(1, {}, changed)
    assert synced_resource_version(1, {}, labels) != synced_resource_version(2, {}, labels)
