"""Every field of every table: its least and greatest value pass, one past either is refused. Runs on both interpreters.

That the tables are those of WIRE.md is another test's promise (test_protocol_specification_host.py).
"""

import annotation_samples
import wire_samples
from refusing import refusal_of

from protocol import annotation, cbor, command, event, field, heartbeat, punch, rating, receipt, record, release

OTHERS = (None, True, False, 1, -1, b"", bytes(8), "", "text", [], [1], {}, {1: 1})
# Bool is no int, and what None, a list and so on are is plain.
KIND_OF = ((bool, None), (int, "int"), (bytes, "bytes"), (str, "text"), (list, "list"), (dict, "map"))

ROSTER_ROW = [1, "S001", "李明"]


def _record_claims(kind):
    return lambda claims: record.decode(_payload(record.CLAIMS, claims, kind))


def _payload(key, value, kind=record.RATING):
    """A record's payload with one field changed, encoded without any check."""
    fields = cbor.decode(record.encode(wire_samples.a_record(kind)))
    fields[key] = value
    return cbor.encode(fields)


def _command_claims(kind):
    def decode(claims):
        fields = cbor.decode(command.encode(wire_samples.a_command(kind)))
        fields[command.CLAIMS] = claims
        return command.decode(cbor.encode(fields))

    return decode


def _whole(decode):
    return lambda fields: decode(cbor.encode(fields))


def _record_fields():
    return cbor.decode(record.encode(wire_samples.a_record(digests={1: bytes(32)})))


def _receipt_fields():
    return cbor.decode(receipt.encode(wire_samples.a_receipt()))


def _command_fields():
    return cbor.decode(command.encode(wire_samples.a_command()))


def _annotation_fields():
    return cbor.decode(annotation.encode(annotation_samples.an_annotation()))


def _annotation_claims(kind):
    def decode(claims):
        fields = cbor.decode(annotation.encode(annotation_samples.an_annotation(kind)))
        fields[annotation.CLAIMS] = claims
        return annotation.decode(cbor.encode(fields))

    return decode


def _release_fields():
    return cbor.decode(release.encode(wire_samples.a_notice()))


# Name, rows, good fields, what judges them.
TABLES = [
    ("record", record.ROWS, _record_fields, _whole(record.decode)),
    ("rating", rating.ROWS, wire_samples.rating_full, _record_claims(record.RATING)),
    ("redactable", rating.REDACTABLE_ROWS, wire_samples.redactable, rating.check_redactable),
    (
        "identity",
        rating.IDENTITY_ROWS,
        lambda: dict(wire_samples.IDENTITY),
        lambda identity: rating.check_redactable({rating.IDENTITY: identity}),
    ),
    ("punch", punch.ROWS, wire_samples.punch_full, _record_claims(record.PUNCH)),
    ("event", event.ROWS, wire_samples.event_opened, _record_claims(record.EVENT)),
    ("heartbeat", heartbeat.ROWS, wire_samples.heartbeat_full, _record_claims(record.HEARTBEAT)),
    ("receipt", receipt.ROWS, _receipt_fields, _whole(receipt.decode)),
    ("command", command.ROWS, _command_fields, _whole(command.decode)),
    ("release", release.ROWS, _release_fields, _whole(release.decode)),
    ("annotation", annotation.ROWS, _annotation_fields, _whole(annotation.decode)),
]
for _kind in wire_samples.COMMAND_CLAIMS:
    TABLES.append(
        ("command kind", command.CLAIM_ROWS[_kind], wire_samples.COMMAND_CLAIMS[_kind], _command_claims(_kind))
    )

for _kind in annotation_samples.ANNOTATION_CLAIMS:
    TABLES.append(
        (
            "annotation kind",
            annotation.CLAIM_ROWS[_kind],
            annotation_samples.ANNOTATION_CLAIMS[_kind],
            _annotation_claims(_kind),
        )
    )


def _of_size(kind, size, good):
    """A value of a kind that measures `size`; items of lists and maps are repeated or taken from the good value."""
    if kind == field.INT:
        return size
    if kind == field.BYTES:
        return bytes(size)
    if kind == field.TEXT:
        return "字" * size  # three bytes each: characters count, not bytes
    if kind == field.LIST:
        return [good[0]] * size if good else [ROSTER_ROW] * size
    return {key: 1 for key in range(size)}


