# SPDX-License-Identifier: Apache-2.0
"""The work rail: a solved challenge admits one call; a pass bought with one admits what it says."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from pypow import challenge, difficulty, wire
from pypow.challenge import Expected, Issuer, Key, Keyring, Reason, Refusal
from pypow.errors import WireError
from pypow.pricing import OVERDRAFT_STEP_Q, Quote
from pypow.wire import ANY_RESOURCE, Challenge, Proof
from pypow_server import passes, problems
from pypow_server.call import Call
from pypow_server.fresh import fresh_id
from pypow_server.passes import UNBOUND, Pass
from pypow_server.policy import Price
from pypow_server.problems import Problem
from pypow_server.reply import Header
from pypow_server.resource import Resource

from . import Absent, Admit, Claim, Denial, Offer, Paid, Refuse, Verdict, nobody
from .refusals import problem_of
from .work_credential import read_credential
from .work_offer import RAIL, OfferForm

if TYPE_CHECKING:
    from pypow_server.key_binding import KeyBinding

_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 256
"""Characters of the longest names that are remembered: callers must not fill the memory."""

_ABSENT: Final = Absent()
_UNNAMED: Final = (
    "prices follow use here, so a proof is charged to the call that it was made for: expected "
    'that call as "resource"'
)

_NOT_BOUND: Final = "expected this pass with Bearer: it is bound to no key"
_UNBINDABLE: Final = "expected no pass with DPoP: this gate binds none to keys; get a new one"
_NOT_FOR_WORK: Final = "expected a payment or a login: work buys no call of this kind"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A proof that stands, and the pass that it buys once ``spend`` is spent.

    Attributes:
        spend: what must be won first.
        bought: the pass.
        paid: by what the redemption is charged.
        q: work that was done, in 1/1024 bit.
        is_priced: whether it is known to have paid the price that it was held against: a
            challenge that is for one call does not tell which.
    """

    spend: Claim
    bought: Pass
    paid: Paid
    q: int
    is_priced: bool


