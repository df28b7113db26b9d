# SPDX-License-Identifier: Apache-2.0
"""The parts of a puzzle as JSON (docs/protocol.md, "A puzzle as JSON"); bytes are hex."""

from collections.abc import Mapping
from typing import assert_never, cast

from . import strict_json
from .errors import InvalidInputError, shown
from .hashes import Hash, Pbkdf2HmacSha256, Sha256, Sha256d, Sha256Iterated
from .nonces import Alphabet, Decimal, FreeBytes, Hex, NonceEncoding, Unsigned
from .rules import AtLeast, AtMost, Masked, Order, Rule


class Fields:
    """The fields of one JSON object, each taken once; what is left over is unknown."""

    def __init__(self, name: str, document: object) -> None:
        if not isinstance(document, Mapping):
            raise InvalidInputError(
                f"expected a JSON object for {name}, got {strict_json.kind(document)}"
            )
        for key in document:
            if not isinstance(key, str):
                raise InvalidInputError(f"{name}: expected fields named by text, got {shown(key)}")
        self._name = name
        self._left: dict[str, object] = dict(document)

    def take(self, field: str, default: object = ...) -> object:
        """The value of a field, which is missing unless there is a default."""
        if field not in self._left and default is ...:
            raise InvalidInputError(f'{self._name}: the field "{field}" is missing')
        return self._left.pop(field, default)

    def hex(self, field: str, default: bytes | None = None) -> bytes:
        """The bytes of a field in hex."""
        given = self.take(field, ... if default is None else default.hex())
        try:
            if isinstance(given, str) and given.isascii() and not any(c.isspace() for c in given):
                return bytes.fromhex(given)
        except ValueError:
            pass
        raise InvalidInputError(f"{self._name}.{field}: expected hex digits, got {shown(given)}")

    def finish(self) -> None:
        """Refuse what has not been taken."""
        if self._left:
            unknown = ", ".join(map(shown, sorted(self._left)[:3]))
            raise InvalidInputError(f"{self._name}: unknown field {unknown}; remove it")


def nonce_from_json(document: object) -> NonceEncoding:
    """Read a nonce encoding."""
    fields = Fields("nonce", document)
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


def hash_from_json(document: object) -> Hash:
    """Read a hash."""
    fields = Fields("hash", document)
    name = fields.take("name")
    made: Hash
    match name:
        case "sha256":
            made = Sha256()
        case "sha256d":
            made = Sha256d()
        case "sha256-iterated":
            made = Sha256Iterated(iterations=cast("int", fields.take("iterations")))
        case "pbkdf2-hmac-sha256":
            made = Pbkdf2HmacSha256(
                iterations=cast("int", fields.take("iterations")), salt=fields.hex("salt")
            )
        case _:
            raise InvalidInputError(
                "hash.name: expected sha256, sha256d, sha256-iterated or pbkdf2-hmac-sha256, "
                f"got {shown(name)}"
            )
    fields.finish()
    return made


def rule_from_json(document: object) -> Rule:
    """Read a rule."""
    fields = Fields("rule", document)
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


def nonce_to_json(nonce: NonceEncoding) -> dict[str, object]:
    """Write a nonce encoding."""
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


def hash_to_json(hash: Hash) -> dict[str, object]:
    """Write a hash."""
    match hash:
        case Sha256():
            return {"name": "sha256"}
        case Sha256d():
            return {"name": "sha256d"}
        case Sha256Iterated(iterations):
            return {"name": "sha256-iterated", "iterations": iterations}
        case Pbkdf2HmacSha256(iterations, salt):
            return {"name": "pbkdf2-hmac-sha256", "iterations": iterations, "salt": salt.hex()}
        case _:
            assert_never(hash)


def rule_to_json(rule: Rule) -> dict[str, object]:
    """Write a rule."""
    match rule:
        case AtMost(target, order) | AtLeast(target, order):
            kind = "at_most" if isinstance(rule, AtMost) else "at_least"
            return {"type": kind, "order": order, "target": target.to_bytes(32).hex()}
        case Masked(mask, value):
            return {"type": "masked", "mask": mask.hex(), "value": value.hex()}
        case _:
            assert_never(rule)
