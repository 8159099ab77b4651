"""Tables of the hall's ledger (SQLAlchemy Core). The ledger is the truth; everything else can be rebuilt from it.

What may never stand in these tables: a name, phone or identity number in full, a visit number, a comment,
the exact time of a rating, or any salt. They leave the gateway only inside `record.sealed`. What was refused
lies in `quarantine` as it came, encrypted to the gateway, with the second of its arrival unless the topic is an
evaluator's.
"""

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

# Raised when a table changes; stored in SQLite's user_version and checked when the ledger is opened.
SCHEMA_VERSION = 4

# Version of an older ledger -> what makes the next one of it. A ledger is years of evidence: it is never made anew.
MIGRATIONS = {
    1: (
        "ALTER TABLE heartbeat ADD COLUMN drift_ppm INTEGER",
        "ALTER TABLE heartbeat ADD COLUMN unknown_fingers INTEGER",
    ),
    2: (
        "CREATE INDEX quarantine_topic ON quarantine (topic)",
        "ALTER TABLE heartbeat ADD COLUMN release_sequence INTEGER",
        "ALTER TABLE heartbeat ADD COLUMN refused_sequence INTEGER",
    ),
    3: (
        'CREATE INDEX record_rating ON record ("window") WHERE kind = 1',
        "ALTER TABLE record ADD COLUMN pseudonym VARCHAR(32)",
        "ALTER TABLE visit ADD COLUMN stream VARCHAR(16)",
        "ALTER TABLE visit ADD COLUMN seq INTEGER",
        "ALTER TABLE record ADD COLUMN visit_json VARCHAR",
        "ALTER TABLE visit ADD COLUMN answered INTEGER NOT NULL DEFAULT 0",
        "UPDATE visit SET answered = 1 WHERE state IN ('rated', 'timed_out')",
        "ALTER TABLE visit ADD COLUMN change INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE visit ADD COLUMN request BLOB",
        "ALTER TABLE visit ADD COLUMN context_json VARCHAR",
        "ALTER TABLE visit ADD COLUMN flags_json VARCHAR NOT NULL DEFAULT '[]'",
        "ALTER TABLE visit ADD COLUMN parent BLOB",
        "ALTER TABLE visit ADD COLUMN part INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE visit ADD COLUMN parts INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE visit ADD COLUMN notice INTEGER",
        "CREATE INDEX visit_state ON visit (state, device)",
        "CREATE INDEX visit_parent ON visit (parent) WHERE parent IS NOT NULL",
        "CREATE INDEX visit_notice ON visit (notice) WHERE notice IS NOT NULL",
        "CREATE INDEX record_unsynchronised ON record (device, boot) WHERE source = 0",
    ),
}

metadata = MetaData()

record = Table(
    "record",
    metadata,
    # Position in the ledger: grows with every commit, in commit order, never reused. Projections keep a cursor over it.
    Column("id", Integer, primary_key=True),
    Column("device", String(32), nullable=False),
    Column("stream", String(16), nullable=False),  # hex of the 8 stream bytes
    Column("seq", Integer, nullable=False),
    Column("kind", Integer, nullable=False),  # protocol.record.RATING, PUNCH or EVENT
    Column("window", String(16), nullable=False),  # window of a rating, door of a punch, the registry's place else
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the signed payload
    Column("evidence", LargeBinary, nullable=False),  # COSE_Sign1 without disclosures; holds the payload as signed
    Column("coarse_s", Integer, nullable=False),  # signed coarse UTC seconds, multiple of 900; 0 is unknown
    Column("received_s", Integer, nullable=False),  # gateway's UTC seconds; of a rating floored to 900 like coarse_s
    Column("source", Integer, nullable=False),  # clock source of the device: 0 none, 1 gateway, 2 kept
    Column("uptime_ms", Integer, nullable=False),
    Column("boot", String(16), nullable=False),  # hex of the 8 boot bytes
    Column("claims_json", String, nullable=False),  # clear claims by name, see gateway.claims
    Column("masked_json", String, nullable=True),  # {"name", "phone", "id_number", "id_kind"}, those that were given
    Column("sealed", LargeBinary, nullable=True),  # HPKE blob, see gateway.identity_seal; empty: its time was over
    Column("flags_json", String, nullable=False),  # list of rule codes, see gateway.rules; often "[]"
    Column("pseudonym", String(32), nullable=True),  # of this month only, see gateway.pseudonym
    Column("visit_json", String, nullable=True),  # what the business system says the visit is about, see gateway.matter
    UniqueConstraint("device", "stream", "seq", name="record_identity"),
    Index("record_count", "device", "kind"),  # counts without reading the records themselves
    # The latest ratings of one window, for rules that look back. 1: protocol.record.RATING.
    Index("record_rating", "window", sqlite_where=text("kind = 1")),
    # Few records: those that want a time estimate, by the boot that made them.
    Index("record_unsynchronised", "device", "boot", sqlite_where=text("source = 0")),
    sqlite_autoincrement=True,
)

