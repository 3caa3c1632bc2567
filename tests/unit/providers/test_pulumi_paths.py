from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadSpec
from keyferry.providers.pulumi.config import PulumiConfig
from keyferry.providers.pulumi.paths import Number, _written, loads, parse

NAMES = st.text(st.characters(blacklist_characters="\\", blacklist_categories=["Cs"]), min_size=1)


@given(st.lists(NAMES | st.integers(0, 10**9 - 1), min_size=1))
def test_a_path_that_is_suggested_leads_where_it_says(steps: list[str | int]) -> None:
    path = _written(steps)
    assert parse(path) == tuple(steps)


@given(st.text())
def test_any_text_is_a_path_or_told_to_be_none(text: str) -> None:
    try:
        steps = parse(text)
    except BadSpec:
        return
    assert steps
    assert all(isinstance(step, str | int) for step in steps)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_its_value_and_has_no_exponent(number: float) -> None:
    written = loads(json.dumps(number).encode())
    assert isinstance(written, Number)
    assert "e" not in written.text.lower()
    assert Decimal(written.text) == number if isinstance(number, int) else float(written.text) == number


def test_a_number_beyond_all_bounds_stays_as_it_is_written() -> None:
    assert Number("1e999").text == "1e999"
    assert math.isinf(float("1e999"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_nothing(content: bytes) -> None:
    assert loads(content) is None


def test_a_number_shows_nothing_of_itself() -> None:
    assert "42" not in repr(Number("42"))


def test_every_field_is_described() -> None:
    schema = PulumiConfig.model_json_schema(by_alias=True)
    models = [schema, *schema["$defs"].values()]
    assert [
        f"{m['title']}.{n}" for m in models for n, f in m.get("properties", {}).items() if not f.get("description")
    ] == []
