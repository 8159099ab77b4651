"""Writes the golden vectors of this folder and section 10 of WIRE.md anew: `python tests/vectors/generate.py`.

They change only with the wire, which is a new profile then. Everything comes from fixed keys and seeded randomness
(golden_messages.py and golden_keys.py beside this folder), so a second run writes the same bytes.
"""

import json
import sys
import textwrap
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parent.parent)]

import golden_keys  # noqa: E402
import golden_messages  # noqa: E402
from suites import host_suite  # noqa: E402

from protocol import cbor  # noqa: E402

NOTE = "Made by tests/vectors/generate.py from fixed keys and seeded randomness. The keys are known: never use them."


def notation(value: object) -> str:
    """CBOR diagnostic notation (RFC 8949 section 8) of a value of the wire."""
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    if isinstance(value, list):
        return "[" + ", ".join(notation(item) for item in value) + "]"
    if isinstance(value, dict):
        # In the order of the encoding: 0 to 23, then -1 to -24.
        ordered = sorted(value.items(), key=lambda pair: pair[0] if pair[0] >= 0 else 100 - pair[0])
        return "{" + ", ".join(f"{key}: {notation(item)}" for key, item in ordered) + "}"
    return json.dumps(value, ensure_ascii=False)


def message_file(name: str) -> dict[str, object]:
    """What NAME.json holds."""
    values = golden_messages.make(name, host_suite)
    plain = values["payload"] if "payload" in values else values["content"]
    return {"note": NOTE, **values, "notation": notation(cbor.decode(bytes.fromhex(plain)))}


def files() -> dict[str, str]:
    """{file name: text} of the whole folder."""
    suite = host_suite()
    content: dict[str, object] = {f"{name}.json": message_file(name) for name in golden_messages.NAMES}
    content["keys.json"] = {"note": NOTE, **golden_messages.keys(suite)}
    content["suite.json"] = {
        "note": "What golden_keys.row() makes of each key, by the package `cryptography`.",
        "rows": [" ".join(golden_keys.row(suite, index)) for index in range(golden_keys.KEYS)],
    }
    texts = {name: json.dumps(value, ensure_ascii=False, indent=1) + "\n" for name, value in content.items()}
    # Alone and without its steps: a device opens it in a heap that has no room for them.
    return texts | {"command-roster-of-60.hex": golden_messages.big_roster(host_suite).hex() + "\n"}


# What section 10 shows of a message, in the order of its making.
_SHOWN = {
    "rating-walk-up": ("disclosures", "digests", "notation", "payload"),
    "punch": (
        "notation", "payload", "sign1_protected", "signature_input", "signature", "content", "shared_secret", "nonce",
        "kdf_context", "key", "encrypt0_protected", "aad", "iv", "message",
    ),
    "receipt": ("notation", "content", "nonce", "kdf_context", "key", "encrypt0_protected", "aad", "iv", "message"),
}  # fmt: skip
_INTRODUCTIONS = {
    "rating-walk-up": "A press without a visit: of its occasion the exact time is known. The payload holds the digest.",
    "punch": "A whole message up, step by step: `content` is the COSE_Sign1, padded to 328 bytes.",
    "receipt": "A message down: `content` is the receipt itself.",
}
SECTION = "## 10. Worked bytes\n"


def _shown(values: dict[str, object]) -> str:
    """A block of `name  value` lines, hex and notation wrapped."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            value = " ".join(f"{key}: {item}" for key, item in value.items())
        text = " ".join(value) if isinstance(value, list) else str(value)
        lines += textwrap.wrap(
            text, 96, initial_indent=f"{name:<26}", subsequent_indent=" " * 26, break_on_hyphens=False
        )
    return "```\n" + "\n".join(lines) + "\n```\n"


def worked_bytes() -> str:
    """Section 10 of WIRE.md."""
    keys = golden_messages.keys(host_suite())
    parts = [
        SECTION,
        "From fixed keys and fixed randomness; `tests/vectors/` holds these and every other message, all intermediate",
        "values included, and `tests/vectors/generate.py` makes them. Line breaks inside a value are not part of it.\n",
        "The keys. They are known to everyone: never use them.\n",
        _shown(keys),
    ]
    for name, shown in _SHOWN.items():
        values = message_file(name)
        parts += [f"### `{name}`", _INTRODUCTIONS[name] + "\n", _shown({key: values[key] for key in shown})]
    return "\n".join(parts)


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(name)
    wire = FOLDER.parent.parent / "protocol" / "WIRE.md"
    wire.write_text(wire.read_text("utf-8").split(SECTION)[0] + worked_bytes(), "utf-8")
    print(wire.name)
