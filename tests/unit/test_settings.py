from __future__ import annotations

import dataclasses

import pytest

from keyferry.app.carried import REFUSED_WHEN_ON, WITHOUT_EFFECT
from keyferry.app.flags import FlagError, parse, places, usage, written_as
from keyferry.settings import Address, Settings

# eso-facts 2.3, the controller's flags.
ESO_FLAGS = [
    "--concurrent",
    "--controller-class",
    "--client-qps",
    "--client-burst",
    "--namespace",
    "--enable-leader-election",
    "--leader-election-id",
    "--leader-election-lease-duration",
    "--leader-election-renew-deadline",
    "--leader-election-retry-period",
    "--loglevel",
    "--zap-time-encoding",
    "--metrics-addr",
    "--live-addr",
    "--metrics-secure",
    "--metrics-auth",
    "--metrics-cert-dir",
    "--metrics-cert-name",
    "--metrics-key-name",
    "--enable-http2",
    "--enable-secret-store-reconciler",
    "--enable-cluster-store-reconciler",
    "--enable-cluster-external-secret-reconciler",
    "--enable-push-secret-reconciler",
    "--enable-cluster-push-secret-reconciler",
    "--store-requeue-interval",
    "--enable-secrets-caching",
    "--enable-configmaps-caching",
    "--enable-managed-secrets-caching",
    "--enable-secret-api-read-on-cache-mismatch",
    "--enable-flood-gate",
    "--enable-generator-state",
    "--enable-extended-metric-labels",
    "--unsafe-allow-generic-targets",
    "--template-left-delimiter",
    "--template-right-delimiter",
    "--generator-gc-grace-period",
    "--enable-vault-token-cache",
    "--vault-token-cache-size",
    "--doppler-etag-cache-size",
    "--experimental-enable-doppler-oidc-cache",
    "--mysterybox-tokens-cache-size",
    "--mysterybox-connections-cache-size",
    "--pulumi-oidc-cache-size",
]


def settings(*arguments: str, **environment: str) -> Settings:
    return parse(arguments, environment).settings


def test_nothing_given_means_the_defaults() -> None:
    assert settings() == Settings()


def test_every_flag_of_eso_is_known() -> None:
    known = {place.option.flag for place in places()} | set(WITHOUT_EFFECT)
    assert set(ESO_FLAGS) - known == set()


def test_no_flag_is_both_meaningful_and_without_effect() -> None:
    assert {place.option.flag for place in places()} & set(WITHOUT_EFFECT) == set()


@pytest.mark.parametrize(
    ("arguments", "group", "name", "expected"),
    [
        (["--concurrent", "4"], "work", "concurrent", 4),
        (["--concurrent=4"], "work", "concurrent", 4),
        (["--store-requeue-interval=1h30m"], "work", "store_requeue_interval", 5400.0),
        (["--refresh-time-interval", "0s"], "work", "refresh_time_interval", 0.0),
        (["--namespace", "a, b,a"], "scope", "namespaces", ("a", "b")),
        (["--namespace="], "scope", "namespaces", ()),
        (["--controller-class", "-x"], "scope", "controller_class", "-x"),
        (["--enable-leader-election"], "election", "enabled", True),
        (["--enable-leader-election=true"], "election", "enabled", True),
        (["--enable-flood-gate=false"], "work", "flood_gate", False),
        (["--enable-flood-gate=F"], "work", "flood_gate", False),
        (["--metrics-addr", ":9090"], "servers", "metrics", Address("", 9090)),
        (["--metrics-addr=[::1]:0"], "servers", "metrics", Address("::1", 0)),
        (["--metrics-addr=0"], "servers", "metrics", None),
        (["--live-addr=localhost:1"], "servers", "live", Address("localhost", 1)),
        (["--loglevel=WARN"], "log", "level", "warning"),
        (["--loglevel=dpanic"], "log", "level", "critical"),
        (["--client-qps=0.5"], "kube", "qps", 0.5),
    ],
)
def test_a_flag_is_read(arguments: list[str], group: str, name: str, expected: object) -> None:
    assert getattr(getattr(settings(*arguments), group), name) == expected


def test_a_flag_beats_its_variable_and_a_variable_beats_the_default() -> None:
    assert settings(KEYFERRY_CONCURRENT="7").work.concurrent == 7
    assert settings("--concurrent=3", KEYFERRY_CONCURRENT="7").work.concurrent == 3


