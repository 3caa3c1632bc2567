"""Every way in which Helm's engine differs from ours. The tests find no other one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from tests.unit.shape.gotmpl.differential.answers import Answer

OURS: Final = {
    "The External Secrets Operator adds functions for certificates and keys": (
        *("certSANs", "filterCertChain", "filterPEM", "jwkPrivateKeyPem", "jwkPublicKeyPem", "rsaDecrypt"),
        *("fullPemToPkcs12", "fullPemToPkcs12Pass", "pemToPkcs12", "pemToPkcs12Pass"),
        *("pemTruststoreToPKCS12", "pemTruststoreToPKCS12Pass"),
        *("pkcs12cert", "pkcs12certPass", "pkcs12key", "pkcs12keyPass"),
    ),
    "The External Secrets Operator's copy of sprig has a function of its own": ("hexdec",),
}
"""Functions that Helm lacks, by the reason."""

HELMS: Final = {
    "They render other files of a chart": ("include", "tpl"),
    "They check values of a chart": ("required",),
    "They ask the network, which templates may not": ("getHostByName", "lookup"),
    "The External Secrets Operator has toYaml and fromYaml only": (
        *("fromJsonArray", "fromToml", "fromYamlArray", "mustToToml", "mustToYaml", "toToml", "toYamlPretty"),
    ),
}
"""Functions that only Helm has, by the reason."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """Functions that Helm answers otherwise. Each of ``examples`` shows it; ``sign`` stands in all that do."""

    reason: str
    functions: tuple[str, ...]
    examples: tuple[str, ...]
    sign: re.Pattern[str] | None = None

    def explains(self, template: str, data: Any) -> bool:
        """Whether a template that cannot be made smaller differs for this reason."""
        words = set(re.findall(r"\w+", template))
        return not words.isdisjoint(self.functions) and (
            self.sign is None or self.sign.search(template + json.dumps(data)) is not None
        )


ANSWERED_OTHERWISE: Final = (
    Otherwise(
        "Helm's fromJson makes a map in any case, and puts what is wrong under Error; ours is sprig's",
        ("fromJson",),
        ('{{ fromJson "[1]" | toJson }}', '{{ fromJson "{" | toJson }}', '{{ fromJson "" | toJson }}'),
    ),
    Otherwise(
        "spf13/cast cuts the decimals off a text in ESO's version (1.10), and makes it 0 in Helm's (1.7)",
        ("add", "add1", "biggest", "div", "int", "int64", "max", "min", "mod", "mul", "mustSlice", "slice", "sub"),
        (
            *('{{ add "1.5" }}', '{{ add1 "1.5" }}', '{{ biggest "1.5" 0 }}', '{{ div "1.5" 1 }}', '{{ int "1.5" }}'),
            *('{{ int64 "1.5" }}', '{{ max "1.5" 0 }}', '{{ min "1.5" 2 }}', '{{ mod 1 "1.5" }}', '{{ mul "1.5" 1 }}'),
            *('{{ slice (list 1 2) "1.5" }}', '{{ mustSlice (list 1 2) "1.5" }}', '{{ sub "1.5" 0 }}'),
        ),
        re.compile(r"\d*\.\d"),
    ),
    Otherwise(
        "the External Secrets Operator's htpasswd takes the hash as a third argument",
        ("htpasswd",),
        ('{{ htpasswd "a" "b" "sha" }}',),
    ),
)


@dataclass(frozen=True, slots=True)
class Refused:
    """What Go does and we do not, in Helm and in the External Secrets Operator alike.

    ``told`` stands in our error, or in our text. ``sign`` stands in the template, where it is given.
    """

    reason: str
    told: re.Pattern[str]
    examples: tuple[str, ...]
    sign: re.Pattern[str] = re.compile("")

    def explains(self, template: str, answer: Answer) -> bool:
        """Whether this is why our answer is another one."""
        said = answer.error or answer.text.decode("utf-8", "replace")
        return self.told.search(said) is not None and self.sign.search(template) is not None


_METHODS: Final = "AppendBinary|AppendFormat|AppendText|GobEncode|GoString|In|Location|MarshalBinary"

REFUSED: Final = (
    Refused(
        "Go prints private fields, most of which are addresses in memory",
        re.compile(r"a value of type (time\.Time|\*semver\.Version) cannot be printed with this verb"),
        ('{{ printf "%d" (toDate "2006" "2024") }}', '{{ printf "%d" (list (semver "1")) }}'),
    ),
    Refused(
        "Go prints an address in memory",
        re.compile("is an address in memory"),
        ('{{ printf "%p" (list 1) }}',),
        re.compile("p"),
    ),
    Refused(
        "Go reaches beyond the end of a list, into memory that append has put aside",
        re.compile("the bounds of the slice are outside of the list"),
        ("{{ slice (push (list 1 2 3 4) 5) 0 6 }}",),
        re.compile("append|push|prepend|concat|compact|uniq|without", re.IGNORECASE),
    ),
    Refused(
        "Go quotes the key and the value of a mapping in YAML that JSON cannot have; they may be secret",
        re.compile(r"unsupported map key of type: [^,]*, \.\.\.|invalid map key: \.\.\."),
        ('{{ fromYaml "null: c" }}', '{{ fromYaml "{a: b}: c" }}'),
    ),
    Refused(
        "these methods need what templates do not have: bytes, and places of the tz database",
        re.compile(f'there is no field "({_METHODS})" in a value of type time.Time'),
        tuple(
            f'{{{{ (toDate "2006" "2024").{method} }}}}'
            for method in ("GobEncode", "GoString", "Location", "MarshalBinary")
        ),
    ),
)
