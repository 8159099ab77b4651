"""Manifests and their Merkle trees: published roots, and nothing that a receiver would have to guess."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import manifest, merkle
from protocol.limits import MESSAGE_BYTES_MAX
from protocol.manifest import RECORDS_MAX, REFUSALS_MAX, RUNS_MAX, Manifest
from protocol.refusal import Refused
from protocol.sign1 import Signer
from protocol.suite_host import HostSuite

SUITE = HostSuite()
# Inputs and roots of the reference trees of Certificate Transparency (RFC 6962).
ENTRIES = [
    bytes.fromhex(one)
    for one in "|00|10|2021|3031|40414243|5051525354555657|606162636465666768696a6b6c6d6e6f".split("|")
]
ROOTS = """
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77
d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7
4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4
76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef
ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c
5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328
""".split()


def stated(**changes):
    values = {
        "hall": "yongxing", "number": 2, "previous": b"\1" * 32, "coarse_s": 900, "count": 3, "root": bytes(32),
        "words": bytes(32), "runs": [("e-001", bytes(8), 1, 2), ("e-002", bytes(8), 7, 7)],
        "refusals": [("decrypt", 2)], "equivocations": 0, "register": bytes(32), **changes,
    }  # fmt: skip
    return Manifest(**values)


@pytest.mark.parametrize("count", range(9))
def test_trees_have_the_published_roots(count):
    assert merkle.root(ENTRIES[:count]).hex() == ROOTS[count]


def recursive(entries):
    """RFC 6962 2.1, word by word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    half = 1
    while 2 * half < len(entries):
        half *= 2
    return hashlib.sha256(b"\1" + recursive(entries[:half]) + recursive(entries[half:])).digest()


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_a_tree_that_grows_is_the_tree_of_the_whole_list(entries):
    tree = merkle.Tree()
    for entry in entries:
        tree.add(entry)
    assert (tree.root(), tree.count) == (recursive(entries), len(entries))


def test_a_manifest_comes_back_as_it_was():
    for one in (stated(), stated(operator=b"\2" * 32), stated(number=1, previous=manifest.GENESIS)):
        assert vars(manifest.decode(manifest.encode(one))) == vars(one)


def test_the_largest_manifest_fits_a_message():
    runs = [("d" * 30 + f"{at:02}", bytes(8), 2**32 - 9, 2**32 - 9 + at % 5) for at in range(RUNS_MAX)]
    largest = stated(
        hall="h" * 32, number=2**32 - 1, coarse_s=2**32 - 796, runs=runs, operator=bytes(32),
        count=sum(last - first + 1 for _, _, first, last in runs), equivocations=2**32 - 1,
        refusals=[("r" * manifest.REASON_CHARS_MAX, 2**32 - 1)] * REFUSALS_MAX,
    )  # fmt: skip
    signed = Signer(SUITE, SUITE.generate_private()).sign(manifest.MANIFEST_TYP, manifest.encode(largest))
    assert len(signed) <= MESSAGE_BYTES_MAX


@pytest.mark.parametrize(
    "changes",
    [
        {"coarse_s": 901}, {"number": 1}, {"previous": manifest.GENESIS}, {"count": 2}, {"count": 4}, {"runs": []},
        {"runs": [("e-001", bytes(8), 1, 1), ("e-001", bytes(8), 1, 2)]},
        {"runs": [("e-001", bytes(8), 1, 1), ("e-001", bytes(8), 2, 3)]},  # one run, written as two
        {"runs": [("e-002", bytes(8), 1, 1), ("e-001", bytes(8), 1, 2)]},
        {"runs": [("e-001", bytes(8), 3, 1)]}, {"runs": [("E", bytes(8), 1, 3)]}, {"runs": [("e-001", bytes(7), 1, 3)]},
        {"runs": [("e-001", bytes(8), 0, 2)]}, {"refusals": [("decrypt", 0)]}, {"refusals": [("", 1)]},
        {"hall": "Hall"}, {"register": bytes(31)}, {"count": RECORDS_MAX + 1, "runs": [("e", bytes(8), 1, 257)]},
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(changes):
    with pytest.raises(Refused):
        manifest.encode(stated(**changes))


def test_everything_that_a_gateway_says_of_a_record_changes_its_word():
    first = manifest.word(900, ["quick"], {"name": "王**", "phone": "****"}, b"sealed")
    others = [
        manifest.word(1800, ["quick"], {"name": "王**", "phone": "****"}, b"sealed"),
        manifest.word(900, [], {"name": "王**", "phone": "****"}, b"sealed"),
        manifest.word(900, ["quick"], {"name": "王*", "phone": "****"}, b"sealed"),
        manifest.word(900, ["quick"], {"name": "王**"}, b"sealed"),
        manifest.word(900, ["quick"], None, b"sealed"),
        manifest.word(900, ["quick"], {"name": "王**", "phone": "****"}, b"other"),
        manifest.word(900, ["quick"], {"name": "王**", "phone": "****"}, None),
    ]
    assert len({first, *others}) == 8
    assert manifest.word(900, ["quick"], {"phone": "****", "name": "王**"}, b"sealed") == first
