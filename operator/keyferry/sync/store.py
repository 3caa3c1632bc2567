"""SecretStore and ClusterSecretStore: can the backend be used? (eso-facts 1.10)"""

from __future__ import annotations

from typing import Protocol

from keyferry.api.store import SecretStore
from keyferry.errors import KeyferryError
from keyferry.kube.record import Note
from keyferry.ports import CallerNeeded, Capabilities, Validation
from keyferry.shape.keys import compile_name
from keyferry.sync.outcome import Outcome, retry_delay
from keyferry.sync.stores import Gate

_FAILED = "InvalidProviderConfig"


class Checker(Protocol):
    """What is needed of ``fetch.Fetcher``."""

    async def capabilities(self, store: SecretStore) -> Capabilities:
        """What the store's provider can do. Raises ``BadSpec`` where its configuration is wrong."""
        ...

    async def open(self, store: SecretStore) -> None:
        """Open the store's adapter, if it is not. Raises a KeyferryError."""
        ...

    async def validate(self, store: SecretStore, *, within: float) -> Validation:
        """Let the store check itself, unless reading went well in the last so many seconds. Raises a KeyferryError."""
        ...


class Stores:
    """The use case of both kinds of store."""

    def __init__(self, gate: Gate, checker: Checker, *, interval: float) -> None:
        self._gate = gate
        self._checker = checker
        self._interval = interval

    def serves(self, store: SecretStore) -> bool:
        """Whether the store is of this process's class; others stay untouched."""
        return self._gate.serves(store)

    async def sync(self, store: SecretStore, failures: int) -> Outcome:
        """Check the store. ``failures`` is the number of checks that failed in a row before this one."""
        if not self.serves(store) or store.metadata.deletion_timestamp is not None:
            return Outcome.skipped()
        interval = self._interval
        stage = "unable to create client"
        capabilities = None
        try:
            interval = store.spec.refresh_seconds or interval
            _check_patterns(store)
            capabilities = await self._checker.capabilities(store)
            try:
                await self._checker.open(store)
                stage = "unable to validate store"
                await self._checker.validate(store, within=interval)
            except CallerNeeded:
                # Each caller brings its own credential; there is nothing to try it with before one comes.
                pass
        except KeyferryError as error:
            failed = _failure(error, failures, interval, message=stage)
            return failed.with_status({} if capabilities is None else {"capabilities": capabilities.value})
        was = next((each.status for each in store.status.conditions if each.type == "Ready"), "")
        return Outcome(
            "success",
            ready="True",
            reason="Valid",
            message="store validated",
            status={"capabilities": capabilities.value},
            # ESO says so at every check; once, when it becomes true, is what people can read.
            notes=() if was == "True" else (Note("Normal", "Valid", "store validated"),),
            delay=interval,
        )

    def failed(self, error: KeyferryError, failures: int) -> Outcome:
        """What is told of a store that could not be checked at all."""
        return _failure(error, failures, self._interval)


def _failure(error: KeyferryError, failures: int, interval: float, *, message: str = "") -> Outcome:
    return Outcome.failed(
        error,
        reason=_FAILED,
        event=_FAILED,
        message=message,
        delay=retry_delay(error, failures + 1, interval),
    )


def _check_patterns(store: SecretStore) -> None:
    for number, condition in enumerate(store.spec.conditions):
        for position, pattern in enumerate(condition.namespace_regexes):
            try:
                compile_name(pattern)
            except KeyferryError as error:
                raise error.within(f"spec.conditions[{number}].namespaceRegexes[{position}]") from None
