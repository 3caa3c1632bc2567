from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.errors import BadSpec, Denied, KeyferryError, Unreachable
from keyferry.providers.vault.answers import Answer, Purpose, judge

READ = Purpose(doing="read it", denied="allow it")
LOGIN = Purpose(doing="log in", denied="check it", login=True)


def said(status: int, body: object, purpose: Purpose = READ, sent: tuple[str, ...] = ()) -> Answer | KeyferryError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(status, content, address="A", purpose=purpose, retry_after=None, sent=sent)


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {"data": {}}), (204, b""), (404, {"errors": []}), (404, {"data": None}), (404, {"warnings": ["x"]})],
)
def test_success_and_absence_are_answers(status: int, body: object) -> None:
    assert isinstance(said(status, body), Answer)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"errors": ["namespace not found"]}, BadSpec),
        ({"errors": ['no handler for route "x/data/y". route entry not found.']}, BadSpec),
        ({"errors": ["1 error occurred:\n\t* unsupported path\n\n"]}, BadSpec),
        ({"errors": ["something else"]}, BadSpec),
        ({"warnings": ["Invalid path for a versioned K/V secrets engine."]}, BadSpec),
        ({"detail": "no"}, Unreachable),
        (b"", Unreachable),
        (b"404 page not found\n", Unreachable),
    ],
)
def test_a_404_for_another_reason_is_no_absence(body: object, kind: type[KeyferryError]) -> None:
    assert type(said(404, body)) is kind


def test_a_refused_login_is_denied_whatever_its_status_and_tells_why() -> None:
    for status in (400, 401, 403):
        error = said(status, {"errors": ["invalid role or secret ID"]}, LOGIN)
        assert type(error) is Denied
        assert str(error) == "A refuses to log in: invalid role or secret ID: check it"


def test_what_was_sent_is_not_repeated() -> None:
    error = said(400, {"errors": ["password canary is wrong"]}, LOGIN, sent=("canary", ""))
    assert str(error) == "A refuses to log in: password … is wrong: check it"


def test_long_explanations_are_cut() -> None:
    assert len(str(said(500, {"errors": ["x" * 10_000]}))) < 300


@given(
    st.integers(200, 599),
    st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()),
)
def test_whatever_a_server_sends_has_a_meaning(status: int, content: bytes) -> None:
    assert isinstance(said(status, content), Answer | KeyferryError)


@given(
    st.fixed_dictionaries(
        {},
        optional={"errors": st.none() | st.text() | st.lists(st.none() | st.text()), "warnings": st.none() | st.text()},
    ),
    st.sampled_from([200, 302, 400, 403, 404, 500, 503]),
)
def test_odd_bodies_are_no_trap(body: dict[str, object], status: int) -> None:
    assert isinstance(said(status, body), Answer | KeyferryError)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["data", "metadata", "keys", "x"]), inner),
)


@given(st.dictionaries(st.sampled_from(["data", "auth", "x"]), JSON))
def test_sections_of_odd_bodies_are_objects(body: dict[str, object]) -> None:
    answer = Answer(200, body)
    for path in (["data"], ["auth"], ["data", "metadata"], ["data", "keys", "x"]):
        assert isinstance(answer.section(*path), dict)
