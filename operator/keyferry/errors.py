"""What can go wrong, told by what to do next.

- ``KeyferryError``
    - ``NotThere``          the store says that the secret does not exist; the deletion policy decides
    - ``PropertyNotThere``  the secret exists, the property or version asked for does not
    - ``Denied``            the identity may not; wait for a change
    - ``Busy``              the store asks us to slow down; wait as long as it says
    - ``Unreachable``       no answer: network, TLS, time-out, 5xx
        - ``ClusterUnavailable``  the same of the Kubernetes API server
    - ``BadSpec``           the manifest or what it refers to is wrong; wait for an edit
    - ``BadValue``          the value read cannot be used as the manifest asks (not JSON, not base64)
    - ``NotReady``          something else has to become ready first
    - ``Pending``           the answer is on its way; ask again soon
    - ``Conflict``          the API server has a newer version than the one we computed from
    - ``Broken``            a defect of ours

An error's text is shown to users in conditions and Events and is compared to decide whether a status has to be
written. It is therefore *stable* (no request ids, times, addresses of objects or counters) and never holds a
secret's value. Lower errors are dropped with ``from None`` where their text or attributes may hold a value.
"""

from __future__ import annotations

__all__ = [
    "BadSpec",
    "BadValue",
    "Broken",
    "Busy",
    "ClusterUnavailable",
    "Conflict",
    "Denied",
    "KeyferryError",
    "NotReady",
    "NotThere",
    "Pending",
    "PropertyNotThere",
    "Unreachable",
]


class KeyferryError(Exception):
    """Base of all errors that Keyferry raises on purpose.

    ``message`` says what is wrong and where; ``remedy`` says what the user can do, as a sentence without a final stop,
    and is empty where the message says it already.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message

    def within(self, place: str) -> KeyferryError:
        """The same error, told from further out: ``place`` is put before the message."""
        wrapped = self.copy()
        wrapped.message = f"{place}: {self.message}"
        return wrapped

    def copy(self) -> KeyferryError:
        """A twin without traceback or cause, safe to be handed to several waiters of one call."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.args = self.args
        return twin


class NotThere(KeyferryError):
    """The secret does not exist in the store. ``spec.target.deletionPolicy`` decides what follows."""


class PropertyNotThere(KeyferryError):
    """The secret exists, but the property or the version asked for does not."""


class Denied(KeyferryError):
    """The store refuses the identity, at login or for this key."""


class Busy(KeyferryError):
    """The store limits our rate. ``retry_after`` is in seconds, ``None`` where the store does not say."""

    def __init__(self, message: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class Unreachable(KeyferryError):
    """The store did not answer: name resolution, connection, TLS, time-out, or a 5xx status."""


class ClusterUnavailable(Unreachable):
    """The Kubernetes API server does not answer, or asks us to slow down: ``retry_after`` in seconds, if it says so.

    No store is to blame, so this is tried again sooner than what costs a store's quota.
    """

    def __init__(self, message: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class BadSpec(KeyferryError):
    """The manifest, or an object that it refers to, is wrong; nothing changes until somebody edits it."""


class BadValue(KeyferryError):
    """The value that was read cannot be used as the manifest asks: it is not JSON, not base64, holds a null byte."""


class NotReady(KeyferryError):
    """Something that the object depends on is not ready yet, such as its store; its change wakes the object.

    ``pending``: it is new and has not been looked at; that is nothing to tell people of.
    """

    def __init__(self, message: str, *, remedy: str = "", pending: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.pending = pending


class Pending(KeyferryError):
    """The store takes its time, and too many wait for it already. Nothing failed, and there is nothing to tell.

    The reading goes on by itself; who asks again in ``retry_after`` seconds, as far as is known, finds its answer.
    """

    def __init__(self, message: str, *, remedy: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class Conflict(KeyferryError):
    """The object was changed since it was read. The work is done again from the newer version."""


class Broken(KeyferryError):
    """A defect of Keyferry. The log holds the traceback; the condition holds the type of the error only."""
