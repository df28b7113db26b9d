# SPDX-License-Identifier: Apache-2.0
"""The work rail: a solved challenge admits one call; a pass bought with one admits what it says."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from pypow import challenge, difficulty, wire
from pypow.challenge import Checked, Expected, Key, Keyring, Reason, Refusal
from pypow.errors import WireError
from pypow.wire import ANY_RESOURCE, Challenge, Proof
from pypow_server import passes, problems
from pypow_server.call import Call, Form, Presented
from pypow_server.fresh import fresh_id
from pypow_server.mcp_message import PROOF_META
from pypow_server.passes import Pass
from pypow_server.policy import Price
from pypow_server.problems import Problem
from pypow_server.resource import Resource

from . import Absent, Admit, Claim, Offer, Refuse, Verdict

_PROBLEMS: Final[dict[Reason, Callable[[str], Problem]]] = {
    Reason.MALFORMED: problems.malformed_proof,
    Reason.WRONG_NONCES: problems.malformed_proof,
    Reason.UNKNOWN_KEY: problems.unknown_key,
    Reason.BAD_MAC: problems.bad_signature,
    Reason.NOT_YET_VALID: problems.not_yet_valid,
    Reason.EXPIRED: problems.expired,
    Reason.STALE_EPOCH: problems.stale_epoch,
    Reason.WRONG_RESOURCE: problems.wrong_resource,
    Reason.UNDERWEIGHT: problems.underweight,
    Reason.WRONG_PRINCIPAL: problems.wrong_principal,
    Reason.NOT_ENOUGH_WORK: problems.not_enough_work,
}


Denial: TypeAlias = Callable[[bytes], Awaitable[Problem | None]]


async def nobody(_identity: bytes) -> None:
    """The denial of a rail whose passes are never revoked."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A proof that stands, and the pass that it buys once ``spend`` is spent."""

    spend: Claim
    bought: Pass


