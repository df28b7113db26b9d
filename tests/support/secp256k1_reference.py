# SPDX-License-Identifier: Apache-2.0
"""Who signed, over secp256k1, from the equations of SEC 1 section 4.1.6 alone: slow and obvious."""

from typing import Final, TypeAlias

P: Final = 2**256 - 2**32 - 977
ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G: Final = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)

Point: TypeAlias = tuple[int, int] | None


def plus(one: Point, other: Point) -> Point:
    """The sum of two points; None is the point at infinity."""
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    if one == other:
        slope = 3 * x1 * x1 * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x3 = (slope * slope - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def times(factor: int, point: Point) -> Point:
    """A multiple of a point."""
    total = None
    while factor:
        if factor & 1:
            total = plus(total, point)
        point = plus(point, point)
        factor >>= 1
    return total


def compressed(point: tuple[int, int]) -> bytes:
    """A public key in 33 octets."""
    return bytes((2 + point[1] % 2,)) + point[0].to_bytes(32)


def signer(digest: bytes, signature: bytes) -> bytes | None:
    """The public key that made a signature of 65 octets; None where nobody can have made it."""
    r, s, which = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
    if not (0 < r < ORDER and 0 < s < ORDER and which < 4):
        return None
    x = r + ORDER * (which >> 1)
    square = (pow(x, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if x >= P or y * y % P != square:
        return None
    if y % 2 != which % 2:
        y = P - y
    inverse, z = pow(r, -1, ORDER), int.from_bytes(digest)
    key = plus(times(s * inverse % ORDER, (x, y)), times(-z * inverse % ORDER, G))
    return None if key is None else compressed(key)


def public_key(secret: bytes) -> bytes:
    """The public key for a private one."""
    point = times(int.from_bytes(secret), G)
    assert point is not None
    return compressed(point)
