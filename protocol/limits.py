"""Every bound of the wire, with its reason. Both sides check them before they decode."""

# One MQTT payload. Bounds what a decoder can be made to do (hash collisions, depth) and what a 64 KiB heap must hold.
MESSAGE_BYTES_MAX = 4096

# Hall and device names stand in topics, certificate names and key ids: no character has a meaning in any of them.
NAME_CHARS_MAX = 32

# Plaintext sizes, padding included (see padding.py). A rating without identity and comment fits the first one, one with
# identity the second, whatever its level and however many tags a bad level brings, so that the length on the wire tells
# nothing about the level. The longest rating has 323 bytes, or 453 with identity: device name 8 characters, hall 12,
# window 4, staff 8, visit 20, eight tags, months of uptime; Chinese name of 8. Four bytes of the first are to spare, of
# the second enough for a name of 30. On the wire 404 and 636 (budget 420 and 640), and a journal of 10,000 fits 4 MiB.
BUCKETS_BYTES = (328, 560, 1024, 2048, 3840)

# CBOR nesting. The deepest thing we send is command -> claims -> roster -> row: 4.
CBOR_DEPTH_MAX = 8

# Entries of one CBOR array or map. A roster of one clock is the longest list: 120 rows fill a message.
CBOR_ITEMS_MAX = 256

STREAM_BYTES = 8  # random: two streams of one device must not meet in its lifetime
PREV_BYTES = 16  # 128 bits of SHA-256: second preimages stay out of reach
BOOT_BYTES = 8
DIGEST_BYTES = 32
SALT_BYTES = 16  # security reference, threat 13: an identity has few bits, the salt makes guessing useless
IV_BYTES = 13  # AES-CCM-16: RFC 9053 4.2
TAG_BYTES = 16
NONCE_BYTES = 12  # PartyU nonce of one key derivation: drawn once per boot, 96 random bits never meet
KEY_BYTES = 32
PUBLIC_KEY_BYTES = 65  # SEC1 uncompressed point
SIGNATURE_BYTES = 64  # raw r || s (RFC 9053 2.1)
TIME_NONCE_BYTES = 8

# Records of one stream: 32 bits last 270,000 years at 500 records a day.
SEQ_MAX = 0xFFFFFFFF

# Coarse time in clear: a quarter of an hour at one window holds several visitors.
COARSE_S = 900

# Ranges of missing numbers in one receipt; more than this and the device simply sends everything above `through` again.
HOLES_MAX = 16

# Latest instant that a 40-bit millisecond clock of ours must carry: year 2106 in seconds.
UTC_S_MAX = 0xFFFFFFFF
UPTIME_MS_MAX = 0xFFFFFFFFFFFF

DISCLOSURES_MAX = 8