# Continuity of one ledger stream. Written in the transaction of its records.
stream = Table(
    "stream",
    metadata,
    Column("device", String(32), primary_key=True),
    Column("stream", String(16), primary_key=True),
    Column("number", Integer, nullable=False),  # 1 for the device's first stream, 2 for the next, …
    Column("through", Integer, nullable=False),  # every seq up to here is in `record`
    Column("through_digest", LargeBinary(32), nullable=True),  # of the record at `through`
    Column("highest", Integer, nullable=False),  # highest seq in `record`
    Column("declared", Integer, nullable=False),  # highest head the device itself has signed (heartbeat, next stream)
    Column("stored", Integer, nullable=False),  # records taken; rows in `record` and those that `removal` tells of
    Column("duplicates", Integer, nullable=False),  # offered again with the same payload
    Column("equivocations", Integer, nullable=False),  # offered again with another payload
    Column("opened_s", Integer, nullable=False),
)

# A second signed payload for a (device, stream, seq) that the ledger holds already: evidence, never counted.
equivocation = Table(
    "equivocation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String(32), nullable=False),
    Column("stream", String(16), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("stored_digest", LargeBinary(32), nullable=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("received_s", Integer, nullable=False),
    UniqueConstraint("device", "stream", "seq", "digest", name="equivocation_identity"),
)

# The latest heartbeat of each device.
heartbeat = Table(
    "heartbeat",
    metadata,
    Column("device", String(32), primary_key=True),
    Column("received_s", Integer, nullable=False),
    Column("telemetry", String(16), nullable=False),  # hex of the telemetry stream, one per boot
    Column("seq", Integer, nullable=False),
    Column("boot", String(16), nullable=False),
    Column("uptime_ms", Integer, nullable=False),
    Column("source", Integer, nullable=False),
    Column("stream", String(16), nullable=False),  # hex of the ledger stream
    Column("head", Integer, nullable=False),
    Column("head_digest", LargeBinary(16), nullable=False),
    Column("presses_json", String, nullable=False),  # five counters; index 0 is level 1
    Column("pending", Integer, nullable=False),
    Column("free_flash_bytes", Integer, nullable=False),
    Column("free_heap_bytes", Integer, nullable=False),
    Column("config_version", Integer, nullable=False),
    Column("roster_version", Integer, nullable=False),
    Column("firmware", String, nullable=False),
    Column("receipted_through", Integer, nullable=False),
    Column("evidence", LargeBinary, nullable=False),
    Column("drift_ppm", Integer, nullable=True),  # until the device knows it
    Column("unknown_fingers", Integer, nullable=True),  # of a clock, since its boot
    Column("release_sequence", Integer, nullable=True),  # that it runs; 0: as it was delivered
    Column("refused_sequence", Integer, nullable=True),  # the newest that it refused or went back from
)

# Telemetry streams seen of each device, so that an old heartbeat is known as old. Bounded per device.
telemetry = Table(
    "telemetry",
    metadata,
    Column("device", String(32), primary_key=True),
    Column("stream", String(16), primary_key=True),
    Column("number", Integer, nullable=False),  # grows; the lowest of a device is forgotten first
    Column("seq", Integer, nullable=False),  # highest seen
)

# Messages that could not be accepted, with their bytes. Bounded in count and bytes, oldest leave first.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("received_s", Integer, nullable=False),  # of an evaluator: begin of the quarter of an hour
    Column("topic", String, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 over topic and whole message
    Column("size_bytes", Integer, nullable=False),  # of the whole message; `message` may be its beginning only
    Column("offered", Integer, nullable=False),  # how often the same bytes came
    Column("message", LargeBinary, nullable=False),
    UniqueConstraint("digest", name="quarantine_digest"),
    Index("quarantine_reason", "reason"),
    Index("quarantine_topic", "topic"),  # the oldest of one device, to let them go
    sqlite_autoincrement=True,
)

# How often each reason has refused a message, kept over restarts. "evicted" counts what left quarantine unread.
refusal = Table(
    "refusal",
    metadata,
    Column("reason", String(32), primary_key=True),
    Column("count", Integer, nullable=False),
)

# How far each projection has read `record`.
cursor = Table(
    "cursor",
    metadata,
    Column("destination", String(32), primary_key=True),  # "central", "timeseries", "central_annotations", …
    Column("position", Integer, nullable=False),
)

# Downlink command counters: every value up to `reserved` counts as used.
counter = Table(
    "counter",
    metadata,
    Column("device", String(32), primary_key=True),
    Column("reserved", Integer, nullable=False),
)

# Version of the configuration last made for a device; grows when the content changes.
device_config = Table(
    "device_config",
    metadata,
    Column("device", String(32), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
)

# Visits opened by the window business system. The visit number itself is not kept: `token` is its keyed hash, and
# the key of a day is destroyed with it, so that the table cannot name a visit afterwards.
visit = Table(
    "visit",
    metadata,
    Column("token", LargeBinary(32), primary_key=True),
    Column("day", Integer, nullable=False),
    Column("window", String(16), nullable=False),
    Column("device", String(32), nullable=False),
    Column("state", String(16), nullable=False),  # see gateway.visit_states
    # When the question ends. 0 once the visit has an outcome or was taken back: it would tell when it was opened.
    Column("expires_s", Integer, nullable=False),
    Column("answered", Integer, nullable=False, server_default="0"),  # 1 once a record has named it
    Column("change", Integer, nullable=False, server_default="0"),  # number of its latest change of state
    Column("request", LargeBinary(32), nullable=True),  # keyed hash of the request that opened it
    Column("context_json", String, nullable=True),  # what joins its record, see gateway.matter
    Column("flags_json", String, nullable=False, server_default="[]"),  # rule codes that join its record
    Column("parent", LargeBinary(32), nullable=True),  # of a part that is rated by itself: token of the whole
    Column("part", Integer, nullable=False, server_default="0"),  # its number, from 1
    Column("parts", Integer, nullable=False, server_default="0"),  # of the whole: how many parts are rated
    # Whether the business system's webhook knows: NULL yes, 0 and more not yet (times refused), -1 it never will.
    Column("notice", Integer, nullable=True),
    Column("stream", String(16), nullable=True),  # with `device` and `seq`: the record of its outcome
    Column("seq", Integer, nullable=True),  # goes with the row; see gateway.subject
    Index("visit_day", "day"),
    Index("visit_state", "state", "device"),
    Index("visit_parent", "parent", sqlite_where=text("parent IS NOT NULL")),
    Index("visit_notice", "notice", sqlite_where=text("notice IS NOT NULL")),
    sqlite_with_rowid=False,  # rows stand in the order of their tokens, not in that of the visitors
)

visit_key = Table(
    "visit_key",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("key", LargeBinary(32), nullable=False),
)

# The key of this month's pseudonyms; one row. A key that goes is overwritten, see gateway.pseudonym.
pseudonym_key = Table(
    "pseudonym_key",
    metadata,
    Column("month", Integer, primary_key=True),  # 12 * year + month - 1, of the hall
    Column("key", LargeBinary(32), nullable=False),
)

# What retention has taken away: a gap here is no loss. Of records one line for each unbroken run of one kind.
removal = Table(
    "removal",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),  # see gateway.retention
    Column("device", String(32), nullable=False),  # "" where it was no record
    Column("stream", String(16), nullable=False),
    Column("first", Integer, nullable=False),  # seq of a record; else the row's own number
    Column("last", Integer, nullable=False),
    Column("count", Integer, nullable=False),  # last - first + 1 for whole records
    Column("day", Integer, nullable=False),  # of the hall, on which it was removed
    Index("removal_stream", "device", "stream", "first"),
)

# What operators did, each line hashed onto the one before, see gateway.operator_log. Only ever appended to; the oldest
# leave after years behind a line that says so.
operator_action = Table(
    "operator_action",
    metadata,
    Column("number", Integer, primary_key=True),  # 1, 2, 3, … without a gap
    Column("at_s", Integer, nullable=False),  # hall time, UTC seconds
    Column("actor", String(32), nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String(96), nullable=False),
    Column("details_json", String, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),  # hash of the line before
    Column("hash", LargeBinary(32), nullable=False),
)

# How the operator log has last described a device, a key or the configuration: what differs from it is a new line.
operator_known = Table(
    "operator_known",
    metadata,
    Column("subject", String(96), primary_key=True),
    Column("state_json", String, nullable=False),
)

# Signed statements over runs of records, in a chain (protocol.manifest). One covers the positions above the last one's
# `position` up to its own.
manifest = Table(
    "manifest",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("position", Integer, nullable=False),  # of the last record that it covers
    Column("coarse_s", Integer, nullable=False),  # when it was made, UTC seconds, multiple of 900
    Column("link", LargeBinary(32), nullable=False),  # what the next one carries as `previous`
    Column("register", LargeBinary(32), nullable=False),
    Column("refused_json", String, nullable=False),  # {reason: count} of all refusals up to then
    Column("statement", LargeBinary, nullable=False),  # COSE_Sign1
    Index("manifest_time", "coarse_s"),
)

# Which devices were in force, as the manifests name it by its hash. One row for every change of the registry.
register = Table(
    "register",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("members", LargeBinary, nullable=False),  # SHA-256 of each certificate, ascending, one behind the other
    Column("revocations", LargeBinary, nullable=False),  # DER of the list in force; empty where there is none
)

# Every certificate that a register ever named, DER.
certificate = Table(
    "certificate",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
)

# What is said of a record afterwards, in the order it was said: nothing is changed or taken away, undoing is one more
# row. The newest row stays whatever else is removed, for the next one names its digest.
annotation = Table(
    "annotation",
    metadata,
    Column("number", Integer, primary_key=True),  # contiguous from 1; projections keep a cursor over it
    Column("record", Integer, nullable=False),  # id of the record
    Column("device", String(32), nullable=False),
    Column("stream", String(16), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", Integer, nullable=False),  # protocol.annotation.NOT_ADOPTED, ADOPTED, TIME_ESTIMATE
    Column("made_s", Integer, nullable=False),  # gateway's UTC seconds; of the estimate of a rating floored to 900
    Column("content_json", String, nullable=False),  # see gateway.annotations
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the signed payload
    Column("statement", LargeBinary, nullable=False),  # COSE_Sign1, see protocol.annotation
    Index("annotation_record", "kind", "record"),
)

# When the boots of devices began, as far as that is known: what time estimates are made from. Bounded per device.
boot_clock = Table(
    "boot_clock",
    metadata,
    Column("id", Integer, primary_key=True),  # grows; the lowest of a device is forgotten first
    Column("device", String(32), nullable=False),
    Column("boot", String(16), nullable=False),
    # UTC ms of the beginning: not after `heard_ms`, by the heartbeats of the boot and the gateway's own clock, and from
    # earliest_ms to latest_ms, by the first time that the device itself has signed (`anchor`).
    Column("heard_ms", Integer, nullable=True),
    Column("earliest_ms", Integer, nullable=True),
    Column("latest_ms", Integer, nullable=True),
    Column("anchor_stream", String(16), nullable=True),
    Column("anchor_seq", Integer, nullable=True),
    # Every record of this boot without time up to this id has its estimate.
    Column("done", Integer, nullable=False, default=0),
    UniqueConstraint("device", "boot", name="boot_identity"),
    sqlite_autoincrement=True,
)