class WorkRail:
    """Issues challenges, and judges proofs and passes. Pure but for the randomness of ids."""

    name: Final = "work"

    def __init__(
        self,
        keyring: Keyring,
        *,
        public_host: str,
        lifetime_s: int = challenge.DEFAULT_LIFETIME_S,
        denial: Denial = nobody,
        fresh_id: Callable[[], bytes] = fresh_id,
    ) -> None:
        """Set up the rail.

        Args:
            keyring: the deployment's secrets.
            public_host: host of the public URL; a proof made for another host is worth nothing.
            lifetime_s: how long a challenge is good for, 1 to 600 seconds.
            denial: why a pass with this id is refused though it stands; None for no reason.
            fresh_id: 16 random bytes at each call.
        """
        self._keyring = keyring
        self._host = public_host.lower().encode("utf-8")
        self._lifetime_s = lifetime_s
        self._denial = denial
        self._fresh_id = fresh_id

    def challenge(
        self,
        resource: Resource | None,
        price: Price,
        *,
        puzzles: int | None,
        now_ms: int,
        epoch: int,
    ) -> Challenge:
        """A challenge for ``resource``, or (None) for any call of the price's weight.

        Args:
            resource: what is to be bought.
            price: what it costs.
            puzzles: the most sub-puzzles that the caller can do; None for a caller that only
                counts zeros, who gets one puzzle of a whole number of hex digits.
            now_ms: Unix milliseconds.
            epoch: the ledger's.
        """
        key = self._keyring.signing
        return challenge.issue(
            key,
            q=difficulty.to_whole_hex_zeros(price.q) if puzzles is None else price.q,
            puzzles=puzzles or 1,
            weight=price.weight,
            now_ms=now_ms,
            epoch=epoch,
            identity=self._fresh_id(),
            lifetime_s=self._lifetime_s,
            resource=ANY_RESOURCE if resource is None else self._digest(key, resource),
        )

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        """Read the credential that the call presents, if any, and hold it against the price."""
        credential = _read(call.credentials)
        match credential:
            case None:
                return Absent()
            case Problem():
                return Refuse(credential)
            case Proof():
                return self._judge_proof(credential, call, price, now_ms=now_ms)
            case Pass():
                return await self._judge_pass(credential, call, price, now_ms=now_ms)
            case _:
                assert_never(credential)

    async def offer(self, call: Call, price: Price, *, now_ms: int, epoch: int) -> Offer:
        """A fresh challenge for exactly this call, and how to solve it and send the proof."""
        offered = self.challenge(
            call.resource,
            price,
            puzzles=call.accepts.puzzles if call.accepts is not None else None,
            now_ms=now_ms,
            epoch=epoch,
        )
        published = offered.published()
        text = published["challenge"]
        solve = f"pypow solve --challenge {text}"
        proof = f"challenge={text},nonce=<nonce>"
        body: dict[str, object] = {"rail": self.name, **published, "solve": solve}
        body["send"] = f"X-PoW-Solution: {proof}"
        if price.sells is not None:
            body["pass"] = {
                "calls": price.sells.calls,
                "lifetime": price.sells.lifetime_s,
                "resource": call.resource.text,
            }
        if call.mcp is not None:
            body["send_mcp"] = {"_meta": {PROOF_META: proof}}
        return Offer(
            rail=self.name,
            www_authenticate=(
                f'PoW challenge="{text}", difficulty="{published["difficulty"]}", '
                f'algorithm="sha256", bits="{published["bits"]:g}"'
            ),
            body=body,
            ask=(
                f"Run `{solve}` and repeat the call with the header that it prints as "
                f'_meta["{PROOF_META}"].'
            ),
        )

    def exchange(
        self, proof: Proof, resource: Resource | None, price: Price, *, now_ms: int
    ) -> Exchange | Refuse:
        """Turn a proof into a pass.

        Where the price sells passes, the pass is one of those. Otherwise it is good for one call
        of what the challenge was for, and lives as long as a challenge does, from now.

        Args:
            proof: a challenge and its nonces.
            resource: the call that the challenge was made for. A digest does not tell, so without
                it a challenge that is for one call buys that call only.
            price: of ``resource``; the default price without one.
            now_ms: Unix milliseconds.
        """
        try:
            terms = wire.decode_challenge(proof.challenge or "")
        except WireError as error:
            return Refuse(problems.malformed_proof(str(error)))
        checked = self._check_proof(proof, terms, resource, price, now_ms=now_ms)
        if isinstance(checked, Refusal):
            return Refuse(problem_of(checked))
        if resource is not None or terms.resource == ANY_RESOURCE:
            sold = self._sell(price, now_ms=now_ms, used=0)
            if sold is not None:
                return Exchange(_claim(terms), sold)
        bought = passes.issue(
            # The key of the challenge made its resource digest, so it signs the pass as well.
            self._keyring.find(terms.key) or self._keyring.signing,
            identity=self._fresh_id(),
            calls=1,
            weight=terms.weight,
            expires_at_ms=now_ms + 1000 * self._lifetime_s,
            resource=terms.resource,
        )
        return Exchange(_claim(terms), bought)

    def _judge_proof(self, proof: Proof, call: Call, price: Price, *, now_ms: int) -> Verdict:
        try:
            terms = wire.decode_challenge(proof.challenge or "")
        except WireError as error:
            return Refuse(problems.malformed_proof(str(error)))
        checked = self._check_proof(proof, terms, call.resource, price, now_ms=now_ms)
        if isinstance(checked, Refusal):
            return Refuse(problem_of(checked))
        sold = self._sell(price, now_ms=now_ms, used=1)
        return Admit(call.client, _claim(terms), sold.text if sold is not None else None)

    def _check_proof(
        self,
        proof: Proof,
        terms: Challenge,
        resource: Resource | None,
        price: Price,
        *,
        now_ms: int,
    ) -> Checked | Refusal:
        # The digest is made with the key that signed, so that rotating keys voids no proof.
        key = self._keyring.find(terms.key) or self._keyring.signing
        expected = Expected(
            now_ms=now_ms,
            # The ledger compares the epoch, in the transaction that spends.
            epoch=terms.epoch,
            resource=terms.resource if resource is None else self._digest(key, resource),
            weight=1 if resource is None else price.weight,
        )
        return challenge.check(proof, self._keyring, expected)

    def _sell(self, price: Price, *, now_ms: int, used: int) -> Pass | None:
        """The pass that a proof of this price buys, less the calls that the proof itself makes."""
        terms = price.sells
        if terms is None or 0 < terms.calls <= used:
            return None
        key = self._keyring.signing
        return passes.issue(
            key,
            identity=self._fresh_id(),
            calls=terms.calls - used if terms.calls else 0,
            weight=price.weight,
            expires_at_ms=now_ms + 1000 * terms.lifetime_s,
            resource=self._entry_digest(key, price),
        )

    async def _judge_pass(self, given: Pass, call: Call, price: Price, *, now_ms: int) -> Verdict:
        key = self._keyring.find(given.key) or self._keyring.signing
        of_entry = given.resource == self._entry_digest(key, price)
        expected = Expected(
            now_ms=now_ms,
            epoch=0,
            resource=given.resource if of_entry else self._digest(key, call.resource),
            # Calls of the entry were bought, so they are owed though its price has risen since.
            weight=1 if of_entry else price.weight,
        )
        checked = passes.check(given, self._keyring, expected)
        if isinstance(checked, Refusal):
            return Refuse(problem_of(checked))
        denied = await self._denial(checked.id)
        if denied is not None:
            return Refuse(denied)
        spend = Claim(checked.id, None, checked.expires_at_ms, checked.calls)
        return Admit(f"pass:{checked.id.hex()}", spend if checked.calls else None)

    def _digest(self, key: Key, resource: Resource) -> bytes:
        return _scope_digest(key.resource_mac, self._host, *resource.parts)

    def _entry_digest(self, key: Key, price: Price) -> bytes:
        return _scope_digest(key.resource_mac, self._host, b"entry", price.name.encode())


