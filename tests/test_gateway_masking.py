"""Masking: what remains readable of a reviewer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.masking import MaskingRule
from protocol import rating

RULE = MaskingRule()


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张**"),
        ("张三丰", "张**"),
        ("欧阳娜娜", "欧**"),
        ("丽", "**"),  # left readable by every platform we have seen
        ("  丽 ", "**"),
        ("John Smith", "J**"),
    ],
)
def test_a_name_keeps_its_first_character_and_hides_its_length(name, masked):
    assert RULE.name(name) == masked


def test_a_hall_may_keep_the_last_character_of_longer_names():
    rule = MaskingRule(name_last=True)
    assert [rule.name(name) for name in ("张三丰", "张三", "丽")] == ["张**丰", "张**", "**"]


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("13812345678", "138****5678"),
        ("138 1234 5678", "138****5678"),
        ("0571-88889999", "057****9999"),
        ("88889999", "****9999"),
        ("12345", "****"),
    ],
)
def test_a_phone_keeps_three_and_four_digits_only_where_four_stay_hidden(phone, masked):
    assert RULE.phone(phone) == masked


@pytest.mark.parametrize(
    ("first", "last", "masked"),
    [(3, 4, "110****851X"), (6, 4, "110101****851X"), (4, 4, "1101****851X"), (0, 0, "****")],
)
def test_an_identity_number_keeps_what_the_hall_has_configured(first, last, masked):
    assert MaskingRule(first, last).id_number("11010119900307851X") == masked


def test_a_short_document_number_is_hidden_more():
    assert [RULE.id_number(number) for number in ("E12345678", "AB12", "123456789012345")] == [
        "****5678",
        "****",
        "123****2345",
    ]


def test_only_what_was_given_is_masked():
    assert RULE.identity({rating.PHONE: "13812345678"}) == {"phone": "138****5678"}
    assert RULE.identity({rating.NAME: "张三", rating.ID_KIND: "111"}) == {"name": "张**", "id_kind": "111"}


def test_a_document_number_in_the_place_of_its_kind_is_hidden():
    assert RULE.identity({rating.ID_KIND: "11010119"}) == {"id_kind": "****"}


@given(st.text(max_size=40), st.integers(0, 6), st.integers(0, 4), st.booleans())
def test_no_rule_ever_shows_a_whole_value(value, first, last, name_last):
    rule = MaskingRule(first, last, name_last)
    characters = "".join(value.split())
    for masked in (rule.name(value), rule.phone(value), rule.id_number(value)):
        assert "**" in masked
        shown = masked.replace("*", "")
        # At least one character stays hidden of a name, four of a number.
        assert len(shown) < len(characters) or not shown or "*" in characters
