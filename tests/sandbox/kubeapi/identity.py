"""Who calls: certificates, the admin's token, and ServiceAccount tokens that the server signs."""

from __future__ import annotations

import base64
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from . import meta
from .calls import User
from .status import ApiError, Json, bad_request, invalid, invalid_object, not_found, quote, unauthorized
from .store import Key, Store

ISSUER = "https://kubernetes.default.svc.cluster.local"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Unfit(ApiError):
    """A good token for other audiences. On the wire a plain 401, in a TokenReview a reason."""

    def __init__(self, why: str) -> None:
        super().__init__(401, "Unauthorized", "Unauthorized")
        self.why = why


class Tokens:
    def __init__(self, store: Store, issuer: str = ISSUER) -> None:
        self.store = store
        self.issuer = issuer
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(public)
        self.key_id = _b64(digest.finalize())
        self.static: dict[str, User] = {}

    def jwks(self) -> Json:
        numbers = self._key.public_key().public_numbers()

        def integer(value: int) -> str:
            return _b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))

        return {
            "keys": [
                {
                    "use": "sig",
                    "kty": "RSA",
                    "kid": self.key_id,
                    "alg": "RS256",
                    "n": integer(numbers.n),
                    "e": integer(numbers.e),
                }
            ]
        }

    def discovery(self, url: str) -> Json:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{url}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    # -- issuing --------------------------------------------------------------------------------

    def request(self, namespace: str, name: str, body: Json) -> Json:
        """The TokenRequest subresource."""
        account = self.store.get(Key("", "serviceaccounts", namespace, name))
        if account is None:
            raise not_found("serviceaccounts", "", name)
        spec = dict(body.get("spec") or {})
        seconds = spec.get("expirationSeconds") or 3600
        errors = []
        if seconds < 600:
            errors.append(invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
        if seconds > 1 << 32:
            errors.append(
                invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
            )
        if errors:
            raise invalid_object("TokenRequest", "authentication.k8s.io", "", errors)
        audiences = list(spec.get("audiences") or [self.issuer])
        bound = self._bound(namespace, spec.get("boundObjectRef"))
        token, expires = self.issue(namespace, name, audiences, seconds, bound)
        stamp = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "creationTimestamp": meta.now(),
                "uid": meta.new_uid(),
            },
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {"token": token, "expirationTimestamp": stamp},
        }

    def _bound(self, namespace: str, ref: Json | None) -> Json:
        if not ref:
            return {}
        plural = {"Pod": "pods", "Secret": "secrets"}.get(ref.get("kind", ""))
        if plural is None:
            group, _, version = str(ref.get("apiVersion", "")).rpartition("/")
            raise bad_request(f"cannot bind token to object of type {group}/{version}, Kind={ref.get('kind')}")
        found = self.store.get(Key("", plural, namespace, ref.get("name", "")))
        if found is None:
            raise not_found(plural, "", ref.get("name", ""))
        uid = found.obj["metadata"]["uid"]
        return {ref["kind"].lower(): {"name": ref["name"], "uid": uid}}

    def issue(
        self,
        namespace: str,
        name: str,
        audiences: list[str] | None = None,
        seconds: int = 3600,
        bound: Json | None = None,
    ) -> tuple[str, int]:
        account = self.store.get(Key("", "serviceaccounts", namespace, name))
        if account is None:
            raise not_found("serviceaccounts", "", name)
        issued = int(time.time())
        claims: Json = {
            "aud": audiences or [self.issuer],
            "exp": issued + seconds,
            "iat": issued,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": namespace,
                **(bound or {}),
                "serviceaccount": {"name": name, "uid": account.obj["metadata"]["uid"]},
            },
            "nbf": issued,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        header = {"alg": "RS256", "kid": self.key_id}
        signed = _b64(orjson.dumps(header)) + "." + _b64(orjson.dumps(claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_b64(signature)}", issued + seconds

    # -- checking -------------------------------------------------------------------------------

    def user(self, token: str, audiences: list[str] | None = None) -> tuple[User, list[str]]:
        """The token's user and which of the wanted audiences it is for; 401 otherwise."""
        known = self.static.get(token)
        if known is not None:
            return known, audiences or [self.issuer]
        claims = self._verified(token)
        wanted = audiences or [self.issuer]
        shared = [a for a in wanted if a in claims.get("aud", ())]
        if not shared:
            have, want = (" ".join(quote(a) for a in x) for x in (claims["aud"], wanted))
            raise _Unfit(
                f"[invalid bearer token, token audiences [{have}] is invalid for the target audiences [{want}]]"
            )
        about = claims["kubernetes.io"]
        space, account = about["namespace"], about["serviceaccount"]
        stored = self.store.get(Key("", "serviceaccounts", space, account["name"]))
        if stored is None or stored.obj["metadata"]["uid"] != account["uid"]:
            raise unauthorized()
        for kind, plural in (("pod", "pods"), ("secret", "secrets")):
            if kind in about:
                other = self.store.get(Key("", plural, space, about[kind]["name"]))
                if other is None or other.obj["metadata"]["uid"] != about[kind]["uid"]:
                    raise unauthorized()
        extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]}
        groups = (
            "system:serviceaccounts",
            f"system:serviceaccounts:{space}",
            "system:authenticated",
        )
        return User(claims["sub"], groups, account["uid"], extra), shared

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            signed, _, signature = token.rpartition(".")
            self._key.public_key().verify(_unb64(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            claims: dict[str, Any] = orjson.loads(_unb64(signed.partition(".")[2]))
        except (InvalidSignature, ValueError):
            raise unauthorized() from None
        if not claims["nbf"] - 10 <= time.time() < claims["exp"]:
            raise unauthorized()
        return claims

    def review(self, body: Json) -> Json:
        """The TokenReview resource."""
        spec = body.get("spec") or {}
        status: Json = {}
        try:
            user, audiences = self.user(spec.get("token", ""), spec.get("audiences"))
        except _Unfit as exc:
            status["user"] = {}
            status["error"] = exc.why
        except ApiError:
            status["user"] = {}
            status["error"] = "invalid bearer token"
        else:
            status["authenticated"] = True
            status["user"] = {"username": user.name, "groups": list(user.groups)}
            if user.uid:
                status["user"]["uid"] = user.uid
            if user.extra:
                status["user"]["extra"] = dict(user.extra)
            status["audiences"] = audiences
        return {**body, "status": status}
