"""Words that random templates are made of: what the functions look at, and what has tripped implementations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STRINGS: Final = (
    *("", " ", "a", "b", "A", "ab", "abc", "Hello World", "hello world", "foo_bar-baz.qux", "HTTPServer2Go"),
    *("fooBar9", "a,b,,c", ",", "a b  c", "  padded\t\n", "x\n\ny\n", "line1\r\nline2", "\t", "aaa", "abcabc"),
    *("a" * 70, "no-match", "0", "1", "-1"),
    *("007", "08", "0x1f", "0b11", "1_000", "1.5", "-.5", "1e3", "1e400", "9223372036854775808", "+7", "true"),
    *("false", "TRUE", "t", "nil", "null", "~", "yes", "NaN", "Inf", "-0", "1.0", "0o17", " 1", "1.50", ".5"),
    *("<b>&\"'</b>", "it's", 'say "hi"', r"back\slash", "$1 ${name} $$", "%s %d %%", "%!", "}}"),
    *("a=b&c=d e", "ä", "äöü ß ẞ", "日本語 テキスト", "😀", "e\u0301", "İstanbul \u0131", "ǆ Ǆ ǅ", "ﬁ ﬂ", "ΑΣ ας"),
    *("я Ж", "\u00a0x\u00a0", "\ufeffbom", "a\u2028b", "\u0085", "\u200b", "\x00", "a\x7fb", "\x1b[0m", "�"),
    *("\U000e0041", "\u0300", "٣", "²", "\udcff", "a\udcfe\udc80b", "\udcc3", "\udced\udca0\udc80"),
    *("\udcf0\udc9f\udc98", "ä\udce4ö", "<no value>", "-"),
)
"""Go strings: what is no UTF-8 stands as lone surrogates, one per byte."""

_USER: Final = "user:p%40ss"

POOLS: Final[Mapping[str, tuple[str, ...]]] = {
    "key": ("a", "b", "c", "list", "map", "text", "no", "", "_0", "_1", "A", "ä", "host", "scheme"),
    "separator": (",", "", " ", "b", "a", "::", "\n", "-", "ä", "aa", ", "),
    "regex": (
        *("a", "", "a*", "^a", "b$", "(a)(b)?", "(?P<name>[a-z]+)", "(?i)HELLO", "[[:alpha:]]+", r"\d+"),
        *(r"\w+\s?", ".", r"\pL+", r"\bh", "(?s).", "(?m)^.", "x{2,3}", "a|ab", "(|a)+", "[^a-c]", "(", "a**"),
        *(r"\1", "[z-a]", "a{1001}", "(?=a)", r"\x{10FFFF}", "ä+", "(a+)(b+)?(c)?", "()", "a{,2}", "(?U)a+"),
        *(r"\Qa.b\E", "\udcff", "[😀-😂]"),
    ),
    "replacement": (
        *("", "x", "$1", "${1}x", "$1x", "${name}", "$$", "$", "${", "$0-$2", "${1", "$name", r"\1", "ä$0ä"),
    ),
    "base64": (*("", "YQ==", "YQ", "YWI=", "YWJj", "Y W", "YQ==\n", "_-8=", "+/8=", "!!!!", "YQ=", "/w==", "Y\nQ=="),),
    "base32": ("", "ME======", "MFRGG===", "mfrgg===", "ME", "M1======", "74======", "MFRGGZDF"),
    "hex": ("", "61", "6G", "616", "FF", "c3a4", " 61"),
    "layout": (
        *("2006-01-02", "2006-01-02T15:04:05Z07:00", "Mon Jan _2 15:04:05 MST 2006", "02/01/06 03:04PM", "15h"),
        *("", "Monday, 02-Jan-06 15:04:05.000", "2006-002", "Jan 2 2006 .999999", "3:4:5 pm -0700 Z0700"),
        *("January 1", "06"),
    ),
    "time": (
        *("2024-02-29", "2024-02-30", "1969-12-31", "0001-01-01", "9999-12-31", "2023-12-31T23:59:59Z"),
        *("24-1-2", "", "2024-02-29T12:34:56.789+05:30", "2024-06-01T00:00:00-07:00"),
        *("Thu Feb 29 1:02:03 UTC 2024", "29/02/24 12:00AM"),
    ),
    "duration": (
        *("1h", "1h30m", "-1.5h", "100ms", "1d", "", "5", "-24h0m1s", "1us", "1µs", "290y", "2562047h47m16.9s"),
        *("0",),
    ),
    "unit": ("1h", "90s", "-36h", "365.25h", "8760h", "100h", "0s", "61m"),
    "zone": ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "No/Where", "", "EST"),
    "path": (
        *("/a/b.txt", "a/../b", "", "/", "//a//", "../x", "a/b/", ".hidden", "a.tar.gz", "./.", "/../.."),
        *("ä/ö.ü", "."),
    ),
    "version": (
        *("1.2.3", "v1.2", "1", "1.2.3-alpha.1", "1.2.3-beta+build.5", "01.2.3", "1.2.3.4", "", "2.0.0"),
        *("1.3.0", "x", "3", "1.2.3-01", "v2.0.0-rc.1", "18446744073709551616.0.0", "1.2.3+m", "0.0.0"),
        *("0.0.1", "0.2.5", "1.4", "v3.0.0-a.b"),
    ),
    "constraint": (
        *("^1.2", "~1.2.3", ">=1.0 <2", ">= 1.2.3-0", "1.x", "*", "!=1.2.3", "1.2 - 1.4", "^0.0", "~>1", "a"),
        *("", "=v1.2.3", "<1.0 || >=2.0.0", ">1.2.3-alpha", "^1.2.3-beta", ">=1.2.x", "1.2.3 1.3", ","),
        *("^0.2.3", "< 1.3, > 1.1"),
    ),
    "url": (
        *(f"https://{_USER}@host:8443/a/b%2Fc?x=1&y=2#frag", "http://[::1]:80/", "mailto:a@b", "//h/p"),
        *("/p?q", "", "a:b", "http://ho st/", "http://h:port/", "://x", "http://h/%zz", "http://ä.de/ö?ü#ß"),
        *("HTTP://H", "?a#b", "#", "%", "*"),
    ),
    "json": (
        *('{"a":1,"b":[true,null,"x"]}', "[1,2.5,1e3]", '"s"', "null", "1", "", "{", '{"a":1,"a":2}', "[1,]"),
        *(" {} ", "nul", '{"ä":"\\u00e4\\ud83d\\ude00<&>"}', '{"big":12345678901234567890,"e":1e21,"f":0.1}'),
        *('{"a":{"b":{"c":[{}]}}}', '"\\ud800"', '"\udcff"', "1e400", "-0", "[[[]]]", "{} x", '{"A":1,"a":2}'),
        *("01", '"\t"', "true"),
    ),
    "yaml": (
        *("a: 1\nb: [x, 'y']\n", "a: {b: {c: 1.50}}", "- 1\n- 2", "a", ""),
        *("a: yes\nb: 0x1F\nc: 1e3\nd: ~\ne: 012", "{a: 1", "a: |\n  x\n  y\nb: >-\n  f\n  g\n", "? 1\n: 2\n"),
        *("a: &x 1\nb: *x", "a: *x", "a: 2001-01-01", "a: !!str 1", "a:\tb", "1: a\ntrue: b\n1.5: c"),
        *("a: 1\na: 2", "---\na: 1\n---\nb: 2", "a: .inf", 'a: "\\x41\\u00e4"', "# c", "a: !!binary YQ=="),
    ),
    "type": (
        *("string", "int", "int64", "float64", "bool", "slice", "map", "*semver.Version", "[]interface {}"),
        *("nil",),
    ),
    "text": (
        *("the quick brown fox jumps over the lazy dog", "one", "One Two three", "a-b_c d", "XMLHttpRequest"),
        *("ID", "JSONData", "snake_case_word", "kebab-case", "camelCase99Luft", "  two  spaces ", "ÄÖÜ straße"),
        *("first\nsecond line\n", "A1B2"),
    ),
    "cipher": ("", "YQ==", "!!", "MTIzNDU2Nzg5MDEyMzQ1Ng=="),
}

INTS: Final = (
    *("0", "1", "2", "3", "5", "7", "10", "-1", "-2", "255", "256", "-7", "0x10", "0b101", "0o17", "017"),
    *("1_000",),
)
EDGES: Final = (
    *("9223372036854775807", "-9223372036854775808", "9223372036854775808", "4294967296", "2147483648", "1e3"),
    *("3.0", "'a'", "'ä'", r"'\n'", "-0", "+3", "1e18", "9007199254740993", "1i", "1.5e3i", "0x_f"),
)
FLOATS: Final = (
    *("0.0", "1.5", "-1.5", "2.5", "0.1", "1e3", "1e21", "1e20", "1e-7", "123456789.125", "-0.0", "3.14159"),
    *("1e100", "100.", ".5", "0x1p-2", "1e308", "5e-324", "0.000001", "1.0", "2.675", "1e6"),
    *("33.333333333333336",),
)
KEYS: Final = ("a", "b", "list", "map", "text")

_LIST: Final = "[]interface {}"

HINTS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("regexMatch", "mustRegexMatch", "regexFind", "mustRegexFind"), ("regex", "")),
    **dict.fromkeys(("regexFindAll", "mustRegexFindAll", "regexSplit", "mustRegexSplit"), ("regex", "", "small")),
    **dict.fromkeys(("regexReplaceAll", "mustRegexReplaceAll"), ("regex", "", "replacement")),
    **dict.fromkeys(("regexReplaceAllLiteral", "mustRegexReplaceAllLiteral"), ("regex", "", "replacement")),
    **dict.fromkeys(("base", "dir", "clean", "ext", "isAbs"), ("path",)),
    **dict.fromkeys(("osBase", "osDir", "osClean", "osExt", "osIsAbs"), ("path",)),
    **dict.fromkeys(("fromJson", "mustFromJson"), ("json",)),
    **dict.fromkeys(("toDate", "mustToDate"), ("layout", "time")),
    **dict.fromkeys(("dateModify", "date_modify", "mustDateModify", "must_date_modify"), ("duration", "")),
    **dict.fromkeys(("dateInZone", "date_in_zone"), ("layout", "moment", "zone")),
    **dict.fromkeys(("date",), ("layout", "moment")),
    **dict.fromkeys(("htmlDate", "ago"), ("moment",)),
    **dict.fromkeys(("typeIs", "typeIsLike", "kindIs"), ("type", "")),
    **dict.fromkeys(("split", "splitList"), ("separator", "")),
    **dict.fromkeys(("get", "unset", "hasKey"), ("", "key")),
    **dict.fromkeys(("trimAll", "trimall", "trimPrefix", "trimSuffix"), ("separator", "")),
    **dict.fromkeys(("contains", "hasPrefix", "hasSuffix"), ("separator", "")),
    **dict.fromkeys(("snakecase", "camelcase", "kebabcase", "swapcase", "title", "untitle", "initials"), ("text",)),
    **dict.fromkeys(("until", "seq"), ("small",) * 4),
    **dict.fromkeys(("repeat", "indent", "nindent", "wrap", "trunc", "abbrev"), ("small", "")),
    "wrapWith": ("small", "separator", "text"),
    "splitn": ("separator", "small", ""),
    **dict.fromkeys(
        ("first", "rest", "last", "initial", "reverse", "uniq", "compact", "concat", "sortAlpha"), (_LIST,)
    ),
    **dict.fromkeys(
        ("mustFirst", "mustRest", "mustLast", "mustInitial", "mustReverse", "mustUniq", "mustCompact"), (_LIST,)
    ),
    **dict.fromkeys(("append", "push", "prepend", "mustAppend", "mustPush", "mustPrepend"), (_LIST, "")),
    **dict.fromkeys(("without", "mustWithout", "index"), (_LIST, "")),
    **dict.fromkeys(("slice", "mustSlice"), (_LIST, "small")),
    **dict.fromkeys(("has", "mustHas"), ("", _LIST)),
    **dict.fromkeys(("chunk", "mustChunk"), ("small", _LIST)),
    "join": ("separator", _LIST),
    "dig": ("key", "", "map[string]interface {}"),
    "toStrings": (_LIST,),
    "untilStep": ("small", "small", "small"),
    "substr": ("small", "small", ""),
    "abbrevboth": ("small", "small", "text"),
    "round": ("", "small", ""),
    "plural": ("", "", "small"),
    "set": ("", "key", "closed"),
    **dict.fromkeys(("merge", "mustMerge", "mergeOverwrite", "mustMergeOverwrite"), ("", "closed")),
    "pluck": ("key", ""),
    "pick": ("", "key"),
    "omit": ("", "key"),
    "replace": ("separator", "replacement", ""),
    "b64dec": ("base64",),
    "b32dec": ("base32",),
    "hexdec": ("hex",),
    "fromYaml": ("yaml",),
    "htmlDateInZone": ("moment", "zone"),
    "duration": ("unit",),
    "durationRound": ("unit",),
    "semver": ("version",),
    "semverCompare": ("constraint", "version"),
    "urlParse": ("url",),
    "decryptAES": ("text", "cipher"),
}
"""What each parameter is about: a pool, a type, or a way of the grammar's own. The last one holds for the rest."""
