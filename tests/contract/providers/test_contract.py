"""What every provider owes, whatever its backend."""

from __future__ import annotations

import asyncio
import json
import os

import pytest
import re2

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, NotThere, Unreachable
from keyferry.ports import Fetched, Finder, Provider, Query, Ref, Validation
from tests.contract.providers.backends import Backend
from tests.contract.providers.conftest import CANARY, Shown

VALUE = f"{CANARY} päßwörd\n".encode()
SHORT = 0.3
"""Seconds that a call may take where a test waits for its end."""
IN_TIME = 5.0
"""Seconds after which a call has clearly not kept to ``SHORT``."""


def by_name(pattern: str) -> Query:
    compiled = re2.compile(pattern)
    return Query(name=pattern, matches=lambda name: bool(compiled.search(name)))


async def one(adapter: Provider, ref: Ref) -> Fetched | KeyferryError:
    found = await adapter.read([ref])
    assert set(found) == {ref}
    return found[ref]


async def refusal(adapter: Provider, ref: Ref) -> KeyferryError:
    """The first error: a real API server learns of changed rights a moment later, and of dead tokens after 10 s."""
    async with asyncio.timeout(30):
        while not isinstance(found := await one(adapter, ref), KeyferryError):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.02)
    return found


async def found_by(backend: Backend, query: Query) -> dict[str, bytes]:
    """Names and values of a search, whether or not the listing brought the values along."""
    adapter = await backend.open()
    assert isinstance(adapter, Finder)
    found = await adapter.find(query)
    refs = [ref for ref in found.values() if isinstance(ref, Ref)]
    read = await adapter.read(refs) if refs else {}
    return {name: backend.value(read[ref] if isinstance(ref, Ref) else ref) for name, ref in found.items()}


