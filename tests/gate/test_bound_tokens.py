# SPDX-License-Identifier: Apache-2.0
"""A token that its buyer bound to a key (RFC 9449) is worth nothing to whoever else has it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from pypow_server.authorization import (
    attestations,
    carrying,
    device_grant,
    purchases,
    token_endpoint,
    tokens,
)
from pypow_server.authorization.codes import Code
from pypow_server.authorization.key_proofs import KeyProofs
from pypow_server.authorization.tokens import Worth
from pypow_server.policy import PassTerms
from pypow_server.scope import Message, Receive, Scope, Send
from pypow_server.selling import Selling
from pypow_server.stores import Spend
from pypow_server.stores.memory import MemoryLedger
from support.asgi_client import Answer, call, http_scope
from support.dpop_proofs import KeyHolder
from support.gated import document, solved
from support.issuing import HOST, ISSUER, Desk
from support.selling import paid

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
PROOF = "urn:pypow:token-type:proof"
OWNER, THIEF = KeyHolder(), KeyHolder()
SOLD = {
    "selling": Selling("development:", public_development=True),
    "default_sats": 5,
    "default_sells": PassTerms(3, 300),
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path, rows=SOLD) as made:
        yield made


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def asking(
    holder: KeyHolder = OWNER, *, method: str = "POST", path: str = "/oauth/token", **said: Any
) -> str:
    """A proof for the token endpoint."""
    return holder.proof(method, ISSUER + path, **{"now_ms": now_ms(), **said})


def sending(token: str, holder: KeyHolder = OWNER, **said: Any) -> str:
    """A proof for a call with a token."""
    return holder.proof("GET", f"{ISSUER}/mcp/items", now_ms=now_ms(), token=token, **said)


def buy(desk: Desk, proof: str, *, secret: str = "", **said: str) -> Answer:
    """What a minted secret buys whoever sends a proof of a key."""
    form = {"grant_type": "client_credentials", "client_secret": secret or desk.proof(), **said}
    return desk.post("/oauth/token", form, dpop=proof)


def token_of(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return str(document(answer)["access_token"])


def send(desk: Desk, token: str, proof: str = "", path: str = "/mcp/items") -> Answer:
    """A call as the token's holder makes it."""
    return desk.get(path, authorization=f"DPoP {token}", dpop=proof or sending(token))


def came_to(answer: Answer) -> str:
    if answer.status == 200:
        return "let in"
    said = document(answer)
    return str(said.get("error") or said["type"].removeprefix("urn:pypow:error:"))


def paid_secret(desk: Desk) -> str:
    """A paid L402 for any call of the default price."""
    offered = document(desk.get(desk.asked(desk.register())))["l402"]
    return f"{offered['macaroon']}:{paid(offered['invoice']).hex()}"


