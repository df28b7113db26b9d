# SPDX-License-Identifier: Apache-2.0
"""The work rail: a solved challenge admits one call; a pass bought with one admits what it says."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from pypow import challenge, difficulty, wire
from pypow.challenge import Checked, Expected, Key, Keyring, Reason, Refusal
from pypow.errors import WireError
from pypow.wire import ANY_RESOURCE, Challenge, Proof
from pypow_server import passes, problems
from pypow_server.call import Call, Form, Presented
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


@dataclass(frozen=True, slots=True)
class Exchange:
    """A proof that stands, and the one-call pass that it buys once ``spend`` is spent."""

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
        fresh_id: Callable[[], bytes] = lambda: os.urandom(16),
    ) -> None:
        """Set up the rail.

        Args:
            keyring: the deployment's secrets.
            public_host: host of the public URL; a proof made for another host is worth nothing.
            lifetime_s: how long a challenge is good for, 1 to 600 seconds.
            fresh_id: 16 random bytes at each call.
        """
        self._keyring = keyring
        self._host = public_host.lower().encode("utf-8")
        self._lifetime_s = lifetime_s
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

    async def judge(self, call: Call, price: Price, *, now_ms: int, epoch: int) -> Verdict:
        """Read the credential that the call presents, if any, and hold it against the price."""
        credential = _read(call.credentials)
        match credential:
            case None:
                return Absent()
            case Problem():
                return Refuse(credential)
            case Proof():
                return self._judge_proof(credential, call, price, now_ms=now_ms, epoch=epoch)
            case str():
                return self._judge_pass(credential, call, price, now_ms=now_ms, epoch=epoch)
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
        solve = f"pypow solve --challenge {offered.text}"
        proof = f"challenge={offered.text},nonce=<nonce>"
        body = {"rail": self.name, **published, "solve": solve, "send": f"X-PoW-Solution: {proof}"}
        if call.mcp is not None:
            body["send_mcp"] = {"_meta": {PROOF_META: proof}}
        return Offer(
            rail=self.name,
            www_authenticate=(
                f'PoW challenge="{offered.text}", difficulty="{published["difficulty"]}", '
                f'algorithm="sha256", bits="{published["bits"]:g}"'
            ),
            body=body,
            ask=(
                f"Run `{solve}` and repeat the call with the header that it prints as "
                f'_meta["{PROOF_META}"].'
            ),
        )

    def exchange(self, proof: Proof, *, now_ms: int, epoch: int) -> Exchange | Refuse:
        """Turn a proof into a pass for one call of what its challenge was for.

        The pass lives as long as a challenge does, from now.
        """
        try:
            terms = wire.decode_challenge(proof.challenge or "")
        except WireError as error:
            return Refuse(problems.malformed_proof(str(error)))
        expected = Expected(now_ms=now_ms, epoch=epoch, resource=terms.resource)
        checked = challenge.check(proof, self._keyring, expected)
        match checked:
            case Refusal():
                return Refuse(problem_of(checked))
            case Checked():
                # The key of the challenge made its resource digest, so it signs the pass as well.
                bought = passes.issue(
                    self._keyring.find(terms.key) or self._keyring.signing,
                    identity=self._fresh_id(),
                    calls=1,
                    weight=terms.weight,
                    expires_at_ms=now_ms + 1000 * self._lifetime_s,
                    resource=terms.resource,
                )
                return Exchange(_claim(checked.challenge), bought)
            case _:
                assert_never(checked)

    def _judge_proof(
        self, proof: Proof, call: Call, price: Price, *, now_ms: int, epoch: int
    ) -> Verdict:
        try:
            key_id = wire.decode_challenge(proof.challenge or "").key
        except WireError as error:
            return Refuse(problems.malformed_proof(str(error)))
        expected = self._expected(key_id, call, price, now_ms=now_ms, epoch=epoch)
        checked = challenge.check(proof, self._keyring, expected)
        match checked:
            case Refusal():
                return Refuse(problem_of(checked))
            case Checked():
                return Admit(call.client, _claim(checked.challenge))
            case _:
                assert_never(checked)

    def _judge_pass(
        self, text: str, call: Call, price: Price, *, now_ms: int, epoch: int
    ) -> Verdict:
        try:
            key_id = passes.decode(text).key
        except WireError as error:
            return Refuse(problems.malformed_proof(str(error)))
        expected = self._expected(key_id, call, price, now_ms=now_ms, epoch=epoch)
        checked = passes.check(text, self._keyring, expected)
        match checked:
            case Refusal():
                return Refuse(problem_of(checked))
            case Pass():
                spend = Claim(checked.id, None, checked.expires_at_ms, checked.calls)
                return Admit(f"pass:{checked.id.hex()}", spend if checked.calls else None)
            case _:
                assert_never(checked)

    def _expected(
        self, key_id: int, call: Call, price: Price, *, now_ms: int, epoch: int
    ) -> Expected:
        # The digest is made with the key that signed, so that rotating keys voids no proof.
        key = self._keyring.find(key_id) or self._keyring.signing
        return Expected(
            now_ms=now_ms,
            epoch=epoch,
            resource=self._digest(key, call.resource),
            weight=price.weight,
        )

    def _digest(self, key: Key, resource: Resource) -> bytes:
        return challenge.scope_digest(key.resource_mac, self._host, *resource.parts)


def problem_of(refusal: Refusal) -> Problem:
    """The problem that tells a caller what the engine found."""
    return _PROBLEMS[refusal.reason](refusal.detail)


def _claim(solved: Challenge) -> Claim:
    return Claim(solved.id, solved.epoch, solved.expires_at_ms)


def _read(presented: tuple[Presented, ...]) -> Proof | str | Problem | None:
    """The one credential that a call presents: a proof, the text of a pass, or what is wrong."""
    found: set[Proof | str] = set()
    for one in presented:
        try:
            found.add(_parse(one))
        except WireError as error:
            return problems.malformed_proof(f"{one.form.value}: {error}")
    if len(found) > 1:
        return problems.conflicting_credentials(
            f"expected one proof or pass, got {len(found)} different ones; send one"
        )
    return found.pop() if found else None


def _parse(presented: Presented) -> Proof | str:
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
        case Form.PASS:
            if not text.startswith(passes.PREFIX):
                raise WireError(f"expected a pass that begins with {passes.PREFIX}")
            return text
        case _:
            assert_never(presented.form)
