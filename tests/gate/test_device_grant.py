# SPDX-License-Identifier: Apache-2.0
"""Devices without a browser: somebody works for them elsewhere, at any gate of the store."""

import asyncio
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from pypow_server import keyfile, revoked
from pypow_server.authorization import approvals
from pypow_server.authorization.user_codes import PERIOD_MS, UserCodes
from pypow_server.gate import wall_clock_ms
from pypow_server.policy_rows import PriceRow
from pypow_server.stores import SKEW_MS, Quota, Spend, StoreError
from pypow_server.stores.memory import MemoryLedger, MemoryRevocations
from pypow_server.stores.opening import open_store
from support.asgi_client import Answer, call
from support.challenges import KEYRING
from support.gated import document, solved
from support.html_page import Reading
from support.issuing import FORM, HOST, ISSUER, Desk
from support.redis_server import RedisServer
from support.redis_stores import fresh_address
from support.waiting import wait_for

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
HTML = "text/html,*/*;q=0.8"
PAGE = "/oauth/device"


class Clock:
    """The gate's clock, which a test may put on."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return wall_clock_ms() + self.ahead_ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("pypow_server.app.wall_clock_ms", made)
    return made


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path) as made:
        yield made


def begin(desk: Desk, **said: str) -> dict[str, Any]:
    """What a device is told that begins."""
    answer = desk.post("/oauth/device_authorization", {"client_id": "television", **said})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = document(answer)
    return found


def poll(desk: Desk, code: str, **changes: str) -> Answer:
    return desk.token_for(
        **{
            "grant_type": DEVICE_CODE,
            "client_id": "television",
            "device_code": code,
            **changes,
        }
    )


def error_of(answer: Answer) -> str:
    assert answer.status >= 400, answer.body
    return str(document(answer)["error"])


def offered(desk: Desk, user_code: str) -> dict[str, Any]:
    found: dict[str, Any] = document(desk.get(f"{PAGE}?{urlencode({'user_code': user_code})}"))
    return found


def worked(offer: dict[str, Any]) -> dict[str, str]:
    """The form of whoever did the work."""
    nonce = solved(offer["work"]).rpartition("=")[2]
    challenge = offer["work"]["challenge"]
    return {"user_code": offer["user_code"], "challenge": challenge, "nonce": nonce}


def approve(desk: Desk, user_code: str, **headers: str) -> Answer:
    return desk.post(PAGE, worked(offered(desk, user_code)), **headers)


def test_a_device_waits_until_somebody_worked_for_it_and_gets_in(desk: Desk) -> None:
    told = begin(desk)
    assert told["verification_uri"] == f"{ISSUER}{PAGE}"
    assert told["verification_uri_complete"] == f"{ISSUER}{PAGE}?user_code={told['user_code']}"
    assert 600 <= told["expires_in"] <= 1200
    assert told["interval"] == 5
    assert error_of(poll(desk, told["device_code"])) == "authorization_pending"
    assert document(approve(desk, told["user_code"])) == {"approved": True}
    token = document(poll(desk, told["device_code"]))
    assert (token["token_type"], token["scope"]) == ("Bearer", "work calls:3")
    assert [desk.call_with(token["access_token"]).status for _ in range(4)] == [200] * 3 + [402]


def test_the_server_says_that_devices_may_come(desk: Desk) -> None:
    said = document(desk.get("/.well-known/oauth-authorization-server"))
    assert said["device_authorization_endpoint"] == f"{ISSUER}/oauth/device_authorization"
    assert DEVICE_CODE in said["grant_types_supported"]


@pytest.fixture(params=["sqlite", "valkey"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that two gates share."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'ledger.db'}"
    server: RedisServer = request.getfixturevalue("valkey_server")
    return f"redis:{server.rest}?deployment={fresh_address(server).deployment}"


def test_who_works_at_one_gate_lets_a_device_in_that_waits_at_another(
    shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoked, "PERIOD_S", 0.01)
    with Desk(tmp_path, store=shared) as one, Desk(tmp_path, store=shared) as two:
        told = begin(one)
        assert error_of(poll(two, told["device_code"])) == "authorization_pending"
        assert approve(one, told["user_code"]).status == 200
        wait_for(lambda: offered(two, told["user_code"]) == {"approved": True})
        token = document(poll(two, told["device_code"]))["access_token"]
        assert one.call_with(token).status == 200


def test_of_two_gates_one_gives_the_token(shared: str, tmp_path: Path) -> None:
    with Desk(tmp_path, store=shared) as one, Desk(tmp_path, store=shared) as two:
        told = begin(one)
        assert approve(one, told["user_code"]).status == 200
        assert poll(two, told["device_code"]).status == 200
        assert error_of(poll(one, told["device_code"])) == "invalid_grant"


def test_nothing_is_written_before_somebody_has_paid(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'ledger.db'}"

    async def kept() -> tuple[int, int]:
        store = open_store(url)
        try:
            listed = await store.revocations.revoked(now_ms=wall_clock_ms())
            assert store.entries is not None
            return store.entries(), len(listed)
        finally:
            await store.limiter.aclose()
            await store.ledger.aclose()

    with Desk(tmp_path, store=url) as desk:
        told = begin(desk)
        poll(desk, told["device_code"])
        form = worked(offered(desk, told["user_code"]))
        assert desk.post(PAGE, {**form, "nonce": "~"}).status == 400
        assert asyncio.run(kept()) == (0, 0)
        assert desk.post(PAGE, form).status == 200
        assert asyncio.run(kept()) == (1, 1)


def test_one_device_gets_one_token(desk: Desk) -> None:
    told = begin(desk)
    approve(desk, told["user_code"])
    assert poll(desk, told["device_code"]).status == 200
    assert error_of(poll(desk, told["device_code"])) == "invalid_grant"


def at_once(desk: Desk, target: str, said: dict[str, str], times: int) -> list[Answer]:
    headers = [HOST, (b"content-type", FORM)]
    body = urlencode(said).encode()

    async def send() -> list[Answer]:
        asked = (
            call(desk.app, "POST", target.encode(), headers=headers, body=body)
            for _ in range(times)
        )
        return list(await asyncio.gather(*asked))

    return desk._runner.run(send())


def test_of_two_requests_at_once_one_gets_the_token(desk: Desk) -> None:
    told = begin(desk)
    approve(desk, told["user_code"])
    said = {
        "grant_type": DEVICE_CODE, "client_id": "television", "device_code": told["device_code"],
    }  # fmt: skip
    assert sorted(one.status for one in at_once(desk, "/oauth/token", said, 2)) == [200, 400]


def test_one_proof_lets_one_device_in(desk: Desk) -> None:
    first, second = begin(desk), begin(desk)
    form = worked(offered(desk, first["user_code"]))
    assert desk.post(PAGE, form).status == 200
    again = desk.post(PAGE, {**form, "user_code": second["user_code"]})
    assert error_of(again) == "access_denied"
    assert error_of(poll(desk, second["device_code"])) == "authorization_pending"


def test_nobody_works_twice_for_one_device(desk: Desk) -> None:
    told = begin(desk)
    form = worked(offered(desk, told["user_code"]))
    other = worked(offered(desk, told["user_code"]))
    assert desk.post(PAGE, form).status == 200
    assert desk.post(PAGE, form).status == 200
    assert desk.post(PAGE, other).status == 200
    assert offered(desk, told["user_code"]) == {"approved": True}
    secret = f"challenge={other['challenge']},nonce={other['nonce']}"
    spent = desk.token_for(grant_type="client_credentials", client_secret=secret)
    assert spent.status == 200


def test_work_for_a_cheap_call_lets_no_device_in(tmp_path: Path) -> None:
    cheap = PriceRow("GET /cheap", 1024)
    with Desk(tmp_path, rows={"prices": (cheap,)}) as desk:
        told = begin(desk)
        challenge = document(desk.get("/api/challenge?resource=GET%20/cheap"))
        form = worked({"user_code": told["user_code"], "work": challenge})
        assert error_of(desk.post(PAGE, form)) == "invalid_request"
        assert error_of(poll(desk, told["device_code"])) == "authorization_pending"


def test_where_no_passes_are_sold_a_device_gets_one_call(tmp_path: Path) -> None:
    with Desk(tmp_path, rows={"default_sells": None}) as desk:
        told = begin(desk)
        approve(desk, told["user_code"])
        token = document(poll(desk, told["device_code"]))
        assert token["scope"] == "work calls:1"
        assert [desk.call_with(token["access_token"]).status for _ in range(2)] == [200, 402]


MISUSE: dict[str, tuple[dict[str, str], str]] = {
    "another client": ({"client_id": "me"}, "invalid_grant"),
    "no client": ({"client_id": ""}, "invalid_grant"),
    "another resource": ({"resource": ISSUER}, "invalid_target"),
    "no code": ({"device_code": ""}, "invalid_grant"),
    "what is no code": ({"device_code": "x"}, "invalid_grant"),
    "a long code": ({"device_code": "A" * 9000}, "invalid_grant"),
}


@pytest.mark.parametrize(("changes", "error"), MISUSE.values(), ids=list(MISUSE))
def test_a_device_code_that_is_misused_is_refused_and_stays_good(
    desk: Desk, changes: dict[str, str], error: str
) -> None:
    told = begin(desk)
    approve(desk, told["user_code"])
    assert error_of(poll(desk, told["device_code"], **changes)) == error
    assert poll(desk, told["device_code"]).status == 200


def test_what_was_sealed_for_one_purpose_is_no_device_code(desk: Desk) -> None:
    told, client = begin(desk), desk.register()
    for sealed in (client, desk.code(client)):
        assert error_of(poll(desk, sealed)) == "invalid_grant"
    assert error_of(desk.redeem(told["device_code"], client)) == "invalid_grant"


def test_the_token_is_for_the_resource_that_the_device_named(desk: Desk) -> None:
    told = begin(desk, resource=ISSUER)
    approve(desk, told["user_code"])
    assert error_of(poll(desk, told["device_code"])) == "invalid_target"
    token = document(poll(desk, told["device_code"], resource=ISSUER))["access_token"]
    assert desk.call_with(token, "/elsewhere").status == 200


def test_a_device_that_cannot_begin_hears_why(desk: Desk) -> None:
    where = "/oauth/device_authorization"
    assert error_of(desk.post(where, {})) == "invalid_request"
    assert error_of(desk.post(where, b"{}", content_type="application/json")) == "invalid_request"
    foreign = {"client_id": "me", "resource": "https://elsewhere.example/"}
    assert error_of(desk.post(where, foreign)) == "invalid_target"
    assert desk.get(where).status == 405


def test_a_device_that_asks_too_often_is_told(desk: Desk) -> None:
    told = begin(desk)
    found = [error_of(poll(desk, told["device_code"])) for _ in range(3)]
    assert found == ["authorization_pending"] * 2 + ["slow_down"]


def test_a_network_that_begins_too_often_waits(tmp_path: Path) -> None:
    with Desk(tmp_path, free_limit=Quota(2, 60_000)) as desk:
        begin(desk)
        begin(desk)
        answer = desk.post("/oauth/device_authorization", {"client_id": "television"})
        assert answer.status == 429


def test_a_code_ends_for_the_person_first_and_then_for_the_device(
    clock: Clock, tmp_path: Path
) -> None:
    with Desk(tmp_path) as desk:
        told = begin(desk)
        form = worked(offered(desk, told["user_code"]))
        clock.ahead_ms = 1000 * told["expires_in"] + 1000
        assert error_of(desk.post(PAGE, form)) == "invalid_request"
        assert error_of(poll(desk, told["device_code"])) == "authorization_pending"
        clock.ahead_ms += 60_000
        assert error_of(poll(desk, told["device_code"])) == "expired_token"
        clock.ahead_ms += 3_600_000
        assert error_of(poll(desk, told["device_code"])) == "invalid_grant"


def test_work_done_in_the_last_moment_is_fetched(clock: Clock, tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        told = begin(desk)
        clock.ahead_ms = 1000 * told["expires_in"] - 2000
        assert approve(desk, told["user_code"]).status == 200
        clock.ahead_ms += 30_000
        assert poll(desk, told["device_code"]).status == 200


@pytest.mark.parametrize("accept", [HTML, "application/json"])
def test_a_guessed_code_is_told_before_anybody_works(desk: Desk, accept: str) -> None:
    codes = UserCodes(keyfile.load(desk.settings.key_file))
    guesses = ("BCDF-GHJK", "LMNP-QRST", "VWXZ-BCDF", "GHJK-LMNP")
    # One in a hundred is right by chance.
    wrong = [one for one in guesses if codes.read(one, now_ms=wall_clock_ms()) is None]
    assert wrong
    for typed in (*wrong, "", "x", "ABCD-EFGH", "\ufb00" * 4, "B" * 5000):
        answer = desk.get(f"{PAGE}?{urlencode({'user_code': typed})}", accept=accept)
        assert b"challenge" not in answer.body
        assert b"device" in answer.body


def test_a_person_may_space_and_case_a_code_at_will(desk: Desk) -> None:
    code = begin(desk)["user_code"]
    for typed in (code.lower(), code.replace("-", ""), f" {code[:2]} {code[2:]} "):
        assert offered(desk, typed)["user_code"] == code


def test_of_mistyped_codes_few_pass_and_of_old_ones_few() -> None:
    codes, now_ms = UserCodes(KEYRING), 1_800_000_000_000
    wrong = old = 0
    for _ in range(500):
        text = codes.fresh(now_ms=now_ms).text
        first = "C" if text[0] == "B" else "B"
        wrong += codes.read(first + text[1:], now_ms=now_ms) is not None
        old += codes.read(text, now_ms=now_ms + 3 * PERIOD_MS) is not None
    # 3 of 400 are expected to.
    assert wrong < 25
    assert old < 25


def test_a_code_is_good_to_the_end_of_the_next_period() -> None:
    codes = UserCodes(KEYRING)
    code = codes.fresh(now_ms=7 * PERIOD_MS + 1)
    assert code.ends_at_ms == 9 * PERIOD_MS
    assert codes.read(code.text, now_ms=code.ends_at_ms - 1) == code
    # The gate that made it may have been ahead.
    assert codes.read(code.text, now_ms=7 * PERIOD_MS - 1) == code


def test_an_approval_is_of_one_code_and_time_and_of_no_pass(desk: Desk) -> None:
    codes = UserCodes(KEYRING)
    one, other = (codes.fresh(now_ms=at * PERIOD_MS) for at in (7, 8))
    assert one.approval != other.approval
    assert len(one.approval) == 16
    approve(desk, begin(desk)["user_code"])
    token = desk.token()
    assert desk.call_with(token).status == 200


class Failing(MemoryRevocations):
    """Cannot record for a while."""

    fails = True

    async def revoke(self, identity: bytes, *, expires_at_ms: int, now_ms: int) -> None:
        if self.fails:
            raise StoreError("no")
        await super().revoke(identity, expires_at_ms=expires_at_ms, now_ms=now_ms)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    made = Failing()
    monkeypatch.setattr("pypow_server.stores.memory.MemoryRevocations", lambda: made)
    return made


def test_who_worked_for_what_could_not_be_recorded_works_no_second_time(
    failing: Failing, tmp_path: Path
) -> None:
    with Desk(tmp_path) as desk:
        told = begin(desk)
        answer = approve(desk, told["user_code"])
        said = document(answer)
        assert (answer.status, said["error"]) == (503, "temporarily_unavailable")
        receipt = {"user_code": told["user_code"], "receipt": said["receipt"]}
        assert desk.post(PAGE, receipt).status == 503
        failing.fails = False
        other = {**receipt, "user_code": begin(desk)["user_code"]}
        assert error_of(desk.post(PAGE, other)) == "invalid_request"
        assert error_of(poll(desk, told["device_code"])) == "authorization_pending"
        assert desk.post(PAGE, receipt).status == 200
        assert poll(desk, told["device_code"]).status == 200


def test_a_person_gets_a_button_for_that(failing: Failing, tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        told = begin(desk)
        page = approve(desk, told["user_code"], accept=HTML)
        assert page.status == 503
        assert b"is not lost" in page.body
        assert desk.get(told["verification_uri_complete"].removeprefix(ISSUER)).status == 200
        failing.fails = False
        assert b"Done" in desk.post(PAGE, fields(page), accept=HTML).body
        assert poll(desk, told["device_code"]).status == 200


def test_while_the_list_cannot_be_read_nobody_works_and_no_device_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def revoked_of(self: object, *, now_ms: int) -> frozenset[bytes]:
        raise StoreError("no")

    monkeypatch.setattr(MemoryRevocations, "revoked", revoked_of)
    with Desk(tmp_path) as desk:
        told = begin(desk)
        for answer in (
            desk.get(f"{PAGE}?user_code={told['user_code']}"),
            poll(desk, told["device_code"]),
        ):
            assert (answer.status, error_of(answer)) == (503, "temporarily_unavailable")


def test_when_the_ledger_cannot_tell_no_device_is_let_in_and_none_is_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = begin(desk)
    approve(desk, told["user_code"])

    async def unknown(self: object, key: bytes, **said: object) -> Spend:
        return Spend.UNKNOWN

    with monkeypatch.context() as broken:
        broken.setattr(MemoryLedger, "spend", unknown)
        assert error_of(poll(desk, told["device_code"])) == "temporarily_unavailable"
    assert poll(desk, told["device_code"]).status == 200


def test_a_limiter_that_fails_keeps_no_device_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(self: object, key: bytes, **said: object) -> None:
        raise StoreError("no")

    monkeypatch.setattr("pypow_server.stores.memory.MemoryLimiter.take", take)
    with Desk(tmp_path) as desk:
        told = begin(desk)
        found = {error_of(poll(desk, told["device_code"])) for _ in range(3)}
        assert found == {"authorization_pending"}


def test_when_the_list_is_full_nobody_works(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "MOST", 1)
    first, second = begin(desk), begin(desk)
    form = worked(offered(desk, second["user_code"]))
    assert approve(desk, first["user_code"]).status == 200
    refused = desk.post(PAGE, form)
    assert (refused.status, error_of(refused)) == (503, "temporarily_unavailable")
    monkeypatch.undo()
    assert desk.post(PAGE, form).status == 200


def test_approvals_leave_the_list_when_they_are_over(clock: Clock, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'ledger.db'}"

    async def kept(now_ms: int) -> int:
        store = open_store(url)
        try:
            return len(await store.revocations.revoked(now_ms=now_ms))
        finally:
            await store.limiter.aclose()
            await store.ledger.aclose()

    with Desk(tmp_path, store=url) as desk:
        approve(desk, begin(desk)["user_code"])
        assert asyncio.run(kept(wall_clock_ms())) == 1
        assert asyncio.run(kept(wall_clock_ms() + 2 * PERIOD_MS + 60_000 + SKEW_MS)) == 0


def test_where_work_is_not_taken_no_device_is_let_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = begin(desk)
    monkeypatch.setattr("pypow_server.price.Price.takes_work", False)
    assert error_of(desk.get(f"{PAGE}?user_code={told['user_code']}")) == "access_denied"


def fields(page: Answer) -> dict[str, str]:
    """The hidden fields of a page."""
    body = page.body.decode()
    return {
        name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', body)
    }


def test_a_person_types_the_code_works_and_is_done_without_a_script(desk: Desk) -> None:
    told = begin(desk)
    first = desk.get(PAGE, accept=HTML)
    assert b'name="user_code"' in first.body
    page = desk.get(f"{PAGE}?user_code={told['user_code'].lower()}", accept=HTML)
    assert told["user_code"].encode() in page.body
    assert b"only\nif you have it before you" in page.body
    found = fields(page)
    assert f"pypow solve --challenge {found['challenge']}".encode() in page.body
    work = {"challenge": found["challenge"], "difficulty": 1}
    form = worked({"user_code": found["user_code"], "work": work})
    done = desk.post(PAGE, form, accept=HTML)
    assert done.status == 200
    assert b"The device goes on by itself" in done.body
    assert poll(desk, told["device_code"]).status == 200
    for one in (first, page, done):
        (policy,) = one.values(b"content-security-policy")
        assert b"default-src 'none'; script-src 'self'" in policy
        assert Reading(one.body.decode()).complaints == []


def test_a_person_who_was_wrong_may_try_again_and_a_program_is_told(desk: Desk) -> None:
    form = worked(offered(desk, begin(desk)["user_code"]))
    for wrong in ({"nonce": "~"}, {"challenge": "x"}):
        page = desk.post(PAGE, {**form, **wrong}, accept=HTML)
        assert page.status == 200
        assert b'role="alert"' in page.body
        assert fields(page)["user_code"] == form["user_code"]
        assert desk.post(PAGE, {**form, **wrong}).status == 400
    assert desk.post(PAGE, form).status == 200


@pytest.mark.parametrize(
    "target",
    [
        f"{PAGE}?user_code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        f"{PAGE}?%3Cscript%3E=1&%3Cscript%3E=1",
        f"{PAGE}?user_code=1&user_code=2",
    ],
)
def test_what_is_typed_is_never_a_script(desk: Desk, target: str) -> None:
    page = desk.get(target, accept=HTML)
    assert page.status == 400
    assert b"<script>" not in page.body
    assert Reading(page.body.decode()).complaints == []
    assert desk.get(target).status == 400


def test_a_form_that_cannot_be_read_is_refused(desk: Desk) -> None:
    for accept in (HTML, "application/json"):
        assert desk.post(PAGE, b"x", accept=accept).status == 400
        assert desk.post(PAGE, {"user_code": "x"}, accept=accept).status == 400


def test_those_checks_catch_a_gate_that_forgets_who_was_let_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def won(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("pypow_server.authorization.device_grant.settle", won)
    told = begin(desk)
    approve(desk, told["user_code"])
    assert [poll(desk, told["device_code"]).status for _ in range(2)] == [200, 200]
