# SPDX-License-Identifier: Apache-2.0
"""A puzzle: find a nonce so that the digest of ``prefix || nonce || suffix`` meets a rule.

The JSON form (docs/protocol.md, "A puzzle as JSON") is read and written here; bytes are hex.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never, cast

from . import _bridge, strict_json
from .errors import InvalidInputError, shown

Order: TypeAlias = Literal["big", "little"]

MAX_PART_BYTES = 1 << 20
_DECIMAL = b"0123456789"
_HEX = b"0123456789abcdef"
_ALL_BYTES = bytes(range(256))


@dataclass(frozen=True, slots=True)
class Decimal:
    """Decimal digits without leading zeros, counted up from ``first`` (0 to 2**63)."""

    first: int = 0

    def __post_init__(self) -> None:
        _require_int("nonce.first", self.first, 0, 2**63)


@dataclass(frozen=True, slots=True)
class Hex:
    """Lower-case hex digits: ``width`` of them (1 to 64), or as few as the number needs."""

    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None:
            _require_int("nonce.width", self.width, 1, 64)


@dataclass(frozen=True, slots=True)
class Alphabet:
    """``width`` characters (1 to 64) of an ASCII alphabet, counted in its own order."""

    alphabet: str
    width: int

    def __post_init__(self) -> None:
        _require_int("nonce.width", self.width, 1, 64)
        if not isinstance(self.alphabet, str) or not self.alphabet.isascii():
            raise InvalidInputError(f"expected an ASCII alphabet, got {shown(self.alphabet)}")
        if len(self.alphabet) < 2 or len(set(self.alphabet)) != len(self.alphabet):
            raise InvalidInputError(
                "expected an alphabet of two or more different characters, "
                f"got {shown(self.alphabet)}"
            )


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An unsigned integer of 32 or 64 bits in either byte order."""

    bits: Literal[32, 64]
    order: Order

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int) or self.bits not in (32, 64):
            raise InvalidInputError(f"expected an integer of 32 or 64 bits, got {shown(self.bits)}")
        _require_order(self.order)


@dataclass(frozen=True, slots=True)
class FreeBytes:
    """``width`` free bytes (1 to 64), counted as one big-endian number."""

    width: int

    def __post_init__(self) -> None:
        _require_int("nonce.width", self.width, 1, 64)


NonceEncoding: TypeAlias = Decimal | Hex | Alphabet | Unsigned | FreeBytes