class WorkRail:
    """Issues challenges, and judges proofs and passes. Pure but for the randomness of ids.

    Attributes:
        binding: binds passes to keys; None where they are bound to none.
    """

    name: Final = RAIL

    def __init__(
        self,
        keyring: Keyring,
        *,
        public_host: str,
        lifetime_s: int = challenge.DEFAULT_LIFETIME_S,
        denial: Denial = nobody,
        binding: "KeyBinding | None" = None,
        fresh_id: Callable[[], bytes] = fresh_id,
    ) -> None:
        """Set up the rail.

        Args:
            keyring: the deployment's secrets.
            public_host: host of the public URL; a proof made for another host is worth nothing.
            lifetime_s: how long a challenge is good for, 1 to 600 seconds.
            denial: why a pass with this id is refused though it stands; None for no reason.
            binding: as the attribute.
            fresh_id: 16 random bytes at each call.
        """
        self.binding = binding
        self._keyring = keyring
        self._host = public_host.lower().encode("utf-8")
        self._lifetime_s = lifetime_s
        self._denial = denial
        self._fresh_id = fresh_id
        # A rail lives as long as its keys: nothing of this outlives them.
        self._pass = functools.lru_cache(maxsize=_MOST_REMEMBERED)(self._hold)
        self._form = functools.lru_cache(maxsize=_MOST_REMEMBERED)(self._make_form)
        self._known_digest = functools.lru_cache(maxsize=_MOST_REMEMBERED)(self._make_digest)

    @property
    def keyring(self) -> Keyring:
        """The deployment's secrets."""
        return self._keyring

    def challenge(
        self,
        resource: Resource | None,
        price: Price,
        *,
        puzzles: int | None,
        now_ms: int,
        epoch: int,
        quote: Quote | None = None,
    ) -> Challenge:
        """A challenge for ``resource``, or (None) for any call of the price's weight.

        Args:
            resource: what is to be bought.
            price: what it costs.
            puzzles: the most sub-puzzles that the caller can do; None for a caller that only
                counts zeros, who gets one puzzle of a whole number of hex digits.
            now_ms: Unix milliseconds.
            epoch: the ledger's.
            quote: what it costs this caller; None where that is what it costs everybody.
        """
        surcharge = 0 if quote is None else quote.overdraft
        issuer = self._issuer(resource, price, puzzles, surcharge)
        identity = self._fresh_id()
        return wire.challenge_of_octets(issuer.issue(now_ms=now_ms, epoch=epoch, identity=identity))

    async def judge(self, call: Call, price: Price, *, now_ms: int) -> Verdict:
        """Read the credential that the call presents, if any, and hold it against the price."""
        presented = call.credentials
        if not presented:
            return _ABSENT
        credential = read_credential(presented, self._pass)
        match credential:
            case None:
                return _ABSENT
            case Problem():
                return Refuse(credential)
            case Proof():
                return self._judge_proof(credential, call, price, now_ms=now_ms)
            case _HeldPass():
                refusal = self._refuse_pass(credential, call, price, now_ms=now_ms)
                if refusal is not None:
                    return Refuse(problem_of(refusal))
                denied = await self._denial(credential.given.id)
                if denied is not None:
                    return Refuse(denied)
                if call.by_key:
                    return self._held_by_key(credential, call, now_ms=now_ms)
                return credential.admit
            case _:
                assert_never(credential)

    async def offer(
        self, call: Call, price: Price, *, now_ms: int, epoch: int, quote: Quote | None = None
    ) -> Offer | None:
        """A fresh challenge for exactly this call, and how to solve it and send the proof."""
        if not price.takes_work:
            return None
        surcharge, free_in_s = 0, None
        if quote is not None:
            surcharge = quote.overdraft
            free_in_s = None if price.free is None else -(-quote.free_in_ms // 1000)
        resource, puzzles = call.resource, None if call.accepts is None else call.accepts.puzzles
        form_of = self._form if _may_be_remembered(resource) else self._make_form
        form = form_of(resource, price, puzzles, surcharge)
        octets = form.issuer.issue(now_ms=now_ms, epoch=epoch, identity=self._fresh_id())
        expires_at_ms = now_ms + 1000 * self._lifetime_s
        text = wire.text_of_octets(octets)
        return form.filled_in(text, expires_at_ms=expires_at_ms, free_in_s=free_in_s)

    def _make_form(
        self, resource: Resource, price: Price, puzzles: int | None, surcharge: int
    ) -> OfferForm:
        return OfferForm.of(self._issuer(resource, price, puzzles, surcharge), price, resource)

    def _issuer(
        self, resource: Resource | None, price: Price, puzzles: int | None, surcharge: int
    ) -> Issuer:
        """Makes challenges of a price, and of a surcharge in 1/8 bit."""
        key = self._keyring.signing
        asked = price.q + surcharge * OVERDRAFT_STEP_Q
        q = difficulty.to_whole_hex_zeros(asked) if puzzles is None else asked
        # What a price in whole zeros was rounded down by, nobody pays for.
        unpaid = -(-max(0, asked - q) // OVERDRAFT_STEP_Q)
        return Issuer(
            key,
            q=q,
            overdraft=max(0, surcharge - unpaid),
            puzzles=puzzles or 1,
            weight=price.weight,
            lifetime_s=self._lifetime_s,
            resource=ANY_RESOURCE if resource is None else self._digest(key, resource),
        )

    def exchange(
        self,
        proof: Proof,
        resource: Resource | None,
        price: Price,
        *,
        now_ms: int,
        metered: bool = False,
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
            metered: whether prices follow use. Then the proof is charged by ``price``, so that a
                pass must be for nothing else: the call has to be named, or is one of that price.
        """
        try:
            terms = wire.decode_challenge(proof.challenge or "")
        except WireError as error:
            return Refuse(problems.malformed_proof(str(error)))
        is_priced = resource is not None or terms.resource == ANY_RESOURCE
        if is_priced and not price.takes_work:
            return Refuse(problems.wrong_resource(_NOT_FOR_WORK))
        if metered and resource is None and terms.resource != ANY_RESOURCE:
            return Refuse(problems.bad_request(_UNNAMED))
        if resource is None:
            expected = Expected(now_ms=now_ms, epoch=terms.epoch, resource=terms.resource)
        else:
            expected = self._expected(proof, resource, price, now_ms=now_ms)
        checked = challenge.check(proof, self._keyring, expected)
        if isinstance(checked, Refusal):
            return Refuse(problem_of(checked))
        sold = self.sell(price, now_ms=now_ms, used=0) if is_priced else None
        if sold is not None:
            return Exchange(_claim(terms), sold, _paid(terms, price), terms.q, is_priced)
        # The key of the challenge made its resource digest, so it signs the pass as well.
        key = self._keyring.find(terms.key) or self._keyring.signing
        any_of_price = metered and terms.resource == ANY_RESOURCE
        bought = passes.issue(
            key,
            identity=self._fresh_id(),
            calls=1,
            weight=terms.weight,
            expires_at_ms=now_ms + 1000 * self._lifetime_s,
            resource=self._entry_digest(key, price) if any_of_price else terms.resource,
        )
        paid = Paid(terms.overdraft, terms.issued_at_ms)
        return Exchange(_claim(terms), bought, paid, terms.q, is_priced)

    def _judge_proof(self, proof: Proof, call: Call, price: Price, *, now_ms: int) -> Verdict:
        if not price.takes_work:
            return Refuse(problems.wrong_resource(_NOT_FOR_WORK))
        expected = self._expected(proof, call.resource, price, now_ms=now_ms)
        checked = challenge.check(proof, self._keyring, expected)
        if isinstance(checked, Refusal):
            return Refuse(problem_of(checked))
        sold: Pass | None = None
        guard: Claim | None = None
        receipt: tuple[Header, ...] = ()
        if price.sells is not None:
            sold = self.sell(price, now_ms=now_ms, used=1)
            if sold is not None and self.binding is not None:
                bound = self.binding.bound(sold, call, now_ms=now_ms)
                if isinstance(bound, Problem):
                    return Refuse(bound)
                sold, guard, receipt = bound
        solved = checked.challenge
        return Admit(
            call.client,
            _claim(solved),
            None if sold is None else sold.text,
            solved.q,
            # Clocks of gates that share keys may differ a little.
            max(0, now_ms - solved.issued_at_ms),
            _paid(solved, price),
            receipt,
            guard=guard,
        )

    def _expected(self, proof: Proof, resource: Resource, price: Price, *, now_ms: int) -> Expected:
        key_id, epoch = wire.key_and_epoch(proof.challenge or "")
        # The digest is made with the key that signed, so that rotating keys voids no proof. The
        # ledger compares the epoch, in the transaction that spends.
        key = self._keyring.find(key_id) or self._keyring.signing
        return Expected(now_ms, epoch, self._digest(key, resource), price.weight)

    def sell(self, price: Price, *, now_ms: int, used: int) -> Pass | None:
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

    def grant(self, price: Price, key: Key, *, identity: bytes, expires_at_ms: int) -> Pass:
        """A pass for any number of calls of this price until then; each time the same one."""
        return passes.issue(
            key,
            identity=identity,
            calls=0,
            weight=price.weight,
            expires_at_ms=expires_at_ms,
            resource=self._entry_digest(key, price),
        )

    def _hold(self, text: str) -> "_HeldPass":
        given = passes.decode(text)
        key = passes.signer(given, self._keyring)
        spend = Claim(given.id, None, given.expires_at_ms, given.calls) if given.calls else None
        return _HeldPass(given, key, Admit(f"pass:{given.id.hex()}", spend))

    def _held_by_key(self, held: "_HeldPass", call: Call, *, now_ms: int) -> Verdict:
        """A pass that stands, sent as one that is bound to a key: is it, and by its holder?"""
        if self.binding is None:
            return Refuse(problems.malformed_proof(_UNBINDABLE))
        if held.given.thumbprint == UNBOUND:
            return Refuse(problems.malformed_proof(_NOT_BOUND))
        found = self.binding.held(held.given, held.admit, call, now_ms=now_ms)
        return Refuse(found) if isinstance(found, Problem) else found

    def _refuse_pass(
        self, held: "_HeldPass", call: Call, price: Price, *, now_ms: int
    ) -> Refusal | None:
        given, key = held.given, held.key
        if isinstance(key, Refusal):
            return key
        # Whoever sends it as a bound one has yet to prove the key.
        bound_to = given.thumbprint if call.by_key else UNBOUND
        if given.resource == self._entry_digest(key, price):
            # Calls of the entry were bought, so they are owed though its price has risen since.
            return passes.check_terms(
                given, now_ms=now_ms, resource=given.resource, thumbprint=bound_to
            )
        if not price.takes_work:  # a pass of work that is good for calls of any row
            return Refusal(Reason.WRONG_RESOURCE, _NOT_FOR_WORK)
        asked = self._digest(key, call.resource)
        return passes.check_terms(
            given, now_ms=now_ms, resource=asked, weight=price.weight, thumbprint=bound_to
        )

    def _digest(self, key: Key, resource: Resource) -> bytes:
        digest = self._known_digest if _may_be_remembered(resource) else self._make_digest
        return digest(key.id, resource.kind, resource.method, resource.name)

    def _entry_digest(self, key: Key, price: Price) -> bytes:
        return self._known_digest(key.id, "entry", price.name)

    def _make_digest(self, key_id: int, *parts: str) -> bytes:
        key = self._keyring.find(key_id) or self._keyring.signing
        names = (part.encode() for part in parts)
        return challenge.scope_digest(key.resource_mac, self._host, *names)


def _may_be_remembered(resource: Resource) -> bool:
    return len(resource.method) + len(resource.name) <= _LONGEST_REMEMBERED


@dataclass(frozen=True, slots=True)
class _HeldPass:
    """A pass, read once: its holder sends it with every call.

    Attributes:
        given: what it says.
        key: what signed it; a refusal where nothing of ours did.
        admit: what it gets when it stands.
    """

    given: Pass
    key: Key | Refusal
    admit: Admit


def _claim(solved: Challenge) -> Claim:
    return Claim(solved.id, solved.epoch, solved.expires_at_ms)


def _paid(solved: Challenge, price: Price) -> Paid:
    """What a challenge paid for that buys what the price sells: calls are charged as bought."""
    calls = 1 if price.sells is None else max(1, price.sells.calls)
    return Paid(solved.overdraft, solved.issued_at_ms, calls)