def _rows():
    """(table, row, good fields, judge) of every field of every table."""
    for name, table, good, judge in TABLES:
        for row in field.rows(table):
            yield name, row, good, judge


def _changed(good, key, value):
    fields = good()
    fields[key] = value
    return fields


def test_the_samples_hold_every_field_and_pass():
    for name, table, good, judge in TABLES:
        fields = good()
        assert refusal_of(judge, fields) is None, name
        assert sorted(fields) == sorted([row[0] for row in field.rows(table)]), name


def test_the_least_and_the_greatest_value_pass():
    for name, (key, title, kind, low, high, _), good, _judge in _rows():
        for size in (low, high):
            value = _of_size(kind, size, good()[key])
            assert refusal_of(field.check_value, title, value, kind, low, high) is None, (name, title, size)


def test_one_past_either_bound_is_refused():
    for name, (key, title, kind, low, high, _), good, judge in _rows():
        for size in (low - 1, high + 1):
            if kind == field.INT or size >= 0:
                value = _of_size(kind, size, good()[key])
                if kind in (field.LIST, field.MAP) and size > 256:
                    continue  # the encoding itself has no room for it
                assert refusal_of(judge, _changed(good, key, value)) == "schema", (name, title, size)


def test_a_missing_field_is_refused_where_it_is_required_only():
    for name, (key, title, _, _, _, required), good, judge in _rows():
        fields = good()
        del fields[key]
        # A level to the outcome, a time to the clock source, quiet hours to each other.
        bound = (name, title) in (("rating", "level"), ("punch", "time_s")) or title.startswith("quiet_")
        assert refusal_of(judge, fields) == ("schema" if required or bound else None), (name, title)


def test_a_value_of_another_kind_is_refused():
    for name, (key, title, kind, _, _, _), good, judge in _rows():
        for value in OTHERS:
            if _kind_of(value) != kind:
                assert refusal_of(judge, _changed(good, key, value)) == "schema", (name, title, value)


def _kind_of(value):
    for python, kind in KIND_OF:
        if isinstance(value, python):
            return kind
    return None


def test_unknown_fields_are_refused():
    for name, table, good, judge in TABLES:
        known = [row[0] for row in field.rows(table)]
        for key in range(-24, 24):
            if key not in known:
                assert refusal_of(judge, _changed(good, key, 1)) == "schema", (name, key)


def test_no_fields_at_all_are_refused_where_one_is_required():
    for name, table, _, judge in TABLES:
        required = [row for row in field.rows(table) if row[5]]
        assert (refusal_of(judge, {}) == "schema") == bool(required or name == "identity"), name


def test_what_a_peer_would_refuse_cannot_be_encoded():
    for key, attribute in ((6, "coarse_s"), (9, "kind"), (11, "seq"), (14, "uptime_ms"), (15, "source")):
        for _, _, kind, low, high, _ in [row for row in field.rows(record.ROWS) if row[0] == key]:
            for value in (low - 1, high + 1, None, "text"):
                made = wire_samples.a_record()
                setattr(made, attribute, value)
                assert kind == field.INT and refusal_of(record.encode, made) == "schema", (attribute, value)


def test_characters_are_counted_not_bytes():
    assert refusal_of(field.check_value, "name", "字" * 12, field.TEXT, 1, 12) is None
    assert refusal_of(field.check_value, "name", "字" * 13, field.TEXT, 1, 12) == "schema"
    assert refusal_of(field.check_value, "name", "\U0002070e" * 12, field.TEXT, 1, 12) is None  # beyond 16 bits


def test_a_refusal_names_the_field_and_never_its_content():
    for name, (key, title, kind, _, _, _), good, judge in _rows():
        if kind == field.TEXT:
            try:
                judge(_changed(good, key, "秘密" * 200))
            except Exception as error:
                assert "秘密" not in str(error) and error.detail in (title, "device", "issuer"), (name, title)