def claims_of(desk: Desk, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(document(desk.get("/oauth/jwks")))
    return jwt.decode(token, keys, algorithms=["ES256"]).claims


def stolen(desk: Desk, token: str) -> list[str]:
    """What comes of all that a thief tries who has a token, and a request that it came with."""
    used = sending(token)
    assert send(desk, token, used).status == 200
    tries = (
        desk.call_with(token),
        desk.get("/mcp/items", authorization=f"DPoP {token}"),
        send(desk, token, sending(token, THIEF)),
        send(desk, token, used),
        send(desk, token, sending("another")),
        send(desk, token, path="/mcp/others"),
        send(desk, token, asking()),
    )
    return [came_to(answer) for answer in tries]


NOTHING = [
    "invalid-token",
    "invalid-dpop-proof",
    "invalid-token",
    *["invalid-dpop-proof"] * 4,
]


@pytest.mark.parametrize("secret", [Desk.proof, paid_secret], ids=["work", "sats"])
def test_a_stolen_token_is_worth_nothing_and_loses_no_call(
    desk: Desk, secret: Callable[[Desk], str]
) -> None:
    answer = buy(desk, asking(), secret=secret(desk))
    assert document(answer)["token_type"] == "DPoP"
    token = token_of(answer)
    assert claims_of(desk, token)["cnf"] == {"jkt": OWNER.thumbprint}
    assert stolen(desk, token) == NOTHING
    assert [send(desk, token).status for _ in range(3)] == [200, 200, 402]
    assert desk.upstream.reached == 3
    assert desk.upstream.header(b"authorization") == desk.upstream.header(b"dpop") == []


async def _wins(*_: object, **__: object) -> None:
    return None


def _binds_nobody(claims: dict[str, Any]) -> None:
    return None


TWINS: dict[str, tuple[object, str, object]] = {
    "asks for no proof": (KeyProofs, "of_sender", lambda *_, **__: None),
    "takes a proof twice": (carrying, "use_up", _wins),
    "does not read whom a token is bound to": (tokens, "_bound_to", _binds_nobody),
}


@pytest.mark.parametrize("twin", TWINS.values(), ids=list(TWINS))
def test_a_gate_that_looks_less_closely_is_caught(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, twin: tuple[object, str, object]
) -> None:
    token = token_of(buy(desk, asking()))
    monkeypatch.setattr(*twin)
    try:
        found = stolen(desk, token)
    except AssertionError:
        return
    assert found != NOTHING


def test_who_proves_no_key_gets_a_token_for_whoever_has_it(desk: Desk) -> None:
    token = desk.token()
    assert "cnf" not in claims_of(desk, token)
    assert came_to(send(desk, token)) == "invalid-token"
    assert came_to(desk.call_with(token)) == "let in"


def test_a_refused_holder_hears_which_of_the_two_to_replace(desk: Desk) -> None:
    token = token_of(buy(desk, asking()))
    for answer, error in (
        (desk.call_with(token), "invalid_token"),
        (send(desk, token, sending("another")), "invalid_dpop_proof"),
    ):
        (line,) = answer.values(b"www-authenticate")
        assert answer.status == 401
        assert line.startswith(f'DPoP error="{error}", '.encode())
        assert b'algs="ES256 EdDSA Ed25519"' in line


BAD_PROOFS: dict[str, Callable[[], str]] = {
    "none": lambda: "x",
    "two": lambda: f"{asking()}, {asking()}",
    "of a GET": lambda: asking(method="GET"),
    "for elsewhere": lambda: asking(path="/oauth/authorize"),
    "long ago": lambda: asking(now_ms=now_ms() - 400_000),
    "not yet": lambda: asking(now_ms=now_ms() + 400_000),
    "unsigned": lambda: asking(header={"alg": "none"}),
    "by another key than it brings": lambda: asking(header={"jwk": THIEF.jwk}),
    "of another type": lambda: asking(header={"typ": "JWT"}),
}


@pytest.mark.parametrize("bad", BAD_PROOFS.values(), ids=list(BAD_PROOFS))
def test_a_proof_that_is_not_good_gets_no_token_and_spends_no_work(
    desk: Desk, bad: Callable[[], str]
) -> None:
    secret = desk.proof()
    answer = buy(desk, bad(), secret=secret)
    assert (answer.status, came_to(answer)) == (400, "invalid_dpop_proof")
    assert came_to(buy(desk, asking(), secret=secret)) == "let in"


def exchanged(desk: Desk, proof: str, secret: str) -> Answer:
    said = {"grant_type": EXCHANGE, "subject_token": secret, "subject_token_type": PROOF}
    return desk.post("/oauth/token", said, dpop=proof)


def credentials(desk: Desk, proof: str, secret: str) -> Answer:
    return buy(desk, proof, secret=secret)


def by_code(desk: Desk, proof: str, client_and_code: str) -> Answer:
    client, code = client_and_code.split()
    return desk.redeem(code, client, dpop=proof)


def code_of(desk: Desk) -> str:
    client = desk.register()
    return f"{client} {desk.code(client)}"


def approved_device(desk: Desk) -> str:
    """The code of a device that somebody has worked for."""
    told = document(desk.post("/oauth/device_authorization", {"client_id": "television"}))
    offer = document(desk.get(f"/oauth/device?user_code={told['user_code']}"))
    challenge, nonce = offer["work"]["challenge"], solved(offer["work"]).rpartition("=")[2]
    work = {"user_code": told["user_code"], "challenge": challenge, "nonce": nonce}
    assert desk.post("/oauth/device", work).status == 200
    return str(told["device_code"])


def by_device(desk: Desk, proof: str, code: str) -> Answer:
    said = {"grant_type": DEVICE_CODE, "client_id": "television", "device_code": code}
    return desk.post("/oauth/token", said, dpop=proof)


GRANTS: dict[str, tuple[Callable[[Desk, str, str], Answer], Callable[[Desk], str]]] = {
    "client credentials": (credentials, Desk.proof),
    "client credentials, paid": (credentials, paid_secret),
    "token exchange": (exchanged, Desk.proof),
    "authorization code": (by_code, code_of),
    "device code": (by_device, approved_device),
}


@pytest.mark.parametrize(("grant", "secret"), GRANTS.values(), ids=list(GRANTS))
def test_a_proof_gets_one_token_and_its_replay_spends_nothing(
    desk: Desk,
    grant: Callable[[Desk, str, str], Answer],
    secret: Callable[[Desk], str],
) -> None:
    proof = asking()
    first = grant(desk, proof, secret(desk))
    assert document(first)["token_type"] == "DPoP"
    assert came_to(send(desk, token_of(first))) == "let in"
    kept = secret(desk)
    assert came_to(grant(desk, proof, kept)) == "invalid_dpop_proof"
    assert came_to(grant(desk, asking(), kept)) == "let in"


@pytest.mark.parametrize(("grant", "secret"), GRANTS.values(), ids=list(GRANTS))
def test_an_endpoint_that_takes_a_proof_twice_is_caught(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    grant: Callable[[Desk, str, str], Answer],
    secret: Callable[[Desk], str],
) -> None:
    for module in (attestations, device_grant, purchases, token_endpoint):
        monkeypatch.setattr(module, "use_up", _wins)
    buys = purchases.Purchases.buy

    async def forgetful(*said: Any, **more: Any) -> object:
        return await buys(*said, **{**more, "first": None})

    monkeypatch.setattr(purchases.Purchases, "buy", forgetful)
    with pytest.raises(AssertionError, match="invalid_dpop_proof"):
        test_a_proof_gets_one_token_and_its_replay_spends_nothing(desk, grant, secret)


def test_a_refused_purchase_uses_no_proof_up(desk: Desk) -> None:
    proof = asking()
    assert came_to(buy(desk, proof, secret="challenge=x,nonce=1")) == "invalid_client"
    assert came_to(buy(desk, proof, resource="https://elsewhere.example")) == "invalid_target"
    assert came_to(buy(desk, proof)) == "let in"


def test_a_code_that_was_asked_for_with_a_key_is_good_for_its_holder_alone(desk: Desk) -> None:
    client = desk.register()
    code = desk.code(client, dpop_jkt=OWNER.thumbprint)
    assert came_to(desk.redeem(code, client)) == "invalid_grant"
    assert came_to(desk.redeem(code, client, dpop=asking(THIEF))) == "invalid_grant"
    # The thief burned nothing.
    said = document(desk.redeem(code, client, dpop=asking()))
    assert said["token_type"] == "DPoP"
    assert came_to(send(desk, said["access_token"])) == "let in"


def test_a_code_that_forgets_its_key_is_caught(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    misuse = Code.misuse

    def forgetful(code: Code, **said: Any) -> str | None:
        return misuse(replace(code, wanted=replace(code.wanted, dpop_jkt=None)), **said)

    monkeypatch.setattr(Code, "misuse", forgetful)
    with pytest.raises(AssertionError, match="invalid_grant"):
        test_a_code_that_was_asked_for_with_a_key_is_good_for_its_holder_alone(desk)


@pytest.mark.parametrize("said", ["x", "A" * 42, "A" * 44, f"{'A' * 42}="])
def test_what_is_no_thumbprint_gets_no_code(desk: Desk, said: str) -> None:
    answer = desk.get(desk.asked(desk.register(), dpop_jkt=said))
    assert came_to(answer) == "invalid_request"


def test_where_proofs_need_a_nonce_the_gate_says_it_everywhere(tmp_path: Path) -> None:
    with Desk(tmp_path, bound_passes="nonces") as desk:
        asked = buy(desk, asking())
        assert (asked.status, came_to(asked)) == (400, "use_dpop_nonce")
        (nonce,) = asked.values(b"dpop-nonce")
        assert came_to(buy(desk, asking(nonce="made up"))) == "use_dpop_nonce"
        answer = buy(desk, asking(nonce=nonce.decode()))
        assert answer.values(b"dpop-nonce") == [nonce]
        token = token_of(answer)
        refused = send(desk, token)
        assert (came_to(refused), refused.values(b"dpop-nonce")) == ("use-dpop-nonce", [nonce])
        taken = send(desk, token, sending(token, nonce=nonce.decode()))
        assert (taken.status, taken.values(b"dpop-nonce")) == (200, [nonce])


def test_the_metadata_says_by_what_keys(desk: Desk) -> None:
    for path in ("oauth-authorization-server", "oauth-protected-resource/mcp"):
        said = document(desk.get(f"/.well-known/{path}"))
        assert said["dpop_signing_alg_values_supported"] == ["ES256", "EdDSA", "Ed25519"]


async def accepting(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


def handshake(desk: Desk, **headers: str) -> Message:
    """What a WebSocket's handshake is answered with."""
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = http_scope("GET", b"/live", headers=[HOST, *fields])
    del scope["method"]
    scope.update(type="websocket", extensions={"websocket.http.response": {}})
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def collect(message: Message) -> None:
        sent.append(message)

    desk.run(desk.app(scope, receive, collect))
    return sent[0]


def test_a_websocket_takes_a_proof_of_its_handshake(tmp_path: Path) -> None:
    with Desk(tmp_path, around=accepting, bound_passes="nonces") as desk:
        (nonce,) = desk.post("/oauth/token", {}).values(b"dpop-nonce")
        proof = asking(nonce=nonce.decode())
        token = token_of(buy(desk, proof, resource=ISSUER))
        assert handshake(desk, authorization=f"Bearer {token}")["status"] == 401
        good = OWNER.proof(
            "GET", f"{ISSUER}/live", now_ms=now_ms(), token=token, nonce=nonce.decode()
        )
        opened = handshake(desk, authorization=f"DPoP {token}", dpop=good)
        assert opened["type"] == "websocket.accept"
        assert (b"dpop-nonce", nonce) in opened["headers"]
        assert handshake(desk, authorization=f"DPoP {token}", dpop=good)["status"] == 401


def test_where_nobody_can_tell_whether_a_proof_was_used_nothing_is_given_or_let_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, secret = token_of(buy(desk, asking())), paid_secret(desk)

    async def fails(*_: object, **__: object) -> Spend:
        return Spend.UNKNOWN

    with monkeypatch.context() as broken:
        broken.setattr(MemoryLedger, "spend", fails)
        assert send(desk, token).status == 503
        assert came_to(buy(desk, asking(), secret=secret)) == "temporarily_unavailable"
    assert desk.upstream.reached == 0
    assert came_to(buy(desk, asking(), secret=secret)) == "let in"


def test_one_proof_serves_one_of_two_tokens_that_come_together(desk: Desk) -> None:
    token, other = (token_of(buy(desk, asking())) for _ in range(2))
    fields = [(b"authorization", f"DPoP {one}".encode()) for one in (token, other)]
    both = [HOST, *fields, (b"dpop", sending(token).encode())]
    answer = desk.run(call(desk.app, "GET", b"/mcp/items", headers=both))
    assert (answer.status, came_to(answer)) == (401, "invalid-dpop-proof")


def test_no_repr_shows_what_a_token_holds() -> None:
    assert "SECRET" not in repr(Worth("Bearer pyp_SECRET", "jkt"))