@dataclass(frozen=True, slots=True)
class AtMost:
    """The digest, read as an integer in ``order``, is at most ``target`` (inclusive)."""

    target: int
    order: Order = "big"

    def __post_init__(self) -> None:
        _require_target(self.target)
        _require_order(self.order)


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The digest, read as an integer in ``order``, is at least ``target`` (inclusive)."""

    target: int
    order: Order = "big"

    def __post_init__(self) -> None:
        _require_target(self.target)
        _require_order(self.order)


@dataclass(frozen=True, slots=True)
class Masked:
    """``digest & mask == value``, byte by byte; both 32 bytes."""

    mask: bytes
    value: bytes

    def __post_init__(self) -> None:
        for name, given in (("mask", self.mask), ("value", self.value)):
            if not isinstance(given, bytes) or len(given) != 32:
                raise InvalidInputError(f"expected 32 bytes for rule.{name}, got {shown(given)}")
        if any(v & ~m for v, m in zip(self.value, self.mask, strict=True)):
            raise InvalidInputError(
                "rule.value has bits outside rule.mask, so no digest can ever win; clear them"
            )


Rule: TypeAlias = AtMost | AtLeast | Masked


@dataclass(frozen=True, slots=True)
class Puzzle:
    """What a kernel grinds: SHA-256 over ``prefix || nonce || suffix``, and when it wins."""

    prefix: bytes
    nonce: NonceEncoding
    rule: Rule
    suffix: bytes = b""

    def __post_init__(self) -> None:
        for name, part in (("prefix", self.prefix), ("suffix", self.suffix)):
            if not isinstance(part, bytes):
                raise InvalidInputError(f"expected bytes for {name}, got {type(part).__name__}")
            if len(part) > MAX_PART_BYTES:
                raise InvalidInputError(
                    f"expected at most {MAX_PART_BYTES} bytes of {name}, got {len(part)}"
                )
        if not isinstance(self.nonce, NonceEncoding):
            raise InvalidInputError(f"expected a nonce encoding, got {shown(self.nonce)}")
        if not isinstance(self.rule, Rule):
            raise InvalidInputError(f"expected a rule, got {shown(self.rule)}")

    @property
    def expected_hashes(self) -> float:
        """How many hashes a solver needs on average."""
        match self.rule:
            case AtMost(target):
                winners = target + 1
            case AtLeast(target):
                winners = 2**256 - target
            case Masked(mask):
                winners = 1 << (256 - int.from_bytes(mask).bit_count())
            case _:
                assert_never(self.rule)
        return 2**256 / winners

    @property
    def first_index(self) -> int:
        """The index of the first nonce to try."""
        return self.nonce.first if isinstance(self.nonce, Decimal) else 0

    def writes(self, nonce: bytes) -> bool:
        """Whether the nonce is one that this puzzle's encoding can write."""
        spec = self.nonce_spec
        if not set(nonce) <= set(spec.symbols):
            return False
        if spec.width:
            return len(nonce) == spec.width
        shortest = len(nonce) == 1 or nonce[:1] != spec.symbols[:1]
        if not nonce or len(nonce) > 20 or not shortest:
            return False
        return self.first_index <= int(nonce, len(spec.symbols)) < 2**64

    @property
    def nonce_spec(self) -> _bridge.NonceSpec:
        """The nonce encoding the way the C core holds it."""
        return nonce_spec(self.nonce)

    @property
    def rule_spec(self) -> _bridge.RuleSpec:
        """The rule the way the C core holds it."""
        return rule_spec(self.rule)

    def to_json(self) -> dict[str, object]:
        """The puzzle as the JSON object that `from_json` reads."""
        return {
            "prefix": self.prefix.hex(),
            "suffix": self.suffix.hex(),
            "nonce": _nonce_to_json(self.nonce),
            "hash": {"name": "sha256"},
            "rule": _rule_to_json(self.rule),
        }

    @classmethod
    def from_json(cls, document: str | bytes | Mapping[str, object]) -> "Puzzle":
        """Read a puzzle from JSON text or from an object already parsed.

        Raises:
            InvalidInputError: not JSON, a repeated, unknown or missing field, or a value that
                cannot be; the text names the field.
        """
        parsed = strict_json.loads(document) if isinstance(document, str | bytes) else document
        fields = _Fields("puzzle", parsed)
        prefix, suffix = fields.hex("prefix", b""), fields.hex("suffix", b"")
        nonce = _nonce_from_json(fields.take("nonce"))
        rule = _rule_from_json(fields.take("rule"))
        hash_fields = _Fields("hash", fields.take("hash", {"name": "sha256"}))
        name = hash_fields.take("name")
        if name != "sha256":
            raise InvalidInputError(f'expected hash.name "sha256", got {shown(name)}')
        hash_fields.finish()
        fields.finish()
        return cls(prefix=prefix, nonce=nonce, rule=rule, suffix=suffix)


