"""The RPCs of Secret Manager that reading needs, on a grpc.aio server with the SDK's own messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qs

import grpc
import grpc.aio
from google.cloud.secretmanager_v1 import types as sm
from google.iam.v1 import iam_policy_pb2
from google.protobuf import any_pb2
from google.rpc import status_pb2

from tests.sandbox.gcp.accounts import Accounts
from tests.sandbox.gcp.store import Refusal, Secret, Store, Version, error_info

T = TypeVar("T")

_SERVICE: Final = "google.cloud.secretmanager.v1.SecretManagerService"
_PAGE: Final = 100
"""Entries of a page; the real service sends up to 25,000, and chooses for itself as well."""


class Call(NamedTuple):
    """One RPC that arrived."""

    rpc: str
    identity: str
    resource: str


class Messages(NamedTuple):
    """How a request is read and an answer written, and the field that names the resource."""

    request: Callable[[bytes], Any]
    answer: Callable[[Any], bytes]
    resource: str


_MESSAGES: Final[Mapping[str, Messages]] = MappingProxyType(
    {
        "AccessSecretVersion": Messages(
            sm.AccessSecretVersionRequest.deserialize, sm.AccessSecretVersionResponse.serialize, "name"
        ),
        "GetSecret": Messages(sm.GetSecretRequest.deserialize, sm.Secret.serialize, "name"),
        "ListSecrets": Messages(sm.ListSecretsRequest.deserialize, sm.ListSecretsResponse.serialize, "parent"),
        "ListSecretVersions": Messages(
            sm.ListSecretVersionsRequest.deserialize, sm.ListSecretVersionsResponse.serialize, "parent"
        ),
        "TestIamPermissions": Messages(
            iam_policy_pb2.TestIamPermissionsRequest.FromString,
            iam_policy_pb2.TestIamPermissionsResponse.SerializeToString,
            "resource",
        ),
    }
)


@dataclass
class Rpcs:
    """Answers RPCs. ``calls``, ``seen`` and ``filters`` tell what arrived."""

    store: Store
    accounts: Accounts

    def __post_init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.seen: list[Call] = []
        self.filters: list[str] = []

    def handler(self) -> grpc.GenericRpcHandler:
        """For ``grpc.aio.Server.add_generic_rpc_handlers``."""
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                rpc: grpc.unary_unary_rpc_method_handler(
                    self._answering(rpc, messages),
                    request_deserializer=messages.request,
                    response_serializer=messages.answer,
                )
                for rpc, messages in _MESSAGES.items()
            },
        )

    def _answering(self, rpc: str, messages: Messages) -> Callable[[Any, Any], Any]:
        answer = getattr(self, f"_{rpc}")

        async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            self.calls[rpc] += 1
            metadata = {name: str(value) for name, value in context.invocation_metadata() or ()}
            try:
                resource = getattr(request, messages.resource)
                identity = self._identity(metadata)
                self.seen.append(Call(rpc, identity, resource))
                _check_routing(metadata, messages.resource, resource)
                return answer(request, identity)
            except Refusal as refusal:
                context.set_trailing_metadata((("grpc-status-details-bin", details_of(refusal)),))
                await context.abort(refusal.code, refusal.message)

        return handle

    def _identity(self, metadata: Mapping[str, str]) -> str:
        kind, _, token = metadata.get("authorization", "").partition(" ")
        identity = self.accounts.holder(token) if kind == "Bearer" else None
        if identity is None:
            raise Refusal(
                grpc.StatusCode.UNAUTHENTICATED,
                "Request had invalid authentication credentials. Expected OAuth 2 access token.",
                [error_info("ACCESS_TOKEN_TYPE_UNSUPPORTED")],
            )
        return identity

    def _AccessSecretVersion(  # noqa: N802 -- the RPC's name
        self, request: sm.AccessSecretVersionRequest, identity: str
    ) -> sm.AccessSecretVersionResponse:
        name, _, asked = self.store.canonical(request.name).partition("/versions/")
        self.store.demand(identity, "secretmanager.versions.access", name, request.name)
        number, version = self.store.version(name, asked)
        full = f"{name}/versions/{number}"
        if version.state != "ENABLED":
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f"Secret Version [{full}] is in {version.state} state.")
        return sm.AccessSecretVersionResponse(name=full, payload=sm.SecretPayload(data=version.data))

    def _GetSecret(self, request: sm.GetSecretRequest, identity: str) -> sm.Secret:  # noqa: N802 -- the RPC's name
        name = self.store.canonical(request.name)
        self.store.demand(identity, "secretmanager.secrets.get", name, request.name)
        return self.store.described(name, self.store.secret(name))

    def _ListSecrets(  # noqa: N802 -- the RPC's name
        self, request: sm.ListSecretsRequest, identity: str
    ) -> sm.ListSecretsResponse:
        parent = self.store.canonical(request.parent)
        self.store.demand(identity, "secretmanager.secrets.list", parent, request.parent)
        self.filters.append(request.filter)
        found: list[tuple[str, Secret]] = list(self.store.below(parent, request.filter))
        page, following = _page(found, request.page_token, request.page_size)
        return sm.ListSecretsResponse(
            secrets=[self.store.described(name, secret) for name, secret in page],
            next_page_token=following,
            total_size=len(found),
        )

    def _ListSecretVersions(  # noqa: N802 -- the RPC's name
        self, request: sm.ListSecretVersionsRequest, identity: str
    ) -> sm.ListSecretVersionsResponse:
        name = self.store.canonical(request.parent)
        self.store.demand(identity, "secretmanager.versions.list", name, request.parent)
        states = {"": {"ENABLED", "DISABLED", "DESTROYED"}, "state:ENABLED": {"ENABLED"}}
        if request.filter not in states:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Request contains an invalid filter.")
        wanted = states[request.filter]
        found: list[tuple[int, Version]] = [
            (number, version)
            for number, version in reversed(list(enumerate(self.store.secret(name).versions, 1)))
            if version.state in wanted
        ]
        page, following = _page(found, request.page_token, request.page_size)
        return sm.ListSecretVersionsResponse(
            versions=[
                sm.SecretVersion(name=f"{name}/versions/{number}", state=version.state, create_time=version.created)
                for number, version in page
            ],
            next_page_token=following,
            total_size=len(found),
        )

    def _TestIamPermissions(self, request: Any, identity: str) -> Any:  # noqa: N802 -- the RPC's name
        allowed = self.store.permissions(identity, self.store.canonical(request.resource))
        return iam_policy_pb2.TestIamPermissionsResponse(permissions=[p for p in request.permissions if p in allowed])


def details_of(refusal: Refusal) -> bytes:
    """A refusal as google.rpc.Status, which travels in the trailers."""
    packed = []
    for detail in refusal.details:
        holder = any_pb2.Any()
        holder.Pack(detail)
        packed.append(holder)
    status = status_pb2.Status(code=refusal.code.value[0], message=refusal.message, details=packed)
    return bytes(status.SerializeToString())


def _check_routing(metadata: Mapping[str, str], field: str, resource: str) -> None:
    """The header by which Google finds the place of a resource: the SDK sends it, and so has to arrive."""
    if parse_qs(metadata.get("x-goog-request-params", "")).get(field) != [resource]:
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "x-goog-request-params does not name the resource.")


def _page(found: list[T], token: str, size: int) -> tuple[list[T], str]:
    start = int(token or 0)
    end = start + min(size or _PAGE, _PAGE)
    return found[start:end], str(end) if end < len(found) else ""
