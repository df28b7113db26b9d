# SPDX-License-Identifier: Apache-2.0
"""A pass that is bound to a key is good for the key's holder, one request a proof, and for nobody
else: whoever steals it, or a whole request with it, has nothing."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pypow.base64_text import decode_url
from pypow.errors import InvalidInputError
from pypow_server import passes
from pypow_server.api import create_api
from pypow_server.bound_passes import key_binding
from pypow_server.call import Call
from pypow_server.identity.dpop import Nonces
from pypow_server.key_binding import KeyBinding
from pypow_server.passes import UNBOUND, Pass
from pypow_server.policy import Entry, PassTerms, Policy
from pypow_server.problems import Problem
from pypow_server.rails import Admit
from pypow_server.rails.work import WorkRail
from pypow_server.redemption import Redemption
from pypow_server.settings import Settings
from support.asgi_client import Answer, call
from support.challenges import KEYRING, NOW_MS
from support.dpop_proofs import KeyHolder
from support.gated import EASY, HOST, Bench, document, solution, solved

URL = f"https://{HOST}"
NONCES = Nonces((b"n" * 32,))
OWNER, THIEF = KeyHolder(), KeyHolder()
END_MS = NOW_MS + 300_000

Fields = list[tuple[bytes, bytes]]


def selling(calls: int) -> Policy:
    price = replace(EASY, sells=PassTerms(calls, 300))
    return Policy(default=price, entries=(Entry("GET /x", price),))


class BindingBench(Bench):
    """A gate that binds passes to keys."""

    def __init__(self, calls: int = 3, *, nonces: Nonces | None = None, **options: Any) -> None:
        self.binding = KeyBinding(URL, KEYRING, nonces)
        work = WorkRail(KEYRING, public_host=HOST, binding=self.binding)
        super().__init__(policy=selling(calls), rails=[work], **options)
        self.rail = work

    def buy(self, holder: KeyHolder = OWNER, **claims: Any) -> str:
        """The pass that one proof of work buys for the holder of a key."""
        answer = self.send("GET", headers=[*solution(self.proof()), *proven(holder, **claims)])
        assert answer.status == 200, answer.body
        return answer.values(b"x-pow-pass")[0].decode()

    def used(self, text: str) -> int:
        """How many of the pass's calls are gone."""
        given = passes.decode(text)
        left = 0
        while self.send("GET", headers=held(text)).status == 200:
            left += 1
        return given.calls - left


def proven(holder: KeyHolder, method: str = "GET", path: str = "/x", **claims: Any) -> Fields:
    proof = holder.proof(method, URL + path, now_ms=NOW_MS, **claims)
    return [(b"dpop", proof.encode())]


def held(text: str, holder: KeyHolder = OWNER, **claims: Any) -> Fields:
    """A bound pass as its holder sends it."""
    return [(b"authorization", f"DPoP {text}".encode()), *proven(holder, token=text, **claims)]


def told(answer: Answer) -> tuple[int, str]:
    found = document(answer)
    return answer.status, found["type"].removeprefix("urn:pypow:error:")


def test_a_buyer_who_proves_a_key_gets_a_pass_that_only_this_key_opens() -> None:
    bench = BindingBench()
    text = bench.buy()
    assert passes.decode(text).thumbprint == decode_url(OWNER.thumbprint)
    answers = [bench.send("GET", headers=held(text)) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 402]
    assert told(answers[2]) == (402, "already-spent")
    assert bench.app.header(b"authorization") == bench.app.header(b"dpop") == []
    assert bench.app.scopes[-1]["pypow.principal"] == f"pass:{passes.decode(text).id.hex()}"


def test_a_buyer_who_proves_no_key_gets_a_pass_that_whoever_has_it_may_use() -> None:
    bench = BindingBench()
    text = bench.send("GET", headers=solution(bench.proof())).values(b"x-pow-pass")[0].decode()
    assert passes.decode(text).thumbprint == UNBOUND
    bearer = [(b"authorization", f"Bearer {text}".encode())]
    assert bench.send("GET", headers=bearer).status == 200
    by_key = bench.send("GET", headers=held(text))
    assert told(by_key) == (400, "malformed-proof")


