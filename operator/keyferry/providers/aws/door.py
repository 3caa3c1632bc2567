"""A request in, an answer out. Threads, counting, retries and the renewal of keys live here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from keyferry.errors import KeyferryError
from keyferry.ports import Context
from keyferry.providers.aws.answers import Failure, Purpose, judge, odd
from keyferry.providers.aws.identity import Identity, Keys, signed
from keyferry.providers.aws.sdk import PARALLEL, Signer
from keyferry.transport import Threads, retried

Answer = dict[str, Any]


class Caller:
    """Makes the calls of one adapter."""

    def __init__(self, context: Context) -> None:
        self.threads = Threads(PARALLEL)
        self._context = context

    async def call(self, name: str, identity: Identity, send: Callable[[Keys], Answer | Failure]) -> Answer:
        """What ``send`` answers in a thread, with the identity's keys; tried again as ``spec.retrySettings`` says.

        Each try is counted as ``name``. Raises a KeyferryError.
        """

        async def attempt(keys: Keys) -> Answer | Failure:
            outcome: Answer | Failure = {}

            async def once() -> None:
                nonlocal outcome
                with self._context.observe(name):
                    outcome = await self.threads.run(lambda: send(keys))
                    if isinstance(outcome, Failure):
                        raise outcome.error

            try:
                # Within, not around: taking keys is a call of its own, with retries of its own.
                await retried(once, self._context.retries)
            except KeyferryError as error:
                return outcome if isinstance(outcome, Failure) else Failure(error)
            return outcome

        return await signed(identity, attempt)


def sent(client: Any, operation: str, asked: Mapping[str, Any], purpose: Purpose) -> Answer | Failure:
    """Send one request, in a thread. ``operation`` is the name of the client's method."""
    # An error is returned, not raised: the SDK's exceptions carry answers, and would hang on to a raised one as its
    # context.
    try:
        answer: Answer = getattr(client, operation)(**asked)
    except Exception as error:  # noqa: BLE001 - botocore reads what it is sent without a second look
        return judge(error, purpose, client.meta.endpoint_url)
    return answer


def listed(answer: Answer, name: str, purpose: Purpose) -> list[Mapping[str, Any]]:
    """A list of objects in an answer. Raises ``Unreachable`` where there is none: AWS would have sent an empty one."""
    found = answer.get(name)
    if not isinstance(found, list) or not all(isinstance(item, Mapping) for item in found):
        raise odd(purpose)
    return found


class Door:
    """One service in one region. Owns its client."""

    def __init__(self, *, client: Any, signer: Signer, identity: Identity, caller: Caller) -> None:
        """``client`` is botocore's, and signs with ``signer``."""
        self._client = client
        self._signer = signer
        self._identity = identity
        self._caller = caller

    async def ask(self, operation: str, purpose: Purpose, **asked: Any) -> Answer:
        """One request; the answer as botocore makes it. Raises a KeyferryError."""

        def send(keys: Keys) -> Answer | Failure:
            self._signer.use(keys)
            return sent(self._client, operation, asked, purpose)

        name = self._client.meta.method_to_api_mapping[operation]
        return await self._caller.call(name, self._identity, send)

    async def pages(self, operation: str, purpose: Purpose, **asked: Any) -> AsyncIterator[Answer]:
        """Every page of an answer that comes in pages. Raises a KeyferryError."""
        seen: set[str] = set()
        more: dict[str, str] = {}
        while True:
            answer = await self.ask(operation, purpose, **asked, **more)
            yield answer
            token = answer.get("NextToken")
            if not token:
                return
            if not isinstance(token, str) or token in seen:
                raise odd(purpose)
            seen.add(token)
            more = {"NextToken": token}

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._client.close()
