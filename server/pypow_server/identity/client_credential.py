# SPDX-License-Identifier: Apache-2.0
"""How this gate proves to an issuer who it is (RFC 6749 section 2.3, RFC 7523 section 2.2)."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote_plus

from pypow.base64_text import encode_url
from pypow_server.fixable import FixableError
from pypow_server.fresh import fresh_id

from .signatures import PrivateKey, private_key

Method = Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME_S: Final = 60


class CredentialError(FixableError):
    """A credential that cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """What the issuer gave to this gate when it was registered there.

    Attributes:
        client_id: its name.
        secret: what proves it: a text, or a private key as PEM or JSON Web Key.
        method: how.

    Raises:
        CredentialError: the secret is none that fits the method.
    """

    client_id: str
    secret: str = field(repr=False)
    method: Method = "client_secret_basic"
    _key: PrivateKey | None = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.client_id or not self.secret:
            raise CredentialError(
                "a credential lacks its client id or its secret",
                fix="set both as the issuer gave them",
            )
        if self.method == "private_key_jwt":
            try:
                object.__setattr__(self, "_key", private_key(self.secret))
            except ValueError as error:
                raise CredentialError(
                    f"the credential of {self.client_id} is no key: {error}",
                    fix="give a private key of EC, RSA or Ed25519 as PEM or JSON Web Key",
                ) from None

    def headers(self) -> dict[str, str]:
        """Fields of a request that prove who asks."""
        if self.method != "client_secret_basic":
            return {}
        # RFC 6749 section 2.3.1 has both parts written as in a form.
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def form(self, audience: str, *, now_ms: int) -> dict[str, str]:
        """Members of a form that do.

        Args:
            audience: the issuer, whom alone an assertion convinces.
            now_ms: Unix milliseconds.
        """
        if self.method == "client_secret_post":
            return {"client_id": self.client_id, "client_secret": self.secret}
        if self._key is None:
            return {}
        now_s = now_ms // 1000
        said = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "iat": now_s,
            "exp": now_s + _LIFETIME_S,
            "jti": encode_url(fresh_id()),
        }
        return {
            "client_id": self.client_id,
            "client_assertion_type": _ASSERTION,
            "client_assertion": signed(said, self._key),
        }


def signed(said: Mapping[str, object], key: PrivateKey) -> str:
    """A JWT in compact form."""
    header: dict[str, str] = {"alg": key.algorithm, "typ": "JWT"}
    if key.key_id is not None:
        header["kid"] = key.key_id
    parts = (encode_url(json.dumps(part).encode()) for part in (header, dict(said)))
    text = ".".join(parts)
    return f"{text}.{encode_url(key.sign(text.encode('ascii')))}"
