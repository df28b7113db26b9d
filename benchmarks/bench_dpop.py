# SPDX-License-Identifier: Apache-2.0
"""What it costs to verify a DPoP proof: of a key that was met before, and of a new one."""

import itertools

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pytest_benchmark.fixture import BenchmarkFixture

from pypow_server.identity.dpop import DpopRules, Nonces, Proven, verify
from pypow_server.identity.dpop import keys as dpop_keys
from support.dpop_proofs import KeyHolder

NOW_MS = 1_790_000_000_000
URL = "https://gate.example/mcp"
TOKEN = "a.token.of-somebody"
NONCES = Nonces((b"n" * 32,))
RULES = DpopRules(algorithms=("ES256", "EdDSA", "RS256"))

HOLDERS = {
    "ES256": KeyHolder(ECKey.generate_key("P-256"), "ES256"),
    "EdDSA": KeyHolder(OKPKey.generate_key("Ed25519"), "EdDSA"),
    "RS256": KeyHolder(RSAKey.generate_key(2048), "RS256"),
}


def _verify(holder: KeyHolder, proof: str) -> Proven:
    found = verify(
        [proof],
        method="POST",
        url=URL,
        now_ms=NOW_MS,
        access_token=TOKEN,
        bound_to=holder.thumbprint,
        nonces=NONCES,
        rules=RULES,
    )
    assert isinstance(found, Proven)
    return found


def _proofs(holder: KeyHolder) -> "itertools.cycle[str]":
    nonce = NONCES.current(NOW_MS)
    return itertools.cycle(
        [holder.proof("POST", URL, now_ms=NOW_MS, token=TOKEN, nonce=nonce) for _ in range(64)]
    )


@pytest.mark.parametrize("algorithm", HOLDERS)
def test_a_proof_of_a_known_key(benchmark: BenchmarkFixture, algorithm: str) -> None:
    holder = HOLDERS[algorithm]
    proofs = _proofs(holder)
    benchmark(lambda: _verify(holder, next(proofs)))


def test_a_proof_of_a_new_key(benchmark: BenchmarkFixture) -> None:
    holder = HOLDERS["ES256"]
    proofs = _proofs(holder)

    def verify_anew() -> None:
        dpop_keys._key.cache_clear()
        _verify(holder, next(proofs))

    benchmark(verify_anew)


def test_a_proof_with_a_wrong_signature(benchmark: BenchmarkFixture) -> None:
    proof = next(_proofs(HOLDERS["ES256"])).rpartition(".")[0] + "." + "A" * 86
    benchmark(lambda: verify([proof], method="POST", url=URL, now_ms=NOW_MS, rules=RULES))
