"""Random expressions: mostly well-typed, as most calls would fail otherwise, and ill-typed now and then."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import Final

from keyferry.shape.gotmpl import FUNCTIONS
from keyferry.shape.gotmpl.registry import Function
from tests.unit.shape.gotmpl.differential import pools, words
from tests.unit.shape.gotmpl.differential.tree import Tree, fixed, many, operand

_Signature = tuple[tuple[str, ...], str | None, str]
"""Types of the parameters, that of the rest, and that of the result."""

ANY: Final = "interface {}"
DICT: Final = "map[string]interface {}"
LIST: Final = "[]interface {}"
SEMVER: Final = "*semver.Version"
TYPES: Final = (
    *(*("string",) * 6, "int", "int", "int64", "float64", "float64", "bool", "bool", "nil", "uint64"),
    *(LIST, LIST, DICT, DICT, "[]string", "[]int", "[][]interface {}", "map[string]string", "time.Time", SEMVER),
)
_SPECIAL: Final[Mapping[str, _Signature]] = {
    "and": ((ANY,), ANY, ANY),
    "or": ((ANY,), ANY, ANY),
    "len": (("sized",), None, "int"),
    "dig": (("string", ANY, DICT), None, ANY),
}
"""What is no function of Python, or says too little of what it takes."""
_METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "time.Time": (
        *("Year", "Month", "Day", "Weekday", "YearDay", "Hour", "Minute", "Second", "Nanosecond", "Unix", "UnixNano"),
        *('Format "Jan 2 15:04"', "AddDate 0 1 -1", "AddDate 1 -13 31", "IsZero", "UTC", "String", "Month.String"),
        *("Truncate 3600000000000", "Round 60000000000", "Add 1500000000", "UnixMilli", "Zone", "NoSuch", "wall"),
    ),
    SEMVER: (
        *("Major", "Minor", "Patch", "Prerelease", "Metadata", "Original", "String", "IncMajor", "IncMinor", "major"),
        *('Compare (semver "1.2.3")', 'LessThan (semver "1.3")', 'SetPrerelease "rc.1"', "IncMajor.String", "IncPatch"),
    ),
    DICT: pools.KEYS,
}
_ALIKE: Final = ("eq", "ne", "lt", "le", "gt", "ge")
_UNORDERED: Final = ("keys", "values")
_UNREPEATABLE: Final = (
    *("now", "ago", "randAlpha", "randAlphaNum", "randAscii", "randNumeric", "randBytes", "randInt", "shuffle"),
    *("uuidv4", "encryptAES", "bcrypt", "htpasswd", "genCA", "genCAWithKey", "genPrivateKey", "genSelfSignedCert"),
    *("genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey", "pemToPkcs12", "pemToPkcs12Pass"),
    *("fullPemToPkcs12", "fullPemToPkcs12Pass", "pemTruststoreToPKCS12", "pemTruststoreToPKCS12Pass"),
)
"""Functions that tell the time or draw lots."""
_SLOW: Final = ("derivePassword",)
"""A tenth of a second each."""
_FUTILE: Final = (
    *("fail", "call", "buildCustomCert", "certSANs", "filterCertChain", "filterPEM", "jwkPrivateKeyPem"),
    *("jwkPublicKeyPem", "pkcs12cert", "pkcs12certPass", "pkcs12key", "pkcs12keyPass", "rsaDecrypt"),
)
"""Functions that hardly ever succeed over random arguments."""


def _signature(function: Function) -> _Signature:
    rest = None if function.rest is None else function.rest.name
    return tuple(each.name for each in function.params), rest, function.result.name


class Expressions:
    """Makes expressions over the variables that are declared."""

    def __init__(self, rng: random.Random, without: Collection[str] = ()) -> None:
        self._rng = rng
        served = {**{name: _signature(function) for name, function in FUNCTIONS.items()}, **_SPECIAL}
        for name in (*without, *_UNREPEATABLE, *_SLOW):
            served.pop(name, None)
        self._functions = dict(sorted(served.items()))
        self._names = tuple(name for name in self._functions if name not in _FUTILE)
        self._making: dict[str, list[str]] = {}
        for name in self._names:
            result = "[]string" if name in _UNORDERED else self._functions[name][2]
            self._making.setdefault(result, []).append(name)
        self._variables: list[str] = []
        self._blocks = 0
        """Blocks within each other that change what the dot is."""
        self._closed = 0

    def coin(self, chance: float) -> bool:
        return self._rng.random() < chance

    def a_type(self) -> str:
        return self._rng.choice(TYPES)

    def pipeline(self, depth: int) -> Tree:
        """An expression of any type, which may be a command without parentheses."""
        want = ANY if self.coin(0.5) else self.a_type()
        return self._call(self._chosen(want), depth) if depth > 0 and self.coin(0.6) else self.operand(want, depth)

    def operand(self, want: str, depth: int) -> Tree:
        """A term: a literal, a path or something in parentheses."""
        if want == ANY and depth > 0 and self.coin(0.3):
            return operand("(", self._call(self._chosen(want), depth), ")")
        if want == ANY or self.coin(0.02):
            want = self.a_type()
        chance = self._rng.random()
        if chance < 0.12 and not self._closed:
            return operand(self._path(want))
        if depth <= 0 or chance < 0.4:
            return self._literal(want, depth)
        if chance < 0.46 and want in ("string", "int", "int64", "bool"):
            base = self._rng.choice(tuple(_METHODS))
            return operand("(", self._literal(base, depth - 1), ".", self._rng.choice(_METHODS[base]), ")")
        return operand("(", self._call(self._chosen(want), depth), ")")

    def _chosen(self, want: str) -> str:
        if self.coin(0.01):
            return self._rng.choice(tuple(self._functions))
        if want == ANY or want not in self._making or self.coin(0.03):
            return self._rng.choice(self._names)
        # What gives anything may well give what is wanted.
        return self._rng.choice(self._making[ANY if self.coin(0.15) else want])

    def _path(self, want: str) -> str:
        pick = self._rng.choice
        if self._variables and self.coin(0.5):
            return pick(self._variables) + pick(("", "", "", "", "", "", ".a"))
        if self._blocks and self.coin(0.5):
            return pick((".", ".", ".", ".", ".a"))
        root = "$" if self._blocks else pick(("$", ""))
        if want == "string":
            return root + pick((".text", ".text", ".a"))
        if "[]" in want:
            return root + pick((".list", ".list", ".b"))
        if "map" in want:
            return pick((f"{root}.map", f"{root}.map", root or "."))
        return root + pick((".a", ".b", ".map.a", ".map.b", ".list", ".no", ".text"))

    def _literal(self, want: str, depth: int) -> Tree:
        if want == "sized":
            want = self._rng.choice(("string", LIST, DICT, "[]string"))
        match want:
            case "string" | "sprig.HashAlgorithm" | "error":
                return operand(words.quoted(words.any_string(self._rng), self._rng))
            case "int" | "int64" | "int32" | "uint64" | "uint32" | "uint8" | "time.Duration" | "time.Month":
                return operand(words.any_int(self._rng))
            case "float64":
                return operand(words.any_float(self._rng))
            case "bool":
                return operand(self._rng.choice(("true", "false")))
            case "nil":
                return operand("nil")
            case "map[string]string":
                return operand("(split ", self._pooled("separator"), " ", self._literal("string", 0), ")")
            case "[]string":
                return operand("(splitList ", self._pooled("separator"), " ", self._literal("string", 0), ")")
            case "[]int":
                return operand("(until ", self._rng.choice(("0", "1", "3")), ")")
            case "[][]interface {}":
                return operand("(chunk 2 ", self._literal(LIST, depth - 1), ")")
            case "time.Time":
                date = f"{self._rng.randint(1, 3000):04}-0{self._rng.randint(1, 9)}-28 01:02:03"
                return operand(f'(toDate "2006-01-02 15:04:05" "{date}")')
            case "*semver.Version":
                return operand("(semver ", self._pooled("version"), ")")
            case "map[string]interface {}":
                entries = (
                    fixed(" ", self._pooled("key"), " ", self.operand(ANY, depth - 1))
                    for _ in range(self._rng.randrange(4))
                )
                return operand("(dict", many(*entries), ")")
            case "[]interface {}":
                items = (fixed(" ", self.operand(ANY, depth - 1)) for _ in range(self._rng.randrange(4)))
                return operand("(list", many(*items), ")")
        return self._literal(self.a_type(), depth)

    def _pooled(self, pool: str) -> Tree:
        return operand(words.quoted(words.pooled(pool, self._rng), self._rng))

    def _call(self, name: str, depth: int) -> Tree:
        """A command, the last argument of which may come through a pipe."""
        arguments = self._arguments(name, depth - 1)
        if arguments and self.coin(0.3):
            *arguments, last = arguments
            call = fixed(last, " | ", name, many(*(fixed(" ", each) for each in arguments)))
        else:
            call = fixed(name, many(*(fixed(" ", each) for each in arguments)))
        return fixed(call, " | sortAlpha") if name in _UNORDERED else call

    def _arguments(self, name: str, depth: int) -> list[Tree]:
        if name == "printf":
            text, asked = words.printf_format(self._rng)
            count = max(0, asked + self._rng.choice((0, 0, 0, 0, 0, 0, -1, 1)))
            return [operand(words.quoted(text, self._rng)), *(self.operand(ANY, depth) for _ in range(count))]
        if name in _ALIKE:
            want = self.a_type()
            count = self._rng.choice((2, 2, 2, 2, 2, 2, 1, 3))
            return [self.operand(want if self.coin(0.9) else ANY, depth) for _ in range(count)]
        params, rest, _ = self._functions[name]
        wanted = [*params, *([rest] * self._rng.choice((0, 1, 1, 2, 3)) if rest else [])]
        if self.coin(0.01):
            wanted = wanted[:-1] if self.coin(0.5) else [*wanted, ANY]
        hints = pools.HINTS.get(name, ("",))
        return [self._argument(want, hints[min(index, len(hints) - 1)], depth) for index, want in enumerate(wanted)]

    def _argument(self, want: str, hint: str, depth: int) -> Tree:
        if hint == "closed":
            # Nothing that was there before goes into a map, so that no map comes to hold itself.
            self._closed += 1
            value = self.operand(want, depth)
            self._closed -= 1
            return value
        if hint in TYPES:
            return self.operand(hint, depth)
        if hint == "small":
            return operand(self._rng.choice(("0", "1", "2", "3", "5", "8", "-1", "-3", "40")))
        if hint == "moment":
            # Of anything else Go's functions make the present.
            return operand(self._rng.choice(pools.INTS)) if self.coin(0.3) else self._literal("time.Time", 0)
        if hint == "unit":
            return self._pooled(hint) if self.coin(0.5) else operand(self._rng.choice(pools.INTS))
        if hint in pools.POOLS and self.coin(0.8):
            return self._pooled(hint)
        return self.operand(want, depth)
