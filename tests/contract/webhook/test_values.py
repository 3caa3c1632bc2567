"""What is taken from an answer. Results marked so were taken from PaesslerAG/jsonpath 0.1.1 with ESO's code around."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyferry.errors import BadSpec, BadValue, PropertyNotThere
from keyferry.providers.webhook import jsonpath
from tests.contract.webhook.world import CANARY, World, ask, spread

DOCUMENT: dict[str, Any] = {
    "a": {"b": "x", "b-c": "dash", "d.e": "dot", "n": 1.5, "i": 7, "t": True, "z": None, "l": ["p", "q"], "el": []},
    "o": {
        "z": 1,
        "k": "<&>\u2028",
        "j": 1e21,
        "s": 1e-7,
        "f": 0.00001,
        "e": 1e6,
        "l": [1.50, "a\x01\n\x7f"],
        "n": None,
    },
    "arr": [
        {"k": "v", "x": "one"},
        {"k": "w", "x": "two"},
        {"x": "three"},
        {"k": 1, "x": "four"},
        {"k": True, "x": "five"},
        {"k": None, "x": "six"},
    ],
    "on": [{"on": False, "x": "off"}, {"x": "none"}, {"on": "yes", "x": "yes"}, {"on": True, "x": "on"}],
    "lack": [
        {"x": "none"},
        {"k": "other", "n": 0, "t": "yes", "x": "other"},
        {"n": 2, "x": "two"},
        {"n": 1, "x": "one"},
    ],
    "truth": [{"t": each, "x": f"<{each}>"} for each in ("yes", "False", "0", "-0.0", "", [1], {"a": 1}, "true")],
    "digits": [{"t": None, "x": "none"}, {"t": "0e9", "x": "zero"}, {"t": "2.5", "x": "number"}],
    "nested": [["a", "b"], ["c"]],
    "half": [0.5, 1.5, 2.5, -0.4, 1e3, 100.0],
    "s": "plain",
    "ключ": "uni",
    "text": '{"inner": 1}',
}

SAME_AS_GO = {
    "$.a.b": "x",
    '$["a"]["b-c"]': "dash",
    '$.a["d.e"]': "dot",
    "$.a.n": "2",
    "$.a.i": "7",
    "$.a.t": "true",
    "$.a.z": "",
    "$.a.l": "p",
    "$.a.l[1]": "q",
    "$.a.l[*]": "p",
    "$.o": '{"e":1000000,"f":0.00001,"j":1e+21,"k":"\\u003c\\u0026\\u003e\\u2028","l":[1.5,"a\\u0001\\n\x7f"],'
    '"n":null,"s":1e-7,"z":1}',
    "$..arr[0].k": "v",
    "$.arr[*].x": "one",
    '$.arr[?(@.k=="v")].x': "one",
    '$.arr[?(@.k=="w")]': '{"k":"w","x":"two"}',
    "$.arr[?(@.k=='w')].x": "two",
    '$.arr[?@.k=="w"].x': "two",
    '$.arr[?("w"==@.k)].x': "two",
    '$.arr[?(@["k"]=="w")].x': "two",
    "$.arr[?(@.k==1)].x": "four",
    "$.arr[?(@.k==true)].x": "five",
    "$.arr[?(@.k==null)].x": "six",
    '$.arr[?(@.x!="one")].x': "two",
    '$.on[?(@.on!="yes")].x': "off",
    "$.on[?(@.on)].x": "on",
    '$.lack[?(@.k!="v")].x': "other",
    "$.lack[?(@.n)].x": "two",
    "$.truth[?(@.t)].x": "<true>",
    "$.digits[?(@.t)].x": "number",
    "$.arr[?(@.k)].x": "four",
    "$.arr[?(@.k==$.arr[1].k)].x": "two",
    '$..[?(@.k=="w")].x': "two",
    "$.arr[1:].x": "two",
    "$.arr[-1:].x": "six",
    "$.arr[0:6:2].x": "one",
    "$.arr[1,0].x": "two",
    '$.a["i","b"]': "7",
    "$.nested": "a",
    "$.nested[1][0]": "c",
    "$.nested[*][0]": "a",
    "$.half[0]": "0",
    "$.half[1]": "2",
    "$.half[2]": "2",
    "$.half[3]": "-0",
    "$.half[4]": "1000",
    "$.ключ": "uni",
    "s": "plain",
    "a.l[1]": "q",
    'a["b-c"]': "dash",
    " $.s\n": "plain",
}
"""Path → value."""

NOTHING_IN_GO = [
    "$.missing",
    "$.a.missing.x",
    "$.s.x",
    "$.a.l[5]",
    "$.a.el",
    "$..missing",
    '$.arr[?(@.k=="u")].x',
    "$.lack[?(@.a==@.b)].x",
]
NO_PATH_IN_GO = ["$.", "$[", "$$", "$.a[", '$.arr[?(@.k=="v"', "$.arr[(@.length-1)]", '$.arr[?(@.k=~"v")]', "$.$k"]


class TestPaths:
    @pytest.mark.parametrize("path", SAME_AS_GO)
    async def test_a_path_selects_what_it_does_under_eso(self, world: World, path: str) -> None:
        world.hooks.route("/all", json.dumps(DOCUMENT))
        adapter = await world.open("/all", result={"jsonPath": path})
        assert (await ask(adapter)).decode() == SAME_AS_GO[path]

    @pytest.mark.parametrize(("path", "first"), [("$..x", b"one"), ("$.a.*", b"x"), ("$..*", b'{"b":"x","b-c":"dash"')])
    async def test_of_several_the_first_in_the_answer_is_taken(self, world: World, path: str, first: bytes) -> None:
        # Where members of an object are gone through, ESO takes any of them.
        world.hooks.route("/all", json.dumps(DOCUMENT))
        assert (await ask(await world.open("/all", result={"jsonPath": path}))).startswith(first)

    @pytest.mark.parametrize("path", NOTHING_IN_GO)
    async def test_a_path_that_selects_nothing_is_told(self, world: World, path: str) -> None:
        world.hooks.route("/all", json.dumps(DOCUMENT))
        with pytest.raises(PropertyNotThere, match=r'^"db": result\.jsonPath selects (nothing|an empty list)'):
            await ask(await world.open("/all", result={"jsonPath": path}))

    @pytest.mark.parametrize("path", [*NO_PATH_IN_GO, "$.a[?match(@.b, 'x')]", "$.a[?length(@.b)>0]", "$.a & $.b"])
    async def test_what_is_no_path_is_told(self, world: World, path: str) -> None:
        world.hooks.route("/all", json.dumps(DOCUMENT))
        with pytest.raises(BadSpec, match=r'^"db": result\.jsonPath is no JSONPath: write it like'):
            await ask(await world.open("/all", result={"jsonPath": path}))

    @pytest.mark.parametrize("value", ['"text"', "7", "true", "null"])
    async def test_an_answer_that_is_no_container_is_the_root(self, world: World, value: str) -> None:
        world.hooks.route("/all", value)
        document = await ask(await world.open("/all", result={"jsonPath": "$"}))
        assert document.decode() == value.strip('"').replace("null", "")
        for path in ("$.x", "$..x", "$[0]", "$[?(@.x==1)]"):
            with pytest.raises(PropertyNotThere):
                await ask(await world.open("/all", result={"jsonPath": path}))

    async def test_a_path_is_a_template(self, world: World) -> None:
        world.hooks.route("/all", json.dumps(DOCUMENT))
        adapter = await world.open(
            "/all", result={"jsonPath": '$.arr[?(@.k=="{{ .remoteRef.key }}")].{{ .remoteRef.property }}'}
        )
        assert await ask(adapter, "w", "x") == b"two"

    async def test_a_template_that_makes_no_path_leaves_the_answer_whole(self, world: World) -> None:
        world.hooks.route("/all", b"\xff\x00 raw \xfe")
        adapter = await world.open("/all", result={"jsonPath": "{{ .remoteRef.property }}"})
        assert await ask(adapter) == b"\xff\x00 raw \xfe"

    async def test_whole_numbers_keep_their_digits(self, world: World) -> None:
        world.hooks.route("/all", '{"n": 12345678901234567890, "o": {"n": 12345678901234567890}}')
        assert await ask(await world.open("/all", result={"jsonPath": "$.n"})) == b"12345678901234567890"
        assert await ask(await world.open("/all", result={"jsonPath": "$.o"})) == b'{"n":12345678901234567890}'

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"NaN", b'{"a": Infinity}', b'{"a": 1e999}', b"\xef\xbb\xbf{}", b"[" * 100_000]
    )
    async def test_what_is_no_json_is_told_where_a_path_asks_for_it(self, world: World, content: bytes) -> None:
        world.hooks.route("/all", content)
        with pytest.raises(BadValue, match=r'^"db": the answer is not JSON: leave result\.jsonPath out') as caught:
            await ask(await world.open("/all", result={"jsonPath": "$.a"}))
        assert caught.value.__cause__ is None
        assert await ask(await world.open("/all")) == content

    async def test_bytes_and_halves_of_characters_become_the_replacement_character(self, world: World) -> None:
        world.hooks.route("/all", b'{"a": "x\xffy\\ud800z", "o": {"\\udfff": "\\ud83d\\ude00"}}')
        assert (await ask(await world.open("/all", result={"jsonPath": "$.a"}))).decode() == "x\ufffdy\ufffdz"
        assert (await ask(await world.open("/all", result={"jsonPath": "$.o"}))).decode() == '{"\ufffd":"😀"}'


class TestBounds:
    @pytest.mark.parametrize("path", ["$..*..*..x", "$..*..[?(@==0)]"])
    async def test_a_path_that_looks_at_too_much_is_given_up(self, world: World, path: str) -> None:
        document: Any = 0
        for _ in range(90):
            document = [document, 0, 0, 0]
        world.hooks.route("/all", json.dumps([document] * 30))
        with pytest.raises(BadValue, match=r"result\.jsonPath looks at too much of the answer"):
            await ask(await world.open("/all", result={"jsonPath": path}))

    async def test_an_answer_with_very_many_values_is_given_up(self, world: World) -> None:
        world.hooks.route("/all", f"[{'0,' * jsonpath.MOST_STEPS}0]")
        with pytest.raises(BadValue, match=r"result\.jsonPath looks at too much of the answer"):
            await ask(await world.open("/all", result={"jsonPath": "$[?(@==1)]"}))

    async def test_an_answer_that_is_nested_very_deeply_is_given_up(self, world: World) -> None:
        world.hooks.route("/all", f"{'[' * 400}{']' * 400}")
        with pytest.raises(BadValue, match=r"result\.jsonPath looks at too much of the answer"):
            await ask(await world.open("/all", result={"jsonPath": "$..x"}))

    @pytest.mark.parametrize("path", ["$.a[?(@..x)]", "$.a[?@[*]]", "$.a[?($..x)]", "$.a[?(@[?(@.x==1)])]"])
    async def test_a_filter_looks_at_single_values_only(self, world: World, path: str) -> None:
        world.hooks.route("/all", "{}")
        with pytest.raises(BadSpec, match=r"result\.jsonPath holds a filter that looks at more than one value"):
            await ask(await world.open("/all", result={"jsonPath": path}))

    async def test_an_object_that_is_nested_very_deeply_is_not_written(self, world: World) -> None:
        world.hooks.route("/all", '[{"a":' * 400 + "1" + "}]" * 400)
        with pytest.raises(BadValue, match=r"result\.jsonPath selects what is nested too deeply: select a part"):
            await ask(await world.open("/all", result={"jsonPath": "$"}))

    @pytest.mark.parametrize(
        "path",
        [f"$.{'a' * 10_001}", f"$[?({'(' * 3000}@.a{')' * 3000})]", f"$[?@.a=={'1' * 9000}]", "$[?@.a==1e999999]"],
    )
    async def test_a_path_of_any_length_is_no_accident(self, world: World, path: str) -> None:
        world.hooks.route("/all", "{}")
        with pytest.raises(BadSpec, match=r"result\.jsonPath is no JSONPath"):
            await ask(await world.open("/all", result={"jsonPath": "{{ .remoteRef.key }}"}), path)


class TestExtract:
    async def test_members_are_written_as_eso_writes_them(self, world: World) -> None:
        body = (
            ' {"s": "<text>", "n": 1.50, "e": 1e3, "b": true, "z": null, "o": { "b" : "<", "a": 1.0 }, "l": [ 1, 2 ]}'
        )
        world.hooks.route("/all", body)
        assert await spread(await world.open("/all")) == {
            "s": b"<text>",
            "n": b"1.5",
            "e": b"1000",
            "b": b"true",
            "z": b"",
            "o": b'{"a":1,"b":"\\u003c"}',
            "l": b"[1,2]",
        }

    async def test_a_path_leads_to_the_object_or_to_text_that_holds_one(self, world: World) -> None:
        world.hooks.route("/all", json.dumps(DOCUMENT))
        assert await spread(await world.open("/all", result={"jsonPath": "$.arr[0]"})) == {"k": b"v", "x": b"one"}
        assert await spread(await world.open("/all", result={"jsonPath": "$.text"})) == {"inner": b"1"}

    async def test_text_that_holds_an_object_is_unpacked_without_a_path_too(self, world: World) -> None:
        world.hooks.route("/all", json.dumps(json.dumps({"a": 1.5, "b": {"c": "<"}})))
        assert await spread(await world.open("/all")) == {"a": b"1.5", "b": b'{"c":"\\u003c"}'}

    @pytest.mark.parametrize("body", ["[]", "null", '"text"', f'"{CANARY}"', "", CANARY])
    async def test_what_holds_no_object_is_told(self, world: World, body: str) -> None:
        world.hooks.route("/all", body)
        with pytest.raises(BadValue, match='"db" is not a JSON object: extract needs one') as caught:
            await spread(await world.open("/all"))
        assert CANARY not in str(caught.value)
