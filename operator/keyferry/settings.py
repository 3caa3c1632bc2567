"""What an installation can decide about Keyferry: one frozen tree, made once at the door (``keyferry.app.flags``).

Every field that users set is declared with ``option``: the flag, its kind and its explanation stand beside the default,
and ``--help``, the environment variables and the reference page are made from them. Flags carry ESO's names wherever
the meaning is the same (eso-facts 2.3). Durations are seconds in here, and Go's syntax ("5m") at the door.

Parsing does not belong here, and neither does anything that differs between two objects of one process.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


class Kind(enum.Enum):
    """The form of an option's value at the door."""

    TEXT = "text"
    COUNT = "count"
    NUMBER = "number"
    SWITCH = "true|false"
    DURATION = "duration"
    ADDRESS = "address"
    NAMES = "names"
    NETWORKS = "networks"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Option:
    """How one setting is written by users.

    ``least`` is the smallest number or duration (in seconds) accepted; ``choices`` maps every spelling accepted to the
    setting's value.
    """

    flag: str
    kind: Kind
    help: str
    least: float = 0.0
    choices: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def variable(self) -> str:
        """The environment variable that sets the same thing."""
        return "KEYFERRY_" + self.flag.removeprefix("--").replace("-", "_").upper()


# Typed as Any so that it can stand as the default of a field of any type, as dataclasses.field does.
def option(
    flag: str,
    default: object,
    kind: Kind,
    help_text: str,
    *,
    least: float = 0.0,
    choices: Mapping[str, str] | None = None,
) -> Any:
    """A dataclass field with its default and its Option."""
    return field(
        default=default,
        metadata={"option": Option(flag, kind, help_text, least, MappingProxyType(dict(choices or {})))},
    )


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. ``host`` "" is every interface; ``port`` 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which objects this process serves."""

    namespaces: tuple[str, ...] = option(
        "--namespace", (), Kind.NAMES, "namespaces to serve, separated by commas; empty serves all"
    )
    controller_class: str = option(
        "--controller-class",
        "default",
        Kind.TEXT,
        "serve stores whose spec.controller is this or empty; others are left alone and counted in a metric",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How objects are worked on."""

    # ESO's default is 1 goroutine per controller. Our workers are coroutines that wait for stores and for the API
    # server; 32 keep a core busy, and a store may have half of them.
    concurrent: int = option(
        "--concurrent", 64, Kind.COUNT, "objects worked on at the same time; of one store at most half as many", least=1
    )
    provider_timeout: float = option(
        "--provider-timeout", 30.0, Kind.DURATION, "longest wait for one call to a store", least=0.001
    )
    # Long enough for the refs of objects that came due together, and nothing beside a store's own 10 ms and more.
    provider_batch_window: float = option(
        "--provider-batch-window",
        0.005,
        Kind.DURATION,
        "how long a read waits for others of the same store, so that they are asked for together",
    )
    # 0: nobody knows a store's limits better than the store, and a fixed number slows a cold start for nothing.
    provider_qps: float = option(
        "--provider-qps",
        0.0,
        Kind.NUMBER,
        "most secrets and listings per second that one store is asked for, whoever asks; 0 leaves it to the store, "
        "which is asked less often once it says that it is too often",
    )
    # Refreshes of one interval are spread over a tenth of it: that of 1 h still shares its reads.
    cache_ttl: float = option(
        "--cache-ttl",
        600.0,
        Kind.DURATION,
        "how long what was read from a store is shared by objects whose refresh interval is at least twice its age; an "
        "edit always has it read again. Where a store can tell that nothing has changed, it is kept for 2 h more to be "
        "compared; 0s keeps nothing",
    )
    cache_size: int = option(
        "--cache-size",
        32,
        Kind.COUNT,
        "most MiB of what was read that are kept, of all stores together; one store gets at most a quarter",
    )
    store_requeue_interval: float = option(
        "--store-requeue-interval",
        300.0,
        Kind.DURATION,
        "how often a store is checked again, where its spec.refreshInterval does not say",
        least=1,
    )
    flood_gate: bool = option(
        "--enable-flood-gate",
        True,
        Kind.SWITCH,
        "do not read from a store that is not Ready; its objects wait for it and keep their Secrets",
    )
    # ESO rewrites status.refreshTime at every refresh: one write and one watch event each, for a time nobody reads
    # that often. 5 minutes keep "is it alive" visible at a thirtieth of the writes of a 10 s interval.
    refresh_time_interval: float = option(
        "--refresh-time-interval",
        300.0,
        Kind.DURATION,
        "status.refreshTime is written at most this often while nothing else changes; 0s writes it at every refresh",
    )
    adopt_foreign_secrets: bool = option(
        "--adopt-foreign-secrets",
        False,
        Kind.SWITCH,
        "creationPolicy Owner takes over a Secret that it did not create and drops its other keys, as ESO does",
    )
    template_left_delimiter: str = option(
        "--template-left-delimiter", "{{", Kind.TEXT, "what opens an action in templates of ExternalSecrets"
    )
    template_right_delimiter: str = option(
        "--template-right-delimiter", "}}", Kind.TEXT, "what closes an action in templates of ExternalSecrets"
    )
    watchdog_timeout: float = option(
        "--watchdog-timeout", 300.0, Kind.DURATION, "/healthz fails if work is due and none ends for so long; 0s: never"
    )
    ramp_up: float = option(
        "--ramp-up", 10.0, Kind.DURATION, "time after a start until refreshes by the interval get all workers; 0s: none"
    )
    # Below Kubernetes' terminationGracePeriodSeconds of 30, so that the Lease is released and logs are flushed.
    shutdown_grace: float = option(
        "--shutdown-grace", 20.0, Kind.DURATION, "time for work under way to end after SIGTERM; 0s cancels it at once"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """What the authors of namespaced stores may do. ClusterSecretStores are written by administrators."""

    lend_own_token: bool = option(
        "--lend-own-token-to-secretstores",
        False,
        Kind.SWITCH,
        "a SecretStore without a credential of its own logs in to the server that it names as Keyferry: with the token "
        "of its ServiceAccount, or proof of its identity at AWS or Google. As with ESO, its author chooses who gets it",
    )
    allowed_networks: tuple[str, ...] = option(
        "--allowed-networks",
        (),
        Kind.NETWORKS,
        "networks that webhooks of SecretStores may reach although they would be refused, such as 127.0.0.1/32",
    )
    refused_networks: tuple[str, ...] = option(
        "--refused-networks",
        (),
        Kind.NETWORKS,
        "networks that webhooks of SecretStores may not reach, such as those of pods and Services; loopback, "
        "link-local addresses, the clouds' metadata services and the API server are always among them",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcilers:
    """Which kinds are served besides ExternalSecret. A switched-off kind is not watched, and its CRD may be absent."""

    secret_store: bool = option(
        "--enable-secret-store-reconciler", True, Kind.SWITCH, "check SecretStores and write their status"
    )
    cluster_store: bool = option("--enable-cluster-store-reconciler", True, Kind.SWITCH, "serve ClusterSecretStores")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kube:
    """How we talk to the Kubernetes API server."""

    kubeconfig: str = option(
        "--kubeconfig",
        "",
        Kind.TEXT,
        "path of a kubeconfig; empty means the ServiceAccount in a pod, and KUBECONFIG or ~/.kube/config elsewhere",
    )
    # ESO limits itself to 50 per second, which makes a cold start of 5,000 objects take minutes. The API server's
    # priority and fairness protects it better than a fixed number can.
    qps: float = option(
        "--client-qps", 0.0, Kind.NUMBER, "writes per second to the API server; 0 leaves the limit to the API server"
    )
    burst: int = option(
        "--client-burst", 100, Kind.COUNT, "writes that may go at once before --client-qps holds", least=1
    )
    # The API server sends a bookmark about once a minute and keeps about 75 s of events.
    watch_idle_timeout: float = option(
        "--watch-idle-timeout",
        70.0,
        Kind.DURATION,
        "a watch that is silent for so long is opened again; bookmarks come about once a minute",
        least=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What we serve over HTTP. ``None`` switches a server off."""

    metrics: Address | None = option(  # noqa: RUF009 - option() makes a dataclass field
        "--metrics-addr", Address("", 8080), Kind.ADDRESS, "address of /metrics; 0 switches it off"
    )
    live: Address | None = option(  # noqa: RUF009 - option() makes a dataclass field
        "--live-addr", Address("", 8082), Kind.ADDRESS, "address of /healthz and /readyz; 0 switches it off"
    )
    extended_metric_labels: bool = option(
        "--enable-extended-metric-labels",
        False,
        Kind.SWITCH,
        "metrics of an object carry its app.kubernetes.io labels as well",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What the log says, and how times look in it."""

    # zap's names; its levels above error have no twin in Python but CRITICAL.
    level: str = option(
        "--loglevel",
        "info",
        Kind.CHOICE,
        "least level that is logged",
        choices={
            "debug": "debug",
            "info": "info",
            "warn": "warning",
            "warning": "warning",
            "error": "error",
            "dpanic": "critical",
            "panic": "critical",
            "fatal": "critical",
        },
    )
    time_encoding: str = option(
        "--zap-time-encoding",
        "epoch",
        Kind.CHOICE,
        "how times are written",
        choices={name: name for name in ("epoch", "millis", "nano", "iso8601", "rfc3339", "rfc3339nano")},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """Leader election by a Lease. The times are those of client-go's callers."""

    enabled: bool = option(
        "--enable-leader-election", False, Kind.SWITCH, "work only while holding a Lease; needed with several replicas"
    )
    # ESO's default is external-secrets-controller. Under that name we would stand by for ever beside a running ESO.
    id: str = option("--leader-election-id", "keyferry", Kind.TEXT, "name of the Lease")
    namespace: str = option(
        "--leader-election-namespace", "", Kind.TEXT, "namespace of the Lease; empty means the pod's own"
    )
    lease_duration: float = option(
        "--leader-election-lease-duration",
        15.0,
        Kind.DURATION,
        "how long others wait after the last renewal before they take the Lease",
        least=1,
    )
    renew_deadline: float = option(
        "--leader-election-renew-deadline",
        10.0,
        Kind.DURATION,
        "how long the leader tries to renew before it gives up and exits; shorter than the lease duration",
        least=0.1,
    )
    retry_period: float = option(
        "--leader-election-retry-period", 2.0, Kind.DURATION, "pause between two tries to take or renew", least=0.1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one process. ``Settings()`` is an installation that sets nothing."""

    scope: Scope = Scope()
    work: Work = Work()
    tenants: Tenants = Tenants()
    reconcilers: Reconcilers = Reconcilers()
    kube: Kube = Kube()
    servers: Servers = Servers()
    log: Log = Log()
    election: Election = Election()