@functools.lru_cache(maxsize=64)
def nonce_spec(nonce: NonceEncoding) -> _bridge.NonceSpec:
    """An encoding as digits of a number, the way the C core counts; made once."""
    match nonce:
        case Decimal():
            return _bridge.NonceSpec(symbols=_DECIMAL, width=0, little=False)
        case Hex(width):
            return _bridge.NonceSpec(symbols=_HEX, width=width or 0, little=False)
        case Alphabet(alphabet, width):
            return _bridge.NonceSpec(symbols=alphabet.encode("ascii"), width=width, little=False)
        case Unsigned(bits, order):
            return _bridge.NonceSpec(symbols=_ALL_BYTES, width=bits // 8, little=order == "little")
        case FreeBytes(width):
            return _bridge.NonceSpec(symbols=_ALL_BYTES, width=width, little=False)
        case _:
            assert_never(nonce)


@functools.lru_cache(maxsize=256)
def rule_spec(rule: Rule) -> _bridge.RuleSpec:
    """A rule the way the C core holds it; the few that a server uses are made once."""
    match rule:
        case AtMost(target, order):
            kind = _bridge.RuleType.AT_MOST
        case AtLeast(target, order):
            kind = _bridge.RuleType.AT_LEAST
        case Masked(mask, value):
            return _bridge.RuleSpec(
                type=_bridge.RuleType.MASKED, value=value, mask=mask, little=False
            )
        case _:
            assert_never(rule)
    return _bridge.RuleSpec(
        type=kind, value=target.to_bytes(32), mask=bytes(32), little=order == "little"
    )


class _Fields:
    """The fields of one JSON object, each taken once; what is left over is unknown."""

    def __init__(self, name: str, document: object) -> None:
        if not isinstance(document, Mapping) or not all(isinstance(k, str) for k in document):
            raise InvalidInputError(
                f"expected a JSON object for {name}, got {strict_json.kind(document)}"
            )
        self._name = name
        self._left: dict[str, object] = dict(document)

    def take(self, field: str, default: object = ...) -> object:
        if field not in self._left and default is ...:
            raise InvalidInputError(f'{self._name}: the field "{field}" is missing')
        return self._left.pop(field, default)

    def hex(self, field: str, default: bytes | None = None) -> bytes:
        given = self.take(field, ... if default is None else default.hex())
        try:
            if isinstance(given, str) and given.isascii() and not any(c.isspace() for c in given):
                return bytes.fromhex(given)
        except ValueError:
            pass
        raise InvalidInputError(f"{self._name}.{field}: expected hex digits, got {shown(given)}")

    def finish(self) -> None:
        if self._left:
            unknown = ", ".join(map(shown, sorted(self._left)[:3]))
            raise InvalidInputError(f"{self._name}: unknown field {unknown}; remove it")


def _nonce_from_json(document: object) -> NonceEncoding:
    fields = _Fields("nonce", document)
    encoding = fields.take("encoding")
    nonce: NonceEncoding
    match encoding:
        case "decimal":
            nonce = Decimal(first=cast("int", fields.take("first", 0)))
        case "hex":
            nonce = Hex(width=cast("int | None", fields.take("width", None)))
        case "alphabet":
            nonce = Alphabet(
                alphabet=cast("str", fields.take("alphabet")),
                width=cast("int", fields.take("width")),
            )
        case "u32" | "u64":
            nonce = Unsigned(
                bits=32 if encoding == "u32" else 64, order=cast("Order", fields.take("order"))
            )
        case "bytes":
            nonce = FreeBytes(width=cast("int", fields.take("width")))
        case _:
            raise InvalidInputError(
                "nonce.encoding: expected decimal, hex, alphabet, u32, u64 or bytes, "
                f"got {shown(encoding)}"
            )
    fields.finish()
    return nonce


def _rule_from_json(document: object) -> Rule:
    fields = _Fields("rule", document)
    kind = fields.take("type")
    rule: Rule
    match kind:
        case "at_most" | "at_least":
            order = cast("Order", fields.take("order", "big"))
            target = fields.hex("target")
            if len(target) != 32:
                raise InvalidInputError(f"rule.target: expected 32 bytes, got {len(target)}")
            made = AtMost if kind == "at_most" else AtLeast
            rule = made(target=int.from_bytes(target), order=order)
        case "masked":
            rule = Masked(mask=fields.hex("mask"), value=fields.hex("value"))
        case _:
            raise InvalidInputError(
                f"rule.type: expected at_most, at_least or masked, got {shown(kind)}"
            )
    fields.finish()
    return rule


def _nonce_to_json(nonce: NonceEncoding) -> dict[str, object]:
    match nonce:
        case Decimal(first):
            return {"encoding": "decimal"} | ({"first": first} if first else {})
        case Hex(width):
            return {"encoding": "hex"} | ({} if width is None else {"width": width})
        case Alphabet(alphabet, width):
            return {"encoding": "alphabet", "alphabet": alphabet, "width": width}
        case Unsigned(bits, order):
            return {"encoding": f"u{bits}", "order": order}
        case FreeBytes(width):
            return {"encoding": "bytes", "width": width}
        case _:
            assert_never(nonce)


def _rule_to_json(rule: Rule) -> dict[str, object]:
    match rule:
        case AtMost(target, order) | AtLeast(target, order):
            kind = "at_most" if isinstance(rule, AtMost) else "at_least"
            return {"type": kind, "order": order, "target": target.to_bytes(32).hex()}
        case Masked(mask, value):
            return {"type": "masked", "mask": mask.hex(), "value": value.hex()}
        case _:
            assert_never(rule)


def _require_int(name: str, given: object, low: int, high: int) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise InvalidInputError(
            f"{name}: expected an integer from {low} to {high}, got {shown(given)}"
        )


def _require_target(target: object) -> None:
    if isinstance(target, bool) or not isinstance(target, int) or not 0 <= target < 2**256:
        raise InvalidInputError(
            f"rule.target: expected an integer of 256 bits, got {shown(target)}"
        )


def _require_order(order: object) -> None:
    if not isinstance(order, str) or order not in ("big", "little"):
        raise InvalidInputError(f'expected the order "big" or "little", got {shown(order)}')