def test_an_empty_variable_counts_as_unset() -> None:
    assert settings(KEYFERRY_CONCURRENT="").work.concurrent == Settings().work.concurrent


def test_the_variables_that_kubernetes_makes_for_a_service_called_keyferry_are_no_settings() -> None:
    service = {
        "KEYFERRY_PORT": "tcp://10.0.0.1:8080",
        "KEYFERRY_SERVICE_HOST": "10.0.0.1",
        "KEYFERRY_SERVICE_PORT": "8080",
    }
    assert parse([], service) == parse([], {})
    assert service.keys().isdisjoint(place.option.variable for place in places())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--concurrent=x"], '--concurrent "x": must be a whole number from 1 on'),
        (["--concurrent=0"], '--concurrent "0": must be a whole number from 1 on'),
        (["--client-qps=-1"], '--client-qps "-1": must be a number from 0 on'),
        (["--client-qps=nan"], '--client-qps "nan": must be a number from 0 on'),
        (["--client-qps=inf"], '--client-qps "inf": must be a number from 0 on'),
        (["--store-requeue-interval=5"], '--store-requeue-interval "5": must be a duration such as 30s, 5m or 1h30m'),
        (["--provider-timeout=0s"], "at least 0.001s"),
        (["--enable-flood-gate=maybe"], '--enable-flood-gate "maybe": must be true or false'),
        (["--loglevel=loud"], '--loglevel "loud": must be one of debug, info, warn'),
        (["--metrics-addr=8080"], '--metrics-addr "8080": must be an address such as :8080'),
        (["--metrics-addr=:99999"], "must be an address"),
        (["--metrics-addr=::1:80"], "must be an address"),
        (["--namespace=Bad_Name"], '--namespace "Bad_Name": must be names of namespaces'),
        (["--leader-election-lease-duration=5s"], "must be longer than --leader-election-renew-deadline"),
        (["--leader-election-retry-period=9s"], "must be longer than 1.2 times --leader-election-retry-period"),
        (["--leader-election-id="], "must be the name of a Lease"),
        (["--no-such-flag"], "--no-such-flag"),
        (["--concurrent"], "--concurrent"),
        (["stray"], "stray"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_value_and_form(arguments: list[str], message: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse(arguments, {})
    assert message in str(caught.value)


def test_a_bad_variable_is_named_as_a_variable() -> None:
    with pytest.raises(FlagError, match='KEYFERRY_CONCURRENT "x": must be'):
        parse([], {"KEYFERRY_CONCURRENT": "x"})


@pytest.mark.parametrize("flag", sorted(set(WITHOUT_EFFECT) - set(REFUSED_WHEN_ON)))
def test_a_flag_that_means_nothing_here_is_accepted_with_a_warning(flag: str) -> None:
    for arguments in ([f"{flag}=true"], [flag, "true"], [flag]):
        parsed = parse([*arguments, "--concurrent=3"], {})
        assert parsed.settings.work.concurrent == 3
        assert parsed.notices == (f"{flag} has no effect in Keyferry: {WITHOUT_EFFECT[flag]}",)


@pytest.mark.parametrize("flag", sorted(REFUSED_WHEN_ON))
def test_protected_metrics_are_refused_rather_than_silently_left_open(flag: str) -> None:
    with pytest.raises(FlagError, match="metrics are served"):
        parse([flag], {})
    assert len(parse([f"{flag}=false"], {}).notices) == 1


def test_every_default_is_accepted_when_it_is_written_out() -> None:
    written = [f"{place.option.flag}={written_as(place.option, place.default).strip(chr(34))}" for place in places()]
    assert settings(*written) == Settings()


def test_help_names_every_flag_with_its_default_and_its_variable() -> None:
    text = " ".join(usage().split())
    for place in places():
        assert place.option.flag in text
        assert f"(default {written_as(place.option, place.default)}; {place.option.variable})" in text


def test_every_setting_can_be_set() -> None:
    leaves = {
        (group.name, leaf.name)
        for group in dataclasses.fields(Settings)
        for leaf in dataclasses.fields(getattr(Settings(), group.name))
    }
    assert leaves == {(place.group, place.name) for place in places()}
