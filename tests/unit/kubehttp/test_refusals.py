from __future__ import annotations

import pytest

from keyferry.kubehttp import KubeError, KubeHttp
from keyferry.kubehttp.error import from_answer
from tests.unit.kubehttp.stub import CANARY, Api, status, text


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "reason", "true"),
        [
            (401, "Unauthorized", {"unauthorized"}),
            (403, "Forbidden", {"forbidden"}),
            (404, "NotFound", {"not_found"}),
            (409, "Conflict", {"conflict"}),
            (409, "AlreadyExists", {"already_exists"}),
            (410, "Expired", {"gone"}),
            (422, "Invalid", {"invalid"}),
            (400, "BadRequest", {"invalid"}),
            (429, "TooManyRequests", {"too_many"}),
            (503, "ServiceUnavailable", {"unreachable"}),
        ],
    )
    async def test_a_status_becomes_an_error_with_its_meaning(
        self, api: Api, http: KubeHttp, code: int, reason: str, true: set[str]
    ) -> None:
        api.answers(status(code, reason, "said so", name="x", kind="secrets"))
        with pytest.raises(KubeError) as caught:
            await http.request("GET", "/x")
        error = caught.value
        meanings = {
            name for name, member in vars(KubeError).items() if isinstance(member, property) and getattr(error, name)
        }
        assert meanings == true
        assert (error.status, error.reason) == (code, reason)
        assert error.details == {"name": "x", "kind": "secrets"}

    async def test_a_body_that_is_no_status_is_dropped(self, api: Api, http: KubeHttp) -> None:
        api.answers(text(502, f"<html>{CANARY}</html>"))
        with pytest.raises(KubeError) as caught:
            await http.request("GET", "/x")
        assert str(caught.value) == "502 BadGateway: Bad Gateway"
        assert CANARY not in repr(caught.value)

    async def test_a_status_says_when_to_come_back(self, api: Api, http: KubeHttp) -> None:
        api.answers(text(429, "slow down", **{"Retry-After": "7"}))
        with pytest.raises(KubeError) as by_header:
            await http.request("GET", "/x")
        api.answers(status(504, "ServerTimeout", "busy", retryAfterSeconds=3))
        with pytest.raises(KubeError) as by_details:
            await http.request("GET", "/x")
        assert (by_header.value.retry_after, by_details.value.retry_after) == (7.0, 3.0)

    @pytest.mark.parametrize("path", ["/x", "/y"])
    async def test_an_answer_that_is_no_json_is_an_error_without_the_answer(
        self, api: Api, http: KubeHttp, path: str
    ) -> None:
        api.answers(text(200, f'{{"broken": "{CANARY}'))
        with pytest.raises(KubeError) as caught:
            await http.request("GET", path)
        assert caught.value.reason == "Garbage"
        assert caught.value.unreachable
        assert caught.value.__cause__ is None
        assert CANARY not in f"{caught.value!r} {vars(caught.value)}"

    @pytest.mark.parametrize(
        ("code", "message", "expected"),
        [
            (422, f'Secret "s" is invalid: type: Invalid value: "{CANARY}"', "422 R: Unprocessable Entity: type Why"),
            (500, f'failed to create typed patch object: .data.k: expected string, got "{CANARY}"', "500 R: "),
            (400, f"Secret in version v1 cannot be handled: illegal base64 {CANARY}", "400 R: Bad Request"),
            (
                403,
                f'admission webhook "p.io" denied the request: {CANARY}',
                '403 R: admission webhook "p.io" denied the',
            ),
            (422, f"ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {CANARY}", "422 R: ValidatingAdm"),
            (500, f'failed calling webhook "w.io": Post {CANARY}', '500 R: failed calling webhook "w.io"'),
            (403, 'User "u" cannot patch resource "secrets"', '403 R: User "u" cannot patch resource "secrets"'),
        ],
    )
    async def test_a_refused_write_is_told_without_what_was_written(
        self, api: Api, http: KubeHttp, code: int, message: str, expected: str
    ) -> None:
        causes = [{"field": "type", "reason": "Why", "message": f'Invalid value: "{CANARY}"'}]
        api.answers(status(code, "R", message, causes=causes))
        with pytest.raises(KubeError) as caught:
            await http.request("POST", "/x", body={"data": CANARY})
        assert str(caught.value).startswith(expected)
        assert CANARY not in f"{caught.value!r} {caught.value} {vars(caught.value)}"

    async def test_a_rule_that_quotes_nothing_is_told_in_full(self, api: Api, http: KubeHttp) -> None:
        cause = {"field": "data", "reason": "FieldValueForbidden", "message": "Forbidden: field is immutable"}
        api.answers(status(422, "Invalid", "whatever", causes=[cause]))
        with pytest.raises(KubeError, match="422 Invalid: Unprocessable Entity: data Forbidden: field is immutable"):
            await http.request("PUT", "/x", body={})

    def test_a_message_is_one_line_of_bounded_length(self) -> None:
        error = from_answer(
            404, b'{"kind":"Status","message":"%s\\nmore"}' % (b"x" * 900), retry_after=None, wrote=False
        )
        assert error.message == "x" * 500

    @pytest.mark.parametrize(
        "body", [b"[]", b"1", b'{"kind":"Status","message":7,"details":[1],"reason":null}', b"\xff"]
    )
    def test_a_strange_body_is_no_reason_to_fail(self, body: bytes) -> None:
        assert str(from_answer(418, body, retry_after="Wed, 21 Oct", wrote=True)) == "418 I'MATeapot: I'm a Teapot"
