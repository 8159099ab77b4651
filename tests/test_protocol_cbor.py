"""The encoding: one value, one encoding, and nothing else is taken. Runs on CPython and on MicroPython."""

from refusing import is_our_fault, refusal_of

from protocol import cbor
from protocol.limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX, MESSAGE_BYTES_MAX

# Value, its encoding (RFC 8949 Appendix A, where it has the value).
PAIRS = (
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (255, "18ff"),
    (256, "190100"),
    (1000, "1903e8"),
    (65535, "19ffff"),
    (65536, "1a00010000"),
    (1000000, "1a000f4240"),
    (4294967295, "1affffffff"),
    (4294967296, "1b0000000100000000"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-24, "37"),
    (-25, "3818"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({1: "a", 2: [2, 3]}, "a20161610282" + "0203"),
    ({-1: 1, 5: 2, 23: 3, -24: 4}, "a4050217032001" + "3704"),
)

REFUSED = (
    ("number in more bytes than needed", "1800"),
    ("number in more bytes than needed", "1817"),
    ("number in more bytes than needed", "190018"),
    ("number in more bytes than needed", "1900ff"),
    ("number in more bytes than needed", "1a00000100"),
    ("number in more bytes than needed", "1a0000ffff"),
    ("number in more bytes than needed", "1b00000000ffffffff"),
    ("negative number in more bytes than needed", "3817"),
    ("negative number in more bytes than needed", "3900ff"),
    ("length in more bytes than needed", "580161"),
    ("length in more bytes than needed", "780161"),
    ("length in more bytes than needed", "980101"),
    ("length in more bytes than needed", "b8010101"),
    ("trailing byte", "0000"),
    ("trailing bytes", "f6f6"),
    ("trailing break", "80ff"),
    ("bytes of indefinite length", "5f4101ff"),
    ("text of indefinite length", "7f6161ff"),
    ("array of indefinite length", "9f01ff"),
    ("map of indefinite length", "bf0101ff"),
    ("break alone", "ff"),
    ("reserved length 28", "1c"),
    ("reserved length 29", "5d"),
    ("reserved length 30", "7e"),
    ("reserved length 28", "9c"),
    ("tag: date", "c074323031332d30332d32315432303a30343a30305a"),
    ("tag: epoch", "c11a514b67b0"),
    ("tag: bignum", "c249010000000000000000"),
    ("tag: decimal", "c48221196ab3"),
    ("tag: encoded CBOR", "d818456449455446"),
    ("tag: self described", "d9d9f700"),
    ("tag: Sign1 inside", "d28440a04040"),
    ("half float", "f93c00"),
    ("single float", "fa47c35000"),
    ("double float", "fb3ff199999999999a"),
    ("not a number", "f97e00"),
    ("undefined", "f7"),
    ("simple value", "f0"),
    ("simple value in two bytes", "f8ff"),
    ("false in two bytes", "f814"),
    ("key twice", "a201010102"),
    ("key twice, negative", "a220012002"),
    ("keys out of order", "a203040102"),
    ("keys out of order, negative first", "a220010102"),
    ("key in two bytes", "a1181801"),
    ("key in two bytes, negative", "a1381801"),
    ("key 1 in two bytes", "a1180101"),
    ("first byte of a longer key", "a11800"),
    ("first byte of a longer key", "a11b00"),
    ("reserved byte as a key", "a11c00"),
    ("reserved byte as a key", "a11f00"),
    ("first byte of a longer negative key", "a13800"),
    ("text as a key", "a1616101"),
    ("bytes as a key", "a1416101"),
    ("array as a key", "a18001"),
    ("map as a key", "a1a001"),
    ("boolean as a key", "a1f501"),
    ("null as a key", "a1f601"),
    ("tag as a key", "a1c10101"),
    ("map without its last value", "a20102"),
    ("map without a value", "a101"),
    ("array without its last item", "820001"[:4]),
    ("number cut off", "18"),
    ("number cut off", "1901"),
    ("number cut off", "1b01020304050607"),
    ("bytes cut off", "420a"),
    ("text cut off", "6261"),
    ("bytes longer than any memory", "5bffffffffffffffff"),
    ("text longer than any memory", "7b7fffffffffffffff"),
    ("array longer than any memory", "9bffffffffffffffff"),
    ("map longer than any memory", "bb7fffffffffffffff"),
    ("array of 2**31", "9a80000000"),
    ("text: stray continuation byte", "6180"),
    ("text: cut off inside a character", "62e6b0"),
    ("text: overlong two bytes", "62c080"),
    ("text: overlong two bytes", "62c1bf"),
    ("text: overlong three bytes", "63e08080"),
    ("text: overlong three bytes", "63e09fbf"),
    ("text: overlong four bytes", "64f0808080"),
    ("text: overlong four bytes", "64f08fbfbf"),
    ("text: surrogate", "63eda080"),
    ("text: surrogate", "63edbfbf"),
    ("text: beyond Unicode", "64f4908080"),
    ("text: beyond Unicode", "64f5808080"),
    ("text: five bytes", "65f888808080"),
    ("text: byte that is never used", "61ff"),
    ("text: second character broken", "66e6b0b4eda080"),
)


def test_a_value_has_one_encoding():
    for value, text in PAIRS:
        assert cbor.encode(value) == bytes.fromhex(text), text


def test_an_encoding_gives_its_value_and_type():
    for value, text in PAIRS:
        found = cbor.decode(bytes.fromhex(text))
        assert found == value and type(found) is type(value), text


def test_what_is_not_canonical_is_refused():
    for what, text in REFUSED:
        assert refusal_of(cbor.decode, bytes.fromhex(text)) == "encoding", what + " " + text


def test_it_is_refused_inside_an_array_and_a_map_as_well():
    for what, text in REFUSED:
        if "longer than any memory" not in what and "2**31" not in what:
            assert refusal_of(cbor.decode, b"\x81" + bytes.fromhex(text)) == "encoding", what + " " + text
            assert refusal_of(cbor.decode, b"\xa1\x01" + bytes.fromhex(text)) == "encoding", what + " " + text


def test_every_prefix_of_a_message_is_refused():
    whole = cbor.encode({1: "e-001", 3: [b"12345", {1: -500}], 23: None})
    for end in range(1, len(whole)):
        assert refusal_of(cbor.decode, whole[:end]) == "encoding", end


def test_nesting_ends_where_the_specification_says():
    for opening in (b"\x81", b"\xa1\x01"):
        assert refusal_of(cbor.decode, opening * (CBOR_DEPTH_MAX - 1) + b"\x00") is None
        assert refusal_of(cbor.decode, opening * CBOR_DEPTH_MAX + b"\x00") == "encoding"
        assert refusal_of(cbor.decode, opening * 2000 + b"\x00") == "encoding"


def test_containers_end_where_the_specification_says():
    head = b"\x99" + CBOR_ITEMS_MAX.to_bytes(2, "big")
    assert len(cbor.decode(head + bytes(CBOR_ITEMS_MAX))) == CBOR_ITEMS_MAX
    head = b"\x99" + (CBOR_ITEMS_MAX + 1).to_bytes(2, "big")
    assert refusal_of(cbor.decode, head + bytes(CBOR_ITEMS_MAX + 1)) == "encoding"
    assert refusal_of(cbor.decode, b"\xb9\x01\x01" + bytes(2 * 257)) == "encoding"


def test_a_container_cannot_have_more_items_than_bytes():
    for text in ("98ff00", "9818" + "00" * 23, "b8ff0000", "82" + "00", "9901000000"):
        assert refusal_of(cbor.decode, bytes.fromhex(text)) == "encoding", text


def test_size_is_judged_before_the_content():
    assert refusal_of(cbor.decode, b"") == "size"
    assert refusal_of(cbor.decode, b"\xff" * (MESSAGE_BYTES_MAX + 1)) == "size"
    content = MESSAGE_BYTES_MAX - 3
    assert cbor.decode(b"\x59" + content.to_bytes(2, "big") + bytes(content)) == bytes(content)


def test_all_keys_of_one_byte_are_sorted_by_their_byte():
    keys = [key for key in range(-24, 24)]
    encoded = cbor.encode({key: 0 for key in keys})
    found = [encoded[at] for at in range(2, len(encoded), 2)]
    assert found == sorted(found) and len(found) == 48
    assert sorted(cbor.decode(encoded)) == keys


def test_nothing_outside_the_profile_can_be_encoded():
    class Other:
        pass

    keys = ({24: 0}, {-25: 0}, {"a": 0}, {True: 0}, {None: 0}, {b"a": 0})
    for value in (1.0, Other(), 1 << 64, -(1 << 64) - 1, {1, 2}) + keys:
        assert is_our_fault(cbor.encode, value), type(value)
        assert is_our_fault(cbor.encode, [value]), type(value)


def test_buffers_and_tuples_are_encoded_like_bytes_and_lists():
    assert cbor.encode(bytearray(b"ab")) == cbor.encode(memoryview(b"ab")) == b"\x42ab"
    assert cbor.encode((1, (2,))) == cbor.encode([1, [2]])


def test_a_place_for_a_map_takes_a_map_only():
    assert cbor.decode_map(b"\xa1\x01\x02") == {1: 2}
    for text in ("80", "01", "f6", "4101"):
        assert refusal_of(cbor.decode_map, bytes.fromhex(text)) == "structure"


def test_a_place_for_a_list_takes_that_many_items_only():
    assert cbor.decode_list(b"\x82\x01\x02", 2) == [1, 2]
    for text in ("8101", "83010203", "a0", "01"):
        assert refusal_of(cbor.decode_list, bytes.fromhex(text), 2) == "structure"
