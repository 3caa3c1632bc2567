"""Any value under any verb."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from keyferry.shape.gotmpl.errors import FunctionError, LimitError
from keyferry.shape.gotmpl.fmt import numbers, quoting
from keyferry.shape.gotmpl.fmt.names import string_method
from keyferry.shape.gotmpl.fmt.spec import PLAIN, Spec
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.types import DURATION, MONTH, UINT8, WEEKDAY, GoType
from keyferry.shape.gotmpl.values import Number, Struct, TypedMap, TypedSlice, Value, to_bytes, type_of

_BASES = {"v": 10, "d": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}
_FLOAT_VERBS = {"v": ("g", -1), "F": ("f", 6), "f": ("f", 6), "e": ("e", 6), "E": ("E", 6)}
_SHORTEST_FLOAT_VERBS = frozenset("bgGxX")
_STRING_VERBS = frozenset("vsxXq")
_COUNTED = 4096
"""Characters that are written before they are counted against the bounds."""


class Printer:
    """Collects what is printed. ``spec`` is that of the verb at hand."""

    def __init__(self, run: Run, spec: Spec = PLAIN) -> None:
        self.run = run
        self.spec = spec
        self._out: list[str] = []
        self._uncounted = 0
        self._depth = 0
        self._bad = False

    def text(self) -> str:
        """All that was written."""
        return "".join(self._out)

    def write(self, text: str) -> None:
        """Write text as it stands."""
        self._out.append(text)
        self._uncounted += len(text)
        if self._uncounted > _COUNTED:
            self.run.make(self._uncounted)
            self._uncounted = 0

    def argument(self, value: Value, verb: str) -> None:
        """Print an argument of the call."""
        if value is None:
            if verb in "Tv":
                self._pad("<nil>")
            else:
                self._bad_verb(value, verb)
        elif verb == "T":
            self._pad(self.spec.cut(str(type_of(value))))
        elif verb == "p":
            self._pointer(value)
        elif type(value) is bytes:
            self._bytes(value, verb, "[]byte")
        else:
            self._value(value, verb)

    def _element(self, value: Value, verb: str, declared: GoType | None) -> None:
        """Print what is inside of something else. ``declared`` is the type of the place that it stands in."""
        if value is None:
            self.write(f"{declared or 'interface {}'}(nil)" if self.spec.sharp_v else "<nil>")
            return
        self._depth += 1
        if self._depth > self.run.limits.depth:
            raise LimitError(f"a value is nested more than {self.run.limits.depth} levels deep")
        self._value(value, verb)
        self._depth -= 1

    def _value(self, value: Value, verb: str) -> None:
        self.run.spend()
        if self._method(value, verb):
            return
        match value:
            case str():
                self._string(value, verb)
            case bool():
                self._boolean(value, verb)
            case int():
                self._integer(value, verb, unsigned=isinstance(value, Number) and value.go_type.kind.startswith("u"))
            case float():
                self._float(value, verb)
            case complex():
                self._complex(value, verb)
            case bytes() | list():
                self._slice(value, verb)
            case dict():
                self._map(value, verb)
            case Struct():
                self._struct(value, verb)

    def _method(self, value: Value, verb: str) -> bool:
        if verb == "w" and not self._bad and not _is_plain(value):
            self._bad_verb(value, verb)
            return True
        if self._bad or self.spec.sharp_v or verb not in _STRING_VERBS or not isinstance(value, Number | Struct):
            return False
        text = string_method(value)
        if text is None:
            return False
        self._string(text, verb)
        return True

    def _pad(self, text: str) -> None:
        self.write(self.spec.pad(self.run, text))

    def _bad_verb(self, value: Value, verb: str) -> None:
        if value is None:
            self.write(f"%!{verb}(<nil>)")
            return
        self._bad = True
        self.write(f"%!{verb}({type_of(value)}=")
        if type(value) is bytes and not self._depth:
            self._bytes(value, "v", "[]byte")
        else:
            self._value(value, "v")
        self.write(")")
        self._bad = False

    def _boolean(self, value: bool, verb: str) -> None:
        if verb in "tv":
            self._pad("true" if value else "false")
        else:
            self._bad_verb(value, verb)

    def _string(self, text: str, verb: str) -> None:
        if verb == "q" or (verb == "v" and self.spec.sharp_v):
            self._quoted(text)
        elif verb in "vs":
            self._pad(self.spec.cut(text))
        elif verb in "xX":
            self._hexadecimal(to_bytes(text), verb)
        else:
            self._bad_verb(text, verb)

    def _quoted(self, text: str) -> None:
        text = self.spec.cut(text)
        self.run.make(len(text))
        if self.spec.sharp and quoting.can_backquote(text):
            self._pad(f"`{text}`")
        else:
            self._pad(quoting.quote_to_ascii(text) if self.spec.plus else quoting.quote(text))

    def _hexadecimal(self, raw: bytes, verb: str) -> None:
        raw = raw[: self.spec.precision]
        self.run.make(2 * len(raw))
        prefix = f"0{verb}" if self.spec.sharp and raw else ""
        between = f" {prefix}" if self.spec.space else ""
        text = prefix + between.join(f"{each:02x}" for each in raw) if between else prefix + raw.hex()
        self._pad(text if verb == "x" else text.upper())

    def _integer(self, number: int, verb: str, *, unsigned: bool) -> None:
        if verb == "v" and self.spec.sharp_v and unsigned:
            self._small_hexadecimal(number)
        elif (base := _BASES.get(verb)) is not None:
            self.write(numbers.integer(self.run, self.spec, number, base, verb=verb))
        elif verb == "c":
            self._pad(quoting.character_of(number))
        elif verb == "q":
            character = quoting.character_of(number)
            quoted = quoting.quote_rune_to_ascii if self.spec.plus else quoting.quote_rune
            self._pad(quoted(character))
        elif verb == "U":
            self.write(numbers.unicode_point(self.run, self.spec, number & 0xFFFF_FFFF_FFFF_FFFF))
        else:
            self._bad_verb(number, verb)

    def _small_hexadecimal(self, number: int) -> None:
        self.write(numbers.integer(self.run, replace(self.spec, sharp=True), number, 16))

    def _float(self, number: float, verb: str) -> None:
        if verb in _SHORTEST_FLOAT_VERBS:
            self.write(numbers.floating(self.run, self.spec, number, verb, -1))
        elif (known := _FLOAT_VERBS.get(verb)) is not None:
            self.write(numbers.floating(self.run, self.spec, number, *known))
        else:
            self._bad_verb(number, verb)

    def _complex(self, number: complex, verb: str) -> None:
        if verb not in _SHORTEST_FLOAT_VERBS and verb not in _FLOAT_VERBS:
            self._bad_verb(number, verb)
            return
        plus = self.spec.plus
        self.write("(")
        self._float(number.real, verb)
        self.spec = replace(self.spec, plus=True)
        self._float(number.imag, verb)
        self.spec = replace(self.spec, plus=plus)
        self.write("i)")

    def _bytes(self, raw: bytes, verb: str, name: str) -> None:
        """A ``[]byte``, which Go's printer knows by another name where it is an argument."""
        if verb == "s":
            self._pad(self.spec.cut(raw.decode("utf-8", "surrogateescape")))
        elif verb == "q":
            self._quoted(raw.decode("utf-8", "surrogateescape"))
        elif verb in "xX":
            self._hexadecimal(raw, verb)
        elif verb in "dv":
            self._bytes_in_numbers(raw, verb, name)
        else:
            self._items((Number(each, UINT8) for each in raw), verb, UINT8, "[]uint8")

    def _bytes_in_numbers(self, raw: bytes, verb: str, name: str) -> None:
        sharp = self.spec.sharp_v
        self.write(f"{name}{{" if sharp else "[")
        for place, each in enumerate(raw):
            self.run.spend()
            if place:
                self.write(", " if sharp else " ")
            if sharp:
                self._small_hexadecimal(each)
            else:
                self.write(numbers.integer(self.run, self.spec, each, 10, verb=verb))
        self.write("}" if sharp else "]")

    def _slice(self, items: bytes | list[Value], verb: str) -> None:
        go_type = type_of(items)
        elem = None if go_type is None else go_type.elem
        if isinstance(items, bytes):
            if verb in "sqxX":
                self._bytes(items, verb, "[]uint8")
            else:
                self._items((Number(each, UINT8) for each in items), verb, elem, "[]uint8")
        elif self.spec.sharp_v and isinstance(items, TypedSlice) and items.is_nil:
            self.write(f"{go_type}(nil)")
        else:
            self._items(items, verb, elem, str(go_type))

    def _items(self, items: Iterable[Value], verb: str, elem: GoType | None, name: str) -> None:
        sharp = self.spec.sharp_v
        self.write(f"{name}{{" if sharp else "[")
        for place, each in enumerate(items):
            if place:
                self.write(", " if sharp else " ")
            self._element(each, verb, elem)
        self.write("}" if sharp else "]")

    def _map(self, items: dict[str, Value], verb: str) -> None:
        go_type = type_of(items)
        sharp = self.spec.sharp_v
        if sharp and isinstance(items, TypedMap) and items.is_nil:
            self.write(f"{go_type}(nil)")
            return
        self.write(f"{go_type}{{" if sharp else "map[")
        for place, key in enumerate(sorted_keys(items)):
            if place:
                self.write(", " if sharp else " ")
            self._string(key, verb)
            self.write(":")
            self._element(items[key], verb, go_type.elem if go_type else None)
        self.write("}" if sharp else "]")

    def _struct(self, value: Struct, verb: str) -> None:
        pointer = value.go_type.kind == "ptr"
        fields = value.printed_fields()
        if fields is None or (pointer and self._depth):
            # What Go would print are addresses, of no use and different each time.
            raise FunctionError(f"a value of type {value.go_type} cannot be printed with this verb: use %v or %s")
        sharp = self.spec.sharp_v
        self.write("&" if pointer else "")
        self.write(f"{value.go_type.name.lstrip('*')}{{" if sharp else "{")
        for place, (name, each) in enumerate(fields.items()):
            if place:
                self.write(", " if sharp else " ")
            if sharp or self.spec.plus_v:
                self.write(f"{name}:")
            self._element(each, verb, None)
        self.write("}")

    def _pointer(self, value: Value) -> None:
        go_type = type_of(value)
        if go_type is not None and go_type.kind in {"map", "slice", "ptr"}:
            raise FunctionError(f"%p of a value of type {go_type} is an address in memory: it means nothing here")
        self._bad_verb(value, "p")


def _is_plain(value: Value) -> bool:
    """Whether Go's printer knows the type by heart, and does not ask for its methods."""
    return not isinstance(value, list | dict | Struct) and not (
        isinstance(value, Number) and value.go_type in {DURATION, MONTH, WEEKDAY}
    )


def sorted_keys(items: Mapping[str, Value]) -> list[str]:
    """The keys by their bytes, which is how Go orders strings."""
    keys = sorted(items)
    return keys if all(map(str.isascii, keys)) else sorted(keys, key=to_bytes)
