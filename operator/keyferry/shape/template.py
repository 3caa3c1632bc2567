"""``spec.target.template``: the Secret that templates make of the values that were read (eso-facts 3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from keyferry.api.target import DecodingStrategy, Template, TemplateFrom
from keyferry.errors import BadSpec, BadValue, KeyferryError
from keyferry.shape import decode, goyaml, keys
from keyferry.shape.render import Renderer, Rendering

__all__ = ["Made", "Source", "check", "make", "sources"]

Source = tuple[str, str]
"""Kind and name of a ConfigMap or Secret that holds templates."""
_TARGETS = {"": "data", "data": "data", "annotations": "annotations", "labels": "labels"}
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NAME = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
"""Names of labels and annotations, as the API server wants them."""
_NAMES_SHOWN = 10


@dataclass(slots=True)
class Made:
    """What the templates made. ``unrepeatable`` names the functions whose result would differ another time."""

    data: dict[str, bytes] = field(default_factory=dict, repr=False)
    labels: dict[str, str] = field(default_factory=dict, repr=False)
    annotations: dict[str, str] = field(default_factory=dict, repr=False)
    unrepeatable: frozenset[str] = frozenset()


def sources(template: Template) -> list[Source]:
    """The objects that the template takes templates from, each once."""
    named = [
        (kind, ref.name)
        for each in template.template_from
        for kind, ref in (("ConfigMap", each.config_map), ("Secret", each.secret))
        if ref is not None
    ]
    return list(dict.fromkeys(named))


def check(template: Template) -> None:
    """Refuse what makes long-lived tokens, and targets that a Secret does not have. Raises ``BadSpec``.

    The CRD has the same rules; this holds where somebody installed a CRD without them.
    """
    if template.type == "bootstrap.kubernetes.io/token":
        raise BadSpec(
            'template.type="bootstrap.kubernetes.io/token" is not allowed',
            remedy="such a Secret lets machines join the cluster; make it by hand",
        )
    into = [each.target.lower() for each in template.template_from]
    if template.type == "kubernetes.io/service-account-token" and (
        "kubernetes.io/service-account.name" in template.metadata.annotations or "annotations" in into
    ):
        raise BadSpec(
            'template.type="kubernetes.io/service-account-token" is not allowed with annotations that name a '
            "ServiceAccount",
            remedy="Kubernetes would put a token into it that never expires; use a projected token",
        )
    for number, each in enumerate(template.template_from):
        if each.target.lower() not in _TARGETS:
            raise BadSpec(
                f'spec.target.template.templateFrom[{number}].target "{each.target}" is not allowed when targeting a '
                "Secret",
                remedy="use Data, Annotations or Labels",
            )


def make(
    template: Template,
    data: Mapping[str, bytes],
    held: Mapping[Source, Mapping[str, bytes]],
    renderer: Renderer,
    *,
    told: Callable[[str, Mapping[str, bytes]], None] = lambda _place, _rendered: None,
) -> Made:
    """The Secret of these values.

    ``held`` has the data of every object in ``sources(template)``. ``told`` hears of each template: its place in the
    manifest, and the keys and values that it gave. Later templates win over earlier ones: ``templateFrom`` in its
    order, then ``data``; none sees what another one made.

    Raises ``BadSpec`` and ``BadValue``, which name the place, the key, and the line and column of the template.
    """
    check(template)
    made = Made()
    if template.merge_policy == "Merge" or not (template.data or template.template_from):
        made.data.update(data)
    maker = _Maker(renderer.over(data), made, told)
    for number, each in enumerate(template.template_from):
        for place, scope, key, text in _templates(f"spec.target.template.templateFrom[{number}]", each, held):
            target = _TARGETS[each.target.lower()]
            maker.add(place, scope, key, text, target, each.values_decoding_strategy)
    for target, templates in (
        ("data", template.data),
        ("labels", template.metadata.labels),
        ("annotations", template.metadata.annotations),
    ):
        path = "spec.target.template" if target == "data" else "spec.target.template.metadata"
        for key in sorted(templates):
            maker.add(f"{path}.{target}", "Values", key, templates[key].encode(), target, "None")
    try:
        made.data = keys.validate(made.data)
    except KeyferryError as error:
        raise error.within("spec.target.template") from None
    return made


def _templates(
    place: str, each: TemplateFrom, held: Mapping[Source, Mapping[str, bytes]]
) -> Iterator[tuple[str, str, str, bytes]]:
    """Place, scope, key and text of every template of one entry."""
    for kind, field_name, ref in (("ConfigMap", "configMap", each.config_map), ("Secret", "secret", each.secret)):
        if ref is None:
            continue
        there = held[(kind, ref.name)]
        for number, item in enumerate(ref.items):
            if item.key not in there:
                has = ", ".join(sorted(there)[:_NAMES_SHOWN]) or "no keys"
                raise BadSpec(
                    f"{place}.{field_name}.items[{number}]: error in {kind.lower()} {ref.name}: missing key {item.key}",
                    remedy=f"it has {has}",
                )
            yield f"{place}.{field_name} ({kind} {ref.name})", item.template_as, item.key, there[item.key]
    if each.literal is not None:
        yield f"{place}.literal", "KeysAndValues", "", each.literal.encode()


@dataclass(frozen=True, slots=True)
class _Maker:
    rendering: Rendering
    made: Made
    told: Callable[[str, Mapping[str, bytes]], None]

    def add(self, place: str, scope: str, key: str, template: bytes, target: str, strategy: DecodingStrategy) -> None:
        """Render one template, and put what it gives into its target."""
        place = f'{place}, key "{key}"' if key else place
        try:
            rendered = self.rendering.render(_text(template))
        except KeyferryError as error:
            raise error.within(f"could not execute template: {place}") from None
        self.made.unrepeatable |= rendered.unrepeatable
        try:
            values = {key: rendered.text} if scope == "Values" else _keys_and_values(rendered.text, template)
            if scope == "KeysAndValues":
                _check_names(values, target, template)
            values = {name: decode.decode(value, strategy) for name, value in values.items()}
        except KeyferryError as error:
            raise error.within(place) from None
        self.told(place, values)
        if target == "data":
            self.made.data.update(values)
            return
        try:
            strings = {name: value.decode() for name, value in values.items()}
        except UnicodeDecodeError:
            raise BadValue(
                f"{place}: the result is not UTF-8, which {target} have to be", remedy="encode it, as by b64enc"
            ) from None
        if target == "labels":
            _check_labels(place, strings)
            self.made.labels.update(strings)
        else:
            self.made.annotations.update(strings)


def _check_labels(place: str, labels: Mapping[str, str]) -> None:
    """The API server quotes a label that it refuses, and this one may hold what is not to be shown."""
    for name, value in labels.items():
        if not _LABEL.fullmatch(value):
            raise BadValue(
                f'{place}: metadata.labels: the result cannot be the value of the label "{name}"',
                remedy="labels hold up to 63 letters, digits, -, _ and ., and begin and end with a letter or digit; "
                "use an annotation for other texts",
            )


def _text(template: bytes) -> str:
    try:
        return template.decode()
    except UnicodeDecodeError:
        raise BadSpec("the template is not UTF-8 text") from None


def _keys_and_values(rendered: bytes, template: bytes) -> dict[str, bytes]:
    try:
        found = goyaml.unmarshal_string_map(rendered)
    except goyaml.YamlError as error:
        shown = error.message
        if _is_made(error.key, template):
            shown = shown.replace(f'"{error.key}"', "a key that the template makes")
        raise BadValue(
            f"the rendered text is not YAML of keys and strings: {shown}",
            remedy="quote values with toJson, or indent them below |",
        ) from None
    return {key: value.encode("utf-8", "surrogateescape") for key, value in found.items()}


def _check_names(values: Mapping[str, bytes], target: str, template: bytes) -> None:
    """Refuse names that Kubernetes would refuse, and quote, although they may be a piece of a value."""
    for name in sorted(values):
        try:
            if target == "data":
                keys.validate({name: b""})
            elif not _NAME.fullmatch(name) or len(name.rpartition("/")[0]) > keys.MAX_KEY:
                raise BadValue(f'"{keys.shown(name)}" is no name that {target} may have')
        except BadValue as error:
            told = error.copy()
            if _is_made(name, template):
                told = BadValue(
                    f"a key that the template makes is no name that {target} may have",
                    remedy="quote values with toJson, or indent them below |",
                )
            raise told from None


def _is_made(name: str, template: bytes) -> bool:
    """Whether a name does not stand in the template as it is: a value may have become a key."""
    return name.encode("utf-8", "surrogateescape") not in template