STOLEN: dict[str, tuple[Callable[[str], Fields], int]] = {
    "as a bearer pass": (lambda text: [(b"authorization", b"Bearer " + text.encode())], 402),
    "in the cookie": (lambda text: [(b"cookie", b"pypow_pass=" + text.encode())], 402),
    "as a bearer pass, with a proof": (
        lambda text: [(b"authorization", b"Bearer " + text.encode()), *proven(OWNER, token=text)],
        402,
    ),
    "without a proof": (lambda text: [(b"authorization", b"DPoP " + text.encode())], 401),
    "with the thief's own key": (lambda text: held(text, THIEF), 402),
    "with a proof for another call": (lambda text: held(text, path="/y"), 401),
    "with a proof for another method": (lambda text: held(text, method="POST"), 401),
    "with a proof for another pass": (
        lambda text: [(b"authorization", b"DPoP " + text.encode()), *proven(OWNER, token="pyp_")],
        401,
    ),
    "with a proof for no pass": (
        lambda text: [(b"authorization", b"DPoP " + text.encode()), *proven(OWNER)],
        401,
    ),
    "with an old proof": (lambda text: held(text, iat=NOW_MS // 1000 - 301), 401),
    "with two proofs": (lambda text: [*held(text), *proven(OWNER, token=text)], 401),
    "with another's proof of work": (
        lambda text: [*held(text), (b"x-pow-solution", b"challenge=x,nonce=1")],
        400,
    ),
    "with a changed key": (
        lambda text: held(
            replace(passes.decode(text), thumbprint=decode_url(THIEF.thumbprint)).text, THIEF
        ),
        402,
    ),
    "without its key": (
        lambda text: [
            (
                b"authorization",
                b"Bearer " + replace(passes.decode(text), thumbprint=UNBOUND).text.encode(),
            )
        ],
        402,
    ),
}


def thefts_that_succeed(bench: BindingBench, text: str) -> dict[str, int]:
    """Ways to use a stolen pass that are answered otherwise than they should be."""
    answered = {kind: bench.send("GET", headers=sent(text)) for kind, (sent, _) in STOLEN.items()}
    return {
        kind: answer.status for kind, answer in answered.items() if answer.status != STOLEN[kind][1]
    }


def test_a_stolen_pass_is_worth_nothing_and_loses_no_call() -> None:
    bench = BindingBench()
    text = bench.buy()
    assert thefts_that_succeed(bench, text) == {}
    assert bench.app.reached == 1
    assert bench.used(text) == 0


@pytest.mark.parametrize("name", ["held", "_verified"])
def test_a_gate_that_believes_whoever_sends_it_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "held":
        monkeypatch.setattr(KeyBinding, name, lambda _self, _given, admit, *_, **__: admit)
    else:
        real = KeyBinding._verified
        monkeypatch.setattr(
            KeyBinding,
            name,
            lambda self, *asked, **more: real(
                self, *asked, **more | {"bound_to": None, "token": None}
            ),
        )
    bench = BindingBench()
    assert thefts_that_succeed(bench, bench.buy())


def test_each_refusal_asks_for_what_would_help() -> None:
    bench = BindingBench()
    text = bench.buy()
    no_proof = bench.send("GET", headers=[(b"authorization", f"DPoP {text}".encode())])
    assert told(no_proof) == (401, "invalid-dpop-proof")
    (line, *_) = no_proof.values(b"www-authenticate")
    assert line.startswith(b'DPoP error="invalid_dpop_proof", error_description="')
    assert line.endswith(b'algs="ES256 EdDSA Ed25519"')
    other_key = bench.send("GET", headers=held(text, THIEF))
    assert told(other_key) == (402, "wrong-principal")
    assert other_key.values(b"www-authenticate")[0].startswith(b'DPoP error="invalid_token"')


def test_mcp_callers_hear_of_a_bad_proof_at_its_own_status() -> None:
    bench = BindingBench()
    text = bench.buy()
    bare = [(b"authorization", f"DPoP {text}".encode())]
    answer = bench.post_mcp("tools/call", {"name": "search"}, headers=bare)
    assert answer.status == 401
    assert document(answer)["error"]["data"]["type"] == "urn:pypow:error:invalid-dpop-proof"


def test_a_request_that_is_sent_again_is_refused_and_costs_no_call() -> None:
    bench = BindingBench()
    text = bench.buy()
    sent = held(text)
    assert [bench.send("GET", headers=sent).status for _ in range(3)] == [200, 401, 401]
    assert bench.used(text) == 1


def test_a_pass_for_a_time_takes_a_fresh_proof_each_time() -> None:
    bench = BindingBench(calls=0)
    text = bench.buy()
    sent = held(text)
    assert [bench.send("GET", headers=sent).status for _ in range(2)] == [200, 401]
    assert bench.send("GET", headers=held(text)).status == 200


def _raced(bench: BindingBench, sent: Fields) -> Counter[int]:
    async def story() -> Counter[int]:
        fields = [(b"host", HOST.encode()), *sent]
        answers = await asyncio.gather(
            *(call(bench.gate, "GET", b"/x", headers=fields) for _ in range(100))
        )
        return Counter(answer.status for answer in answers)

    return asyncio.run(story())


def test_a_request_that_many_send_at_once_is_let_in_once() -> None:
    bench = BindingBench(calls=20)
    text = bench.buy()
    assert _raced(bench, held(text)) == {200: 1, 401: 99}
    assert bench.used(text) == 1


@pytest.mark.parametrize(
    "claims", [{"htm": "POST"}, {"htu": f"{URL}/y"}, {"iat": 1}, {"jti": ""}, {"nonce": 7}]
)
def test_a_buyer_with_a_bad_proof_of_a_key_keeps_the_proof_of_work(claims: dict[str, Any]) -> None:
    bench = BindingBench()
    work = solution(bench.proof())
    refused = bench.send("GET", headers=[*work, *proven(OWNER, **claims)])
    assert told(refused) == (401, "invalid-dpop-proof")
    assert bench.send("GET", headers=[*work, *proven(OWNER)]).status == 200


def test_a_buyer_whose_proof_was_used_before_keeps_the_proof_of_work() -> None:
    bench = BindingBench()
    bench.buy(jti="one")
    work = solution(bench.proof())
    again = bench.send("GET", headers=[*work, *proven(OWNER, jti="one")])
    assert told(again) == (401, "invalid-dpop-proof")
    assert bench.send("GET", headers=[*work, *proven(OWNER)]).status == 200


@pytest.mark.parametrize(
    "beside",
    [
        [(b"authorization", b"DPoP a.token.of-the-upstream"), *proven(OWNER)],
        proven(OWNER, token="a"),
    ],
    ids=["Authorization", "ath"],
)
def test_a_proof_of_a_token_for_the_upstream_is_none_of_ours(beside: Fields) -> None:
    bench = BindingBench()
    answer = bench.send("GET", headers=[*solution(bench.proof()), *beside])
    assert passes.decode(answer.values(b"x-pow-pass")[0].decode()).thumbprint == UNBOUND
    assert bench.app.header(b"dpop") == [beside[-1][1]]


def test_nonces_are_asked_for_and_given() -> None:
    bench = BindingBench(nonces=NONCES)
    work = solution(bench.proof())
    first = bench.send("GET", headers=[*work, *proven(OWNER)])
    assert told(first) == (401, "use-dpop-nonce")
    assert first.values(b"www-authenticate")[0].startswith(b'DPoP error="use_dpop_nonce"')
    nonce = first.values(b"dpop-nonce")[0].decode()
    answer = bench.send("GET", headers=[*work, *proven(OWNER, nonce=nonce)])
    assert (answer.status, answer.values(b"dpop-nonce")) == (200, [nonce.encode()])
    text = answer.values(b"x-pow-pass")[0].decode()
    assert bench.send("GET", headers=held(text, nonce=nonce)).status == 200
    bench.clock.now_ms += 1000 * 2 * NONCES.span_s
    late = bench.send("GET", headers=held(text, nonce=nonce))
    assert told(late) == (401, "use-dpop-nonce")
    assert late.values(b"dpop-nonce") not in ([], [nonce.encode()])


def test_a_gate_that_binds_nothing_takes_no_bound_pass() -> None:
    text = BindingBench().buy()
    bench = Bench(policy=selling(3))
    assert told(bench.send("GET", headers=held(text))) == (400, "malformed-proof")
    bearer = [(b"authorization", f"Bearer {text}".encode())]
    assert told(bench.send("GET", headers=bearer)) == (402, "wrong-principal")
    unbound = bench.send("GET", headers=[*solution(bench.proof()), *proven(OWNER)])
    assert passes.decode(unbound.values(b"x-pow-pass")[0].decode()).thumbprint == UNBOUND
    assert bench.app.reached == 1


def test_a_websocket_is_proven_as_the_get_that_it_begins_with() -> None:
    text = BindingBench().buy()
    binding = KeyBinding(URL, KEYRING)
    fields = tuple(proven(OWNER, token=text))
    handshake = Call("WEBSOCKET", b"/x", "192.0.2.7", fields, by_key=True)
    found = binding.held(passes.decode(text), Admit("pass", None), handshake, now_ms=NOW_MS)
    assert isinstance(found, Admit)
    assert found.guard is not None


class Api:
    """The callers' API of a gate that binds passes to keys."""

    def __init__(self, *, nonces: Nonces | None = None) -> None:
        self.bench = BindingBench(nonces=nonces)
        self.api = create_api(
            Redemption(self.bench.rail, self.bench.policy, self.bench.ledger),
            clock=self.bench.clock,
        )

    def ask(
        self, method: str, target: str, headers: Sequence[tuple[bytes, bytes]] = (), body: str = ""
    ) -> Answer:
        return asyncio.run(
            call(self.api, method, target.encode(), headers=headers, body=body.encode())
        )

    def work(self) -> str:
        """A proof of work as the API takes it."""
        published = json.loads(self.ask("GET", "/api/challenge?resource=GET%20/x").body)
        text = solved(published).partition(",nonce=")[2]
        return json.dumps(
            {"challenge": published["challenge"], "nonce": text, "resource": "GET /x"}
        )

    def redeem(self, body: str, headers: Sequence[tuple[bytes, bytes]], query: str = "") -> Answer:
        return self.ask("POST", f"/api/verify{query}", headers, body)


def at_api(**claims: Any) -> Fields:
    return proven(OWNER, "POST", "/api/verify", **claims)


def test_the_api_redeems_a_proof_for_a_pass_that_is_bound() -> None:
    api = Api()
    answer = api.redeem(api.work(), at_api())
    assert answer.status == 200, answer.body
    bought = json.loads(answer.body)
    assert bought["thumbprint"] == OWNER.thumbprint
    assert api.bench.send("GET", headers=held(bought["pass"])).status == 200
    assert "thumbprint" not in json.loads(api.redeem(api.work(), ()).body)


def test_the_api_spends_nothing_for_a_bad_proof_of_a_key() -> None:
    api = Api()
    work, used = api.work(), at_api(jti="one")
    assert api.redeem(api.work(), used).status == 200
    for fields in (used, proven(OWNER, "POST", "/x"), at_api(iat=1), [*at_api(), *at_api()]):
        refused = api.redeem(work, fields)
        assert told(refused) == (401, "invalid-dpop-proof")
        assert refused.values(b"www-authenticate")[0].startswith(b"DPoP error=")
    in_a_cookie = api.redeem(work, at_api(), "?cookie=1")
    assert told(in_a_cookie) == (400, "bad-request")
    assert api.redeem(work, at_api()).status == 200


def test_the_api_says_the_nonce_beside_the_challenge() -> None:
    api = Api(nonces=NONCES)
    (nonce,) = api.ask("GET", "/api/challenge").values(b"dpop-nonce")
    assert api.redeem(api.work(), at_api(nonce=nonce.decode())).status == 200
    assert told(api.redeem(api.work(), at_api())) == (401, "use-dpop-nonce")


def test_a_payment_buys_a_bound_pass_as_well() -> None:
    pytest.importorskip("coincurve", reason="signatures need the extra l402")
    from support.selling import SATS, Stall, authorized

    stall = Stall(Policy(default=replace(SATS, sells=PassTerms(0, 300))))
    stall.l402._binding = stall.work.binding = KeyBinding(URL, KEYRING)
    paid = authorized(stall.buy())
    bad = stall.send("GET", headers=[*paid, *proven(OWNER, htm="POST")])
    assert told(bad) == (401, "invalid-dpop-proof")
    answer = stall.send("GET", headers=[*paid, *proven(OWNER)])
    assert answer.status == 200
    text = answer.values(b"x-pow-pass")[0].decode()
    assert stall.send("GET", headers=held(text)).status == 200
    bearer = authorized(b"Bearer " + text.encode())
    assert told(stall.send("GET", headers=bearer)) == (402, "wrong-principal")


def test_a_gate_binds_passes_where_its_operator_says_so(tmp_path: Path) -> None:
    def bound(word: str) -> KeyBinding | None:
        settings = Settings(state_dir=tmp_path, bound_passes=word, public_url=f"{URL}/")
        return key_binding(settings, KEYRING)

    sold = passes.issue(KEYRING.signing, identity=bytes(16), calls=1, expires_at_ms=END_MS)
    assert bound("off") is None
    on, nonces = bound("on"), bound("nonces")
    assert on is not None
    assert nonces is not None
    assert [bool(one.receipt(NOW_MS)) for one in (on, nonces)] == [False, True]
    (field,) = proven(OWNER)
    # A URL with a path, as some write it who speak MCP: requests have it in theirs.
    for binding in (on, KeyBinding(f"{URL}/x", KEYRING)):
        found = binding.bound_at("GET", b"/x", [field[1]], sold, now_ms=NOW_MS)
        assert not isinstance(found, Problem)
        assert isinstance(found.bought, Pass)
        assert found.bought.thumbprint == decode_url(OWNER.thumbprint)


def test_a_gate_without_joserfc_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dpop = "pypow_server.identity.dpop"
    for name in [name for name in sys.modules if name.startswith(dpop)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pypow_server.key_binding")
    monkeypatch.delattr(dpop)
    monkeypatch.setitem(sys.modules, "joserfc.jwk", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'pypow-engine\[oauth\]'"):
        key_binding(Settings(state_dir=tmp_path, bound_passes="on"), KEYRING)