def _scope_digest(key: bytes, *parts: bytes) -> bytes:
    if sum(map(len, parts)) > _REMEMBERED:
        return challenge.scope_digest(key, *parts)
    return _remembered_digest(key, *parts)


_REMEMBERED: Final = 512
"""Octets of the longest names that are remembered: callers must not fill the memory."""

_remembered_digest = functools.lru_cache(maxsize=1024)(challenge.scope_digest)
_remembered_pass = functools.lru_cache(maxsize=1024)(passes.decode)


def problem_of(refusal: Refusal) -> Problem:
    """The problem that tells a caller what the engine found."""
    return _PROBLEMS[refusal.reason](refusal.detail)


def _claim(solved: Challenge) -> Claim:
    return Claim(solved.id, solved.epoch, solved.expires_at_ms)


def _read(presented: tuple[Presented, ...]) -> Proof | Pass | Problem | None:
    """The one credential that a call presents: a proof, a pass, or what is wrong.

    A browser sends its cookie along whatever the caller means. So a cookie gives way to what was
    sent on purpose, and one that cannot be read counts as none.
    """
    if not presented:
        return None
    meant = tuple(one for one in presented if one.form is not Form.COOKIE)
    found: set[Proof | Pass] = set()
    for one in meant or presented:
        try:
            found.add(_parse(one))
        except WireError as error:
            if one.form is not Form.COOKIE:
                return problems.malformed_proof(f"{one.form.value}: {error}")
    if len(found) > 1:
        return problems.conflicting_credentials(
            f"expected one proof or pass, got {len(found)} different ones; send one"
        )
    return found.pop() if found else None


def _parse(presented: Presented) -> Proof | Pass:
    value = presented.value
    if presented.form is Form.META:
        return wire.proof_from_json(value)
    assert isinstance(value, bytes)
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        raise WireError("expected ASCII characters only") from None
    match presented.form:
        case Form.SOLUTION_HEADER:
            return wire.proof_from_header(text)
        case Form.AUTHORIZATION:
            return wire.proof_from_authorization(text)
        case Form.PASS | Form.COOKIE:
            return _remembered_pass(text)
        case _:
            assert_never(presented.form)
