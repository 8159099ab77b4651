"""NIST P-256 in integers: keys, RFC 6979 signatures, verification, ECDH. For devices; hosts use `cryptography`.

Points on the curve are affine pairs (x, y); a sum in the making is Jacobian (X, Y, Z), and Z == 0 is infinity.
Multiplication uses a comb: `teeth` bits of the scalar, `spread` apart, are looked up at once in a table of
2**teeth - 1 points, kept as one `bytes` (64 per point; tuples of integers would take 2.5 times the heap).
Not constant in time: nothing here may sign for somebody who can time single operations.
"""

from protocol.hkdf import hmac_sha256
from protocol.refusal import Refused

# SEC 2, secp256r1.
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

# 15 points, 960 bytes of heap for each key that signs or is verified again and again. Five teeth would sign a quarter
# faster and take twice the heap.
_TEETH = 4
_INFINITY = (1, 1, 0)


def _inverse(value: int, modulus: int) -> int:
    """1 / value by the extended Euclid: six times as fast as pow(value, modulus - 2, modulus) on a device."""
    low, high = value % modulus, modulus
    x, y = 1, 0
    while low > 1:
        quotient = high // low
        low, high = high - quotient * low, low
        x, y = y - quotient * x, x
    return x % modulus


def _double(point: tuple[int, int, int]) -> tuple[int, int, int]:
    """2 * point (dbl-2001-b, for a = -3)."""
    x, y, z = point
    delta, gamma = z * z % P, y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, ((y + z) * (y + z) - gamma - delta) % P


def _add(point: tuple[int, int, int], x2: int, y2: int) -> tuple[int, int, int]:
    """point + the affine (x2, y2), every special case included."""
    x1, y1, z1 = point
    if not z1:
        return x2, y2, 1
    zz = z1 * z1 % P
    h = (x2 * zz - x1) % P
    r = (y2 * z1 * zz - y1) % P
    if not h:
        return _INFINITY if r else _double(point)
    hh = h * h % P
    hhh, v = h * hh % P, x1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - y1 * hhh) % P, z1 * h % P


def _affine(point: tuple[int, int, int]) -> tuple[int, int]:
    """(x, y) of a point that is not infinity."""
    inverse = _inverse(point[2], P)
    square = inverse * inverse % P
    return point[0] * square % P, point[1] * square * inverse % P


def _spread(teeth: int) -> int:
    return (256 + teeth - 1) // teeth


def comb(x: int, y: int, teeth: int) -> bytes:
    """The table of the point: entry j - 1 (64 bytes) is the sum of 2**(spread * i) * point over the bits i of j."""
    table = bytearray(64 * ((1 << teeth) - 1))
    for tooth in range(teeth):
        if tooth:
            point = (x, y, 1)
            for _ in range(_spread(teeth)):
                point = _double(point)
            x, y = _affine(point)
        for low in range(1 << tooth):
            ax, ay = (x, y) if not low else _affine(_add(_entry(table, low), x, y))
            at = 64 * ((1 << tooth) + low - 1)
            table[at : at + 32] = ax.to_bytes(32, "big")
            table[at + 32 : at + 64] = ay.to_bytes(32, "big")
    return bytes(table)


def _entry(table: bytes | bytearray, j: int) -> tuple[int, int, int]:
    at = 64 * (j - 1)
    return int.from_bytes(table[at : at + 32], "big"), int.from_bytes(table[at + 32 : at + 64], "big"), 1


def _multiply(table: bytes, teeth: int, k: int) -> tuple[int, int, int]:
    """k * the point of `table`, 0 <= k < 2**256."""
    spread, result = _spread(teeth), _INFINITY
    for column in range(spread - 1, -1, -1):
        result = _double(result)
        j = 0
        for tooth in range(teeth):
            j |= (k >> (column + spread * tooth) & 1) << tooth
        if j:
            x, y, _ = _entry(table, j)
            result = _add(result, x, y)
    return result


_generator_comb: list[bytes] = []  # filled at first use: a board that only verifies never pays for it


def _multiply_generator(k: int) -> tuple[int, int, int]:
    if not _generator_comb:
        _generator_comb.append(comb(GENERATOR[0], GENERATOR[1], _TEETH))
    return _multiply(_generator_comb[0], _TEETH, k)


class PublicKey:
    """A point of the curve. Keeps its comb after the first verification: pinned keys verify again and again."""

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y
        self._comb = b""

    def comb(self) -> bytes:
        if not self._comb:
            self._comb = comb(self.x, self.y, _TEETH)
        return self._comb


def load_private(raw: bytes) -> int:
    """The scalar of 32 bytes. Raises Refused("key") unless 1 <= scalar < N."""
    scalar = int.from_bytes(raw, "big")
    if len(raw) != 32 or not 0 < scalar < N:
        raise Refused("key", "private")
    return scalar


def load_public(raw: bytes) -> PublicKey:
    """The point of 65 bytes 0x04 || x || y. Raises Refused("key") unless it lies on the curve."""
    if len(raw) != 65 or raw[0] != 4:
        raise Refused("key", "public")
    x, y = int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:], "big")
    if x >= P or y >= P or (y * y - (x * x * x - 3 * x + B)) % P:
        raise Refused("key", "public")
    return PublicKey(x, y)


def public_bytes(private: int) -> bytes:
    """0x04 || x || y of the key that belongs to `private`."""
    x, y = _affine(_multiply_generator(private))
    return b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")


def _nonce(private: int, digest: bytes, accept: object) -> tuple[int, int]:
    """The first (r, s) that `accept(k)` makes from the candidates of RFC 6979 3.2."""
    seed = private.to_bytes(32, "big") + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    value, key = b"\x01" * 32, bytes(32)
    for mark in (b"\x00", b"\x01"):
        key = hmac_sha256(key, value + mark + seed)
        value = hmac_sha256(key, value)
    while True:
        value = hmac_sha256(key, value)
        k = int.from_bytes(value, "big")
        pair: tuple[int, int] | None = accept(k) if 0 < k < N else None  # type: ignore[operator]
        if pair:
            return pair
        key = hmac_sha256(key, value + b"\x00")
        value = hmac_sha256(key, value)


def sign(private: int, digest: bytes) -> bytes:
    """r || s (64 bytes) over a 32-byte digest, deterministic (RFC 6979)."""

    def attempt(k: int) -> tuple[int, int] | None:
        r = _affine(_multiply_generator(k))[0] % N
        s = _inverse(k, N) * (int.from_bytes(digest, "big") + r * private) % N
        return (r, s) if r and s else None

    r, s = _nonce(private, digest, attempt)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(public: PublicKey, digest: bytes, signature: bytes) -> bool:
    """True when `signature` (r || s) fits. (r, N - s) fits as well: never use signature bytes as an identity."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not 0 < r < N or not 0 < s < N:
        return False
    inverse = _inverse(s, N)
    total = _multiply(public.comb(), _TEETH, r * inverse % N)
    share = _multiply_generator(int.from_bytes(digest, "big") * inverse % N)
    if share[2]:
        total = _add(total, *_affine(share))
    return bool(total[2]) and _affine(total)[0] % N == r


def agree(private: int, public: PublicKey) -> bytes:
    """The 32-byte x coordinate of private * public (ECDH). The comb is thrown away: a device agrees once per boot."""
    shared = _multiply(comb(public.x, public.y, _TEETH), _TEETH, private)
    if not shared[2]:
        raise Refused("key", "agree")
    return _affine(shared)[0].to_bytes(32, "big")
