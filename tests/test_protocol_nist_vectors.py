"""AES-CCM of NIST and RFC 6979 of OpenSSL, from the package cryptography-vectors. Runs on CPython and on MicroPython.

Only what profile 1 can say: keys of 256 bits, nonces of 13 bytes, tags of 16.
"""

from refusing import refusal_of
from suites import suites
from vector_files import package_path

from protocol.suite_device import DeviceSuite

HEAP_KIB = 1024  # a response file has up to 72 KB


def _cases(name):
    """{name: value} of every case in a response file. A blank line ends a case; what stands outside cases is kept."""
    found = {}
    with open(package_path("ciphers/AES/CCM/" + name)) as file:
        for line in file.read().split("\n") + [""]:
            for part in line.strip().strip("[]").split(", "):
                if " = " in part:
                    key, value = part.split(" = ")
                    found[key] = value
            if not line.strip() and "CT" in found:
                yield found
                for key in ("CT", "Adata", "Payload", "Result"):
                    found.pop(key, None)


def _ours(name):
    """(key, nonce, aad, plaintext or None, sealed) of the cases in a file that our algorithm covers."""
    for case in _cases(name):
        if case["Nlen"] == "13" and case["Tlen"] == "16":
            aad = bytes.fromhex(case["Adata"])[: int(case["Alen"])]
            passes = case.get("Result", "Pass").startswith("Pass")
            plain = bytes.fromhex(case["Payload"])[: int(case["Plen"])] if passes else None
            yield bytes.fromhex(case["Key"]), bytes.fromhex(case["Nonce"]), aad, plain, bytes.fromhex(case["CT"])


def _suites_for(aad):
    """Our own CCM leaves out empty associated data, which COSE never has."""
    return [suite for suite in suites() if aad or not isinstance(suite, DeviceSuite)]


def _count(name):
    """Seals and opens every case of ours in a file; gives how many there were."""
    done = 0
    for key, nonce, aad, plain, sealed in _ours(name):
        for suite in _suites_for(aad):
            if plain is None:
                assert refusal_of(suite.ccm_open, key, nonce, aad, sealed) == "decrypt", done
            else:
                assert suite.ccm_seal(key, nonce, aad, plain) == sealed, done
                assert suite.ccm_open(key, nonce, aad, sealed) == plain, done
        done += 1
    return done


def test_every_length_of_associated_data():
    assert _count("VADT256.rsp") == 330


def test_every_length_of_plaintext():
    assert _count("VPT256.rsp") == 250


def test_nonces_of_13_bytes():
    assert _count("VNT256.rsp") == 10


def test_tags_of_16_bytes():
    assert _count("VTT256.rsp") == 10


def test_forgeries_are_refused_and_the_others_opened():
    assert _count("DVPT256.rsp") == 60


def test_signatures_of_rfc_6979_as_openssl_has_them():
    """P-256 with SHA-256: DER there, r || s here."""
    private = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    found = _openssl_signatures()
    assert sorted(found) == ["sample", "test"]
    for suite in suites():
        for message in found:
            made = suite.sign(suite.load_private(private.to_bytes(32, "big")), message.encode())
            assert _der(made) == found[message], message


def _openssl_signatures():
    """{message: DER} of P-256 with SHA-256."""
    found, digest, key, message = {}, "", "", ""
    with open(package_path("asymmetric/ECDSA/RFC6979/evppkey_ecdsa_rfc6979.txt")) as file:
        for line in file:
            name, _, value = line.strip().partition(" = ")
            if name in ("DigestSign", "DigestVerify"):
                digest = name + " " + value
            elif name == "Key":
                key = value
            elif name == "Input":
                message = value.strip('"')
            elif name == "Output" and (digest, key) == ("DigestSign SHA256", "P-256_PRIV"):
                found[message] = bytes.fromhex(value)
    return found


def _der(signature):
    body = b""
    for number in (signature[:32], signature[32:]):
        digits = number.lstrip(b"\x00")
        if digits[0] & 0x80:
            digits = b"\x00" + digits
        body += b"\x02" + bytes((len(digits),)) + digits
    return b"\x30" + bytes((len(body),)) + body
