"""Names and topics. Runs on CPython and on MicroPython."""

from refusing import is_our_fault, refusal_of

from protocol import topic

GOOD = ("a", "e-001", "0", "-", "a" * 32, "yongxing-2")
BAD = ("", "a" * 33, "A", "a_b", "a.b", "a b", "a/b", "+", "#", "$sys", "张", "é", "a\x00", "a\n", "ａ", "²")


def test_names_are_short_and_plain():
    for name in GOOD:
        assert topic.is_name(name), name
    for name in BAD + (None, 1, b"e-001", ["a"], True):
        assert not topic.is_name(name), name


def test_topics_are_those_of_the_specification():
    assert topic.up("yongxing", "e-001") == "hallseal/1/yongxing/e-001/up"
    assert topic.down("yongxing", "e-001") == "hallseal/1/yongxing/e-001/down"
    assert topic.all_up("yongxing") == "hallseal/1/yongxing/+/up"


def test_a_topic_gives_its_parts():
    for hall in GOOD:
        for device in GOOD:
            assert topic.parse(topic.up(hall, device)) == (hall, device, "up")
            assert topic.parse(topic.down(hall, device)) == (hall, device, "down")


def test_no_topic_is_made_of_what_is_no_name():
    for name in BAD:
        for make in (topic.up, topic.down):
            assert is_our_fault(make, name, "e-001") and is_our_fault(make, "yongxing", name), name
        assert is_our_fault(topic.all_up, name), name


def test_other_topics_are_refused():
    wrong = (
        "",
        "/",
        "hallseal/1/yongxing/e-001",
        "hallseal/1/yongxing/e-001/",
        "hallseal/1/yongxing/e-001/up/",
        "hallseal/1/yongxing/e-001/up/more",
        "/hallseal/1/yongxing/e-001/up",
        "hallseal/2/yongxing/e-001/up",
        "hallseal/01/yongxing/e-001/up",
        "Hallseal/1/yongxing/e-001/up",
        "hallseal/1/yongxing/e-001/UP",
        "hallseal/1/yongxing/e-001/sideways",
        "hallseal/1//e-001/up",
        "hallseal/1/yongxing//up",
        "hallseal/1/yongxing/+/up",
        "hallseal/1/+/e-001/up",
        "hallseal/1/yongxing/#",
        "$SYS/broker/uptime",
        "hallseal/1/yong xing/e-001/up",
        "hallseal/1/yongxing/e-001/up\x00",
        "hallseal/1/yongxing/e-001\n/up",
    )
    for text in wrong:
        assert refusal_of(topic.parse, text) == "topic", text
    for name in BAD:
        assert refusal_of(topic.parse, "hallseal/1/yongxing/" + name + "/up") == "topic", name
        assert refusal_of(topic.parse, "hallseal/1/" + name + "/e-001/up") == "topic", name