class TestReading:
    async def test_a_secret_is_found(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        adapter = await backend.open()
        assert isinstance(adapter, Provider)
        found = await one(adapter, Ref("db"))
        shown(found, adapter)
        assert backend.value(found) == VALUE

    async def test_a_secret_that_does_not_exist_is_not_there(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        error = shown.error(await one(await backend.open(), Ref("nothing-like-it")), NotThere)
        assert "nothing-like-it" in str(error)

    async def test_a_secret_that_was_deleted_is_not_there(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        await backend.delete("db")
        shown.error(await one(await backend.open(), Ref("db")), NotThere)

    async def test_an_absence_is_told_in_the_same_words_every_time(self, backend: Backend, shown: Shown) -> None:
        adapter = await backend.open()
        texts = {str(shown.error(await one(adapter, Ref("db")), NotThere)) for _ in range(3)}
        assert len(texts) == 1

    async def test_one_bad_ref_does_not_sink_the_rest(self, backend: Backend, shown: Shown) -> None:
        refs = [Ref(f"key-{number}") for number in range(40)]
        for ref in refs:
            if ref.key != "key-7":
                await backend.put(ref.key, ref.key.encode())
        found = dict(await (await backend.open()).read(refs))
        assert set(found) == set(refs)
        shown.error(found.pop(Ref("key-7")), NotThere)
        assert {ref.key: backend.value(result) for ref, result in found.items()} == {
            ref.key: ref.key.encode() for ref in refs if ref.key != "key-7"
        }

    async def test_nothing_asked_is_nothing_answered(self, backend: Backend, shown: Shown) -> None:
        assert await (await backend.open()).read([]) == {}

    @pytest.mark.parametrize(
        "key",
        ["..", ".", "../x", "a/../../b", "ünï", "a b", "%2e%2e", "%2F", "?list=true", "#", "x" * 300, "a\nb", "a\x00b"],
    )
    async def test_a_strange_key_is_an_answer_and_no_accident(self, backend: Backend, shown: Shown, key: str) -> None:
        await backend.put("db", VALUE)
        found = await (await backend.open()).read([Ref(key), Ref("db")])
        shown(found[Ref(key)])
        assert isinstance(found[Ref(key)], NotThere | BadSpec)
        assert backend.value(found[Ref("db")]) == VALUE

    @pytest.mark.needs("empty")
    async def test_an_empty_value_is_a_value(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", b"")
        assert backend.value(await one(await backend.open(), Ref("db"))) == b""

    @pytest.mark.needs("binary")
    async def test_a_value_may_be_any_bytes(self, backend: Backend, shown: Shown) -> None:
        value = bytes(range(256))
        await backend.put("db", value)
        assert backend.value(await one(await backend.open(), Ref("db"))) == value

    @pytest.mark.needs("large")
    @pytest.mark.parametrize("kib", [64, 900])
    async def test_a_large_value_arrives_whole(self, backend: Backend, shown: Shown, kib: int) -> None:
        value = os.urandom(kib * 512).hex().encode()
        await backend.put("db", value)
        assert backend.value(await one(await backend.open(), Ref("db"))) == value

    @pytest.mark.needs("unicode")
    @pytest.mark.parametrize("key", ["größe", "日本", "a b", "100%", "a+b", "a&b=c"])
    async def test_a_name_may_have_any_letter(self, backend: Backend, shown: Shown, key: str) -> None:
        await backend.put(key, VALUE)
        assert backend.value(await one(await backend.open(), Ref(key))) == VALUE

    @pytest.mark.needs("versions")
    async def test_a_version_can_be_pinned(self, backend: Backend, shown: Shown) -> None:
        first = await backend.put("db", b"first")
        second = await backend.put("db", b"second")
        found = await (await backend.open()).read([Ref("db"), Ref("db", first), Ref("db", second)])
        assert [backend.value(result) for result in found.values()] == [b"second", b"first", b"second"]

    @pytest.mark.needs("versions")
    async def test_a_version_that_does_not_exist_is_an_error_of_its_own_ref(
        self, backend: Backend, shown: Shown
    ) -> None:
        await backend.put("db", VALUE)
        found = await (await backend.open()).read([Ref("db", "999"), Ref("db")])
        shown(found[Ref("db", "999")])
        assert isinstance(found[Ref("db", "999")], KeyferryError)
        assert backend.value(found[Ref("db")]) == VALUE

    @pytest.mark.needs("metadata", "tags")
    async def test_metadata_is_a_json_object_with_the_tags_and_without_the_value(
        self, backend: Backend, shown: Shown
    ) -> None:
        await backend.put("db", VALUE, tags={"team": "red"})
        found = await (await backend.open()).read([Ref("db", metadata=True), Ref("db")])
        about = found[Ref("db", metadata=True)]
        assert isinstance(about, Fetched)
        assert isinstance(about.document, bytes)
        shown(about.document)
        assert isinstance(json.loads(about.document), dict)
        assert '"team":"red"' in about.document.decode().replace(" ", "")
        assert backend.value(found[Ref("db")]) == VALUE


class TestSearching:
    @pytest.mark.needs("names")
    async def test_many_secrets_are_found_by_name(self, backend: Backend, shown: Shown) -> None:
        wanted = {f"app{number:03}": f"{number}".encode() for number in range(505)}
        for key, value in wanted.items():
            await backend.put(key, value)
        await backend.put("other", VALUE)
        assert await found_by(backend, by_name(r"^app\d+$")) == wanted

    @pytest.mark.needs("tags")
    async def test_secrets_are_found_by_all_of_their_tags(self, backend: Backend, shown: Shown) -> None:
        await backend.put("a", b"1", tags={"team": "red", "env": "prod"})
        await backend.put("b", b"2", tags={"team": "red", "env": "test"})
        await backend.put("c", b"3", tags={"team": "blue", "env": "prod"})
        await backend.put("d", b"4")
        assert await found_by(backend, Query(tags=(("team", "red"),))) == {"a": b"1", "b": b"2"}
        assert await found_by(backend, Query(tags=(("env", "prod"), ("team", "red")))) == {"a": b"1"}

    @pytest.mark.needs("names")
    async def test_nothing_found_is_no_error(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        assert await found_by(backend, by_name("^nothing")) == {}

    @pytest.mark.needs("names", "credential")
    async def test_a_search_without_rights_is_denied(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        adapter = await backend.open()
        assert isinstance(adapter, Finder)
        await backend.deny()
        with pytest.raises(Denied) as caught:
            await adapter.find(by_name("."))
        shown(caught.value)


class TestCredentials:
    async def test_a_store_that_works_is_ready(self, backend: Backend, shown: Shown) -> None:
        assert await (await backend.open()).validate() is Validation.READY

    @pytest.mark.needs("credential")
    async def test_a_read_without_rights_is_denied(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        adapter = await backend.open()
        await backend.deny()
        shown.error(await refusal(adapter, Ref("db")), Denied)

    @pytest.mark.needs("credential")
    async def test_a_replaced_credential_is_worth_nothing_and_the_new_one_works(
        self, backend: Backend, shown: Shown
    ) -> None:
        await backend.put("db", VALUE)
        old = await backend.open()
        assert backend.value(await one(old, Ref("db"))) == VALUE
        await backend.rotate()
        assert backend.value(await one(await backend.open(), Ref("db"))) == VALUE
        shown.error(await refusal(old, Ref("db")), Denied)

    @pytest.mark.needs("check", "credential")
    async def test_a_store_whose_credential_was_replaced_is_not_ready(self, backend: Backend, shown: Shown) -> None:
        old = await backend.open()
        await backend.rotate()
        await refusal(old, Ref("db"))
        with pytest.raises(Denied) as caught:
            await old.validate()
        shown(caught.value)


class TestLife:
    async def test_closing_twice_is_closing_once(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        adapter = await backend.open()
        await one(adapter, Ref("db"))
        await adapter.aclose()
        await adapter.aclose()

    async def test_an_adapter_that_was_never_used_can_be_closed(self, backend: Backend, shown: Shown) -> None:
        await (await backend.open()).aclose()

    async def test_adapters_of_one_store_do_not_disturb_each_other(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        first, second = await backend.open(), await backend.open()
        await one(first, Ref("db"))
        await first.aclose()
        assert backend.value(await one(second, Ref("db"))) == VALUE


@pytest.mark.needs("network")
class TestTrouble:
    @pytest.mark.parametrize("seconds", [None, 7])
    async def test_a_store_that_slows_us_down_is_busy(
        self, backend: Backend, shown: Shown, seconds: int | None
    ) -> None:
        await backend.put("db", VALUE)
        adapter = await backend.open()
        backend.proxy.fail(429, retry_after=seconds, body=CANARY)
        error = shown.error(await one(adapter, Ref("db")), Busy)
        assert isinstance(error, Busy)
        assert error.retry_after == seconds

    @pytest.mark.needs("check")
    @pytest.mark.parametrize("seconds", [None, 7])
    async def test_the_check_of_a_store_that_slows_us_down_is_told_so(
        self, backend: Backend, shown: Shown, seconds: int | None
    ) -> None:
        adapter = await backend.open()
        backend.proxy.fail(429, retry_after=seconds, body=CANARY)
        with pytest.raises(Busy) as caught:
            await adapter.validate()
        shown(caught.value)
        assert caught.value.retry_after == seconds

    async def test_a_store_that_does_not_answer_is_unreachable_in_time(self, backend: Backend, shown: Shown) -> None:
        adapter = await backend.open(patience=SHORT)
        backend.proxy.hang()
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await adapter.read([Ref(f"key-{number}") for number in range(4)])
        assert loop.time() - began < IN_TIME
        for result in found.values():
            shown.error(result, Unreachable)

    @pytest.mark.parametrize("after", [None, b'{"data": {"' + CANARY.encode()])
    async def test_a_connection_that_breaks_off_is_unreachable(
        self, backend: Backend, shown: Shown, after: bytes | None
    ) -> None:
        adapter = await backend.open()
        backend.proxy.break_off(after=after)
        shown.error(await one(adapter, Ref("db")), Unreachable)

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    async def test_a_store_in_trouble_is_unreachable(self, backend: Backend, shown: Shown, status: int) -> None:
        adapter = await backend.open()
        backend.proxy.fail(status, body=f"<html>{CANARY}</html>")
        shown.error(await one(adapter, Ref("db")), Unreachable)

    @pytest.mark.parametrize(
        "body", ["", CANARY, "[]", "{}", "null", '{"data": "x"}', '{"metadata": {"name": 1}}', "\x00"]
    )
    async def test_an_answer_that_makes_no_sense_is_an_error_and_no_accident(
        self, backend: Backend, shown: Shown, body: str
    ) -> None:
        adapter = await backend.open()
        backend.proxy.garbage(body)
        result = await one(adapter, Ref("db"))
        shown(result)
        assert isinstance(result, KeyferryError)
        assert not isinstance(result, NotThere)
        calls = [adapter.validate(), *([adapter.find(by_name("."))] if isinstance(adapter, Finder) else [])]
        for call in calls:
            try:
                await call
            except KeyferryError as error:
                shown(error)

    async def test_a_404_of_something_else_does_not_pass_for_an_absent_secret(
        self, backend: Backend, shown: Shown
    ) -> None:
        adapter = await backend.open()
        backend.proxy.fail(404, body=f"<html>{CANARY}: no such page</html>")
        result = await one(adapter, Ref("db"))
        shown(result)
        assert isinstance(result, KeyferryError)
        assert not isinstance(result, NotThere)

    async def test_a_store_works_again_when_the_trouble_is_over(self, backend: Backend, shown: Shown) -> None:
        await backend.put("db", VALUE)
        adapter = await backend.open()
        backend.proxy.break_off()
        shown.error(await one(adapter, Ref("db")), Unreachable)
        backend.proxy.clear()
        assert backend.value(await one(adapter, Ref("db"))) == VALUE

    async def test_trouble_is_told_in_the_same_words_every_time(self, backend: Backend, shown: Shown) -> None:
        adapter = await backend.open()
        backend.proxy.break_off()
        texts = {str(shown.error(await one(adapter, Ref("db")), Unreachable)) for _ in range(3)}
        assert len(texts) == 1
