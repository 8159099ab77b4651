"""Rules about messages: is it one of ours, whole, from a device that may speak, and is it new."""

from gateway.facts import Addressed, OriginFacts, SenderFacts
from gateway.registry import KINDS, PENDING, REVOKED
from gateway.rule import ACCEPT, EVIDENCE, FLAG, QUARANTINE, Checked, Rule


def _of_another_hall(facts: Addressed) -> bool:
    return facts.stated_hall != facts.hall


def _unknown(facts: SenderFacts) -> bool:
    return facts.device is None


def _pending(facts: SenderFacts) -> bool:
    return facts.device is not None and facts.device.status == PENDING


def _revoked(facts: SenderFacts) -> bool:
    return facts.device is not None and facts.device.status == REVOKED


def _of_another_device(facts: OriginFacts) -> bool:
    return facts.stated_device != facts.device.name


def _of_another_kind(facts: OriginFacts) -> bool:
    return facts.kind not in KINDS[facts.device.kind]


# Found by the wire, `protocol`, which says with which of these words it refuses; and by the intake itself.
WIRE = (
    Rule("size", QUARANTINE, "empty, or longer than a message may be", "报文为空或超长"),
    Rule("topic", QUARANTINE, "not on a topic where devices send", "不在设备的上行主题上"),
    Rule("encoding", QUARANTINE, "not deterministic CBOR within the bounds of the wire", "编码不合规"),
    Rule("structure", QUARANTINE, "not the COSE structure of a record", "结构不合规"),
    Rule("algorithm", QUARANTINE, "names another algorithm, or an unknown header", "算法或报文头不符"),
    Rule("type", QUARANTINE, "a message of another type", "报文类型不符"),
    Rule("key", QUARANTINE, "made for another key epoch of this gateway", "所用网关密钥已更换"),
    Rule("decrypt", QUARANTINE, "forged, damaged, or sealed for another topic", "无法解密：伪造、损坏或发往别处"),
    Rule("padding", QUARANTINE, "not padded as the wire demands", "填充不合规"),
    Rule("signature", QUARANTINE, "the signature is not the device's", "签名不是该设备的"),
    Rule("schema", QUARANTINE, "a field is missing, unknown or out of bounds", "字段缺失、未知或越界"),
    Rule("disclosure", QUARANTINE, "a disclosure that nobody signed", "披露内容没有签名"),
    Rule(
        "retained",
        QUARANTINE,
        "a stored copy from the broker: devices never retain, so nobody knows how old it is",
        "消息服务器的留存副本，新旧不明",
    ),
    Rule("replayed", QUARANTINE, "a heartbeat older than one that was seen", "重放的旧心跳"),
    Rule("internal", QUARANTINE, "our fault: the intake failed on this message", "网关自身故障，报文已保留"),
)

# Of the topic at first, of the payload again.
HALL: Checked[Addressed] = Checked(
    "hall", QUARANTINE, "made for another hall", "属于另一个大厅", check=_of_another_hall
)

SENDER: tuple[Checked[SenderFacts], ...] = (
    HALL,
    Checked("unknown", QUARANTINE, "the registry has no such device", "设备未登记", check=_unknown),
    Checked("pending", QUARANTINE, "the device is enrolled but not approved yet", "设备尚未批准启用", check=_pending),
    Checked("revoked", QUARANTINE, "the device is revoked", "设备已吊销", check=_revoked),
)

ORIGIN: tuple[Checked[OriginFacts], ...] = (
    Checked(
        "address",
        QUARANTINE,
        "topic, key id and issuer do not name the same device",
        "主题、密钥号与签发设备不一致",
        check=_of_another_device,
    ),
    HALL,
    Checked(
        "kind",
        QUARANTINE,
        "a kind of record that this kind of device does not make",
        "该类设备不会产生这种记录",
        check=_of_another_kind,
    ),
)

# Found by the admission, which knows what the ledger holds; the last one by the re-admission.
LEDGER = (
    Rule(
        "duplicate",
        ACCEPT,
        "the ledger holds the same payload already: receipted again, not counted again",
        "重复送达：再次回执，不重复计数",
    ),
    Rule(
        "equivocation",
        EVIDENCE,
        "another payload under a number that the ledger holds: the device contradicts itself, both are kept",
        "同一序号两个不同记录：自相矛盾，两份都留存为证据",
    ),
    Rule(
        "readmitted",
        FLAG,
        "refused when it came, stored from quarantine later; its receive time is the first one",
        "先前被拒收，后从隔离区收回；接收时间仍是第一次到达的时间",
    ),
)
