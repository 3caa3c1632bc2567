"""What the functions of CEL take and give, for the type checker."""

from __future__ import annotations

import re
from typing import Any

# A word ("int") for plain types; a tuple for lists, maps, optionals and objects, whose second part is
# the type of the items (of the keys, for a map) or the schema node.
Type = Any
DYN = "dyn"
_ANY = ("list", DYN)
# receiver and arguments, then the result; several lines are overloads
METHODS: dict[str, list[tuple[list[Type], Type]]] = {}
FUNCTIONS: dict[str, list[tuple[list[Type], Type]]] = {}


def _declare(text: str) -> None:
    words = {"list": _ANY, "map": ("map", DYN, DYN), "strings": ("list", "string"), "opt": ("optional", DYN)}
    for line in text.strip().splitlines():
        match = re.match(r"\s*(?:(\w+)\.)?([\w.]+)\(([^)]*)\) (\w+)", line)
        assert match is not None, line
        kinds = [k.strip() for k in match[3].split(",") if k.strip()]
        if match[1] and match[1] not in ("optional", "math", "base64"):
            kinds.insert(0, match[1])
            table, name = METHODS, match[2]
        else:
            table, name = FUNCTIONS, (f"{match[1]}." if match[1] else "") + match[2]
        result = words.get(match[4], match[4])
        table.setdefault(name, []).append(([words.get(k, k) for k in kinds], result))


_declare("""
    string.startsWith(string) bool
    string.endsWith(string) bool
    string.contains(string) bool
    string.matches(string) bool
    string.size() int
    bytes.size() int
    list.size() int
    map.size() int
    string.split(string) strings
    string.split(string, int) strings
    strings.join() string
    strings.join(string) string
    string.lowerAscii() string
    string.upperAscii() string
    string.trim() string
    string.replace(string, string) string
    string.replace(string, string, int) string
    string.substring(int) string
    string.substring(int, int) string
    string.charAt(int) string
    string.indexOf(string) int
    string.indexOf(string, int) int
    string.lastIndexOf(string) int
    list.indexOf(dyn) int
    list.lastIndexOf(dyn) int
    string.find(string) string
    string.findAll(string) strings
    string.findAll(string, int) strings
    list.isSorted() bool
    list.sum() dyn
    list.min() dyn
    list.max() dyn
    opt.hasValue() bool
    opt.value() dyn
    opt.orValue(dyn) dyn
    opt.or(opt) opt
    url.getHost() string
    url.getHostname() string
    url.getScheme() string
    url.getPort() string
    url.getEscapedPath() string
    duration.getSeconds() int
    duration.getMinutes() int
    duration.getHours() int
    duration.getMilliseconds() int
    timestamp.getFullYear() int
    ip.family() int
    ip.isLoopback() bool
    size(string) int
    size(bytes) int
    size(list) int
    size(map) int
    matches(string, string) bool
    duration(string) duration
    duration(duration) duration
    timestamp(string) timestamp
    timestamp(int) timestamp
    timestamp(timestamp) timestamp
    string(string) string
    string(int) string
    string(double) string
    string(bool) string
    string(bytes) string
    string(duration) string
    string(timestamp) string
    int(int) int
    int(double) int
    int(string) int
    int(timestamp) int
    uint(int) int
    uint(string) int
    double(int) double
    double(string) double
    double(double) double
    bool(bool) bool
    bool(string) bool
    bytes(string) bytes
    bytes(bytes) bytes
    dyn(dyn) dyn
    type(dyn) type
    url(string) url
    isURL(string) bool
    ip(string) ip
    isIP(string) bool
    cidr(string) cidr
    isCIDR(string) bool
    optional.of(dyn) opt
    optional.none() opt
    optional.ofNonZeroValue(dyn) opt
    base64.encode(bytes) string
    base64.decode(string) bytes
    math.greatest(dyn) dyn
    math.greatest(dyn, dyn) dyn
    math.least(dyn) dyn
    math.least(dyn, dyn) dyn
""")
