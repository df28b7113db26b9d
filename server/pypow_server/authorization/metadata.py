# SPDX-License-Identifier: Apache-2.0
"""What the authorization server says of itself (RFC 8414 section 2)."""

from typing import Final

from .key_proofs import ALGORITHMS
from .place import AUTHORIZE, DEVICE_AUTHORIZATION, JWKS, REGISTER, TOKEN, Place

GRANTS: Final = (
    "authorization_code",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:device_code",
)
SCOPES: Final = ("work", "sats")


def document(place: Place, *, fetches_clients: bool) -> dict[str, object]:
    """The metadata document.

    Args:
        place: where the server is.
        fetches_clients: whether the URL of a client's document is an id.
    """
    return {
        "issuer": place.issuer,
        "authorization_endpoint": place.url(AUTHORIZE),
        "token_endpoint": place.url(TOKEN),
        "device_authorization_endpoint": place.url(DEVICE_AUTHORIZATION),
        "registration_endpoint": place.url(REGISTER),
        "jwks_uri": place.url(JWKS),
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANTS),
        "token_endpoint_auth_methods_supported": [
            "none",
            "client_secret_basic",
            "client_secret_post",
        ],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": fetches_clients,
    }
