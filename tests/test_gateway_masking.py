"""Masking: what remains readable of a reviewer, field by field, however the field was typed."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway import identity_forms
from gateway.identity_forms import LANDLINE, MOBILE, OTHER, Document, Phone
from gateway.masking import HIDDEN_CHARACTERS_MIN, MaskingRule
from protocol import rating

RULE = MaskingRule()
ZERO_WIDTH = "\u200b"

NAMES = [
    ("张三", "张**"),
    ("张三丰", "张**"),
    ("欧阳娜娜", "欧**"),  # compound surnames: one character tells less than two
    ("司马光", "司**"),
    ("司马", "司**"),
    ("诸葛", "诸**"),
    ("丽", "*"),  # left readable by every platform we have seen
    ("  丽 ", "*"),
    (f"丽{ZERO_WIDTH}", "*"),
    ("丽\U000e0100", "*"),  # with a variation selector
    ("阿依古丽·买买提", "阿**"),
    ("阿依古丽•买买提", "阿**"),
    ("阿 · 买", "阿**"),
    ("·阿依古丽", "阿**"),
    ("John Smith", "J**"),
    ("Anne-Marie", "A**"),
    ("O'Neil", "O**"),
    ("J.", "*"),
    ("J", "*"),
    ("E\u0301", "*"),  # one letter, two code points
    ("E\u0301mile Zola", "É**"),
    ("김철수", "김**"),
    ("Ｊｏｈｎ", "J**"),  # full width
    ("\ue000小明", "\ue000**"),  # a rare surname out of the hall's own font
    ("😀", "**"),
    ("😀张三", "**"),
    ("👨\u200d👩\u200d👧", "**"),
    ("13812345678", "**"),  # a phone in the field of the name
    ("110101199003078515", "**"),
    ("", "*"),
    ("   ", "*"),
]


@pytest.mark.parametrize(("name", "masked"), NAMES)
def test_a_name_keeps_its_first_letter_and_hides_its_length(name, masked):
    assert RULE.name(name) == masked


def test_a_hall_may_keep_the_last_letter_of_longer_names_or_none_at_all():
    rule = MaskingRule(name_last=True)
    names = ("张三丰", "张三", "丽", "John Smith", "阿依古丽·买买提")
    assert [rule.name(name) for name in names] == ["张**丰", "张**", "*", "J**h", "阿**提"]
    rule = MaskingRule(name_first=False)
    assert [rule.name(name) for name in names] == ["**", "**", "*", "**", "**"]


PHONES = [
    ("13812345678", "138****5678"),
    ("138 1234 5678", "138****5678"),
    ("138-1234-5678", "138****5678"),
    ("+86 13812345678", "138****5678"),
    ("+86-138-1234-5678", "138****5678"),
    ("008613812345678", "138****5678"),
    ("8613812345678", "138****5678"),
    ("１３８１２３４５６７８", "138****5678"),  # full width
    (f"138{ZERO_WIDTH}12345678", "138****5678"),
    ("010-12345678", "****5678"),  # a landline: the area is hidden as well
    ("（010）12345678", "****5678"),
    ("010-12345678-801", "****5678"),
    ("010-12345678转801", "****5678"),
    ("010-12345678 ext. 801", "****5678"),
    ("0571-88889999", "****9999"),
    ("0379-1234567", "****"),  # seven digits: four shown would leave three hidden
    ("0379-1234567-12", "****"),
    ("88889999", "****9999"),
    ("+852 9123 4567", "****4567"),
    ("+1 (415) 555-1234", "****1234"),
    ("12345", "****"),
    ("1", "****"),
    ("", "****"),
    ("  ", "****"),
    ("张三丰", "****"),
    ("1381234567八", "****"),
    ("110101199003078515", "****"),  # longer than any phone: an identity number in the wrong field
]


@pytest.mark.parametrize(("phone", "masked"), PHONES)
def test_a_phone_keeps_its_ends_only_where_four_digits_stay_hidden(phone, masked):
    assert RULE.phone(phone) == masked


def test_a_hall_may_keep_less_of_a_phone():
    assert MaskingRule(phone_first=0, phone_last=2).phone("13812345678") == "****78"
    assert MaskingRule(phone_first=0, phone_last=0).phone("13812345678") == "****"


@pytest.mark.parametrize(
    ("first", "last", "masked"),
    [(3, 4, "110****851X"), (6, 4, "110101****851X"), (4, 4, "1101****851X"), (0, 0, "****")],
)
def test_an_identity_number_keeps_what_the_hall_has_configured(first, last, masked):
    assert MaskingRule(first, last).id_number("11010119900307851X") == masked


DOCUMENTS = [
    ("11010119900307851x", "110****851X"),
    ("110101 19900307 851X", "110****851X"),
    ("１１０１０１１９９００３０７８５１Ｘ", "110****851X"),
    ("123456789012345", "123****2345"),  # resident numbers of before 1999
    ("E12345678", "****5678"),  # passports
    ("EA1234567", "****4567"),
    ("e12345678", "****5678"),
    ("H12345678", "****5678"),  # Hong Kong and Macao permits, and the two digits that count renewals
    ("H1234567801", "****5678"),
    ("M1234567802", "****5678"),
    ("12345678", "****5678"),  # Taiwan permits
    ("1234567890(A)", "****890A"),
    ("0012345678901", "****8901"),
    ("AB12", "****"),
    ("1234567", "****"),
    ("1", "****"),
    ("", "****"),
    (" ", "****"),
    ("张三丰", "****"),
    ("京A12345", "****"),
    ("12345678😀", "****"),
]


@pytest.mark.parametrize(("number", "masked"), DOCUMENTS)
def test_a_document_number_hides_at_least_four_characters(number, masked):
    assert RULE.id_number(number) == masked


def test_a_hall_may_keep_less_of_a_document():
    assert MaskingRule(document_last=0).id_number("E12345678") == "****"
    assert MaskingRule(document_last=0).id_number("11010119900307851X") == "110****851X"


def test_only_what_was_given_is_masked():
    assert RULE.identity({rating.PHONE: "13812345678"}) == {"phone": "138****5678"}
    assert RULE.identity({rating.NAME: "张三", rating.ID_KIND: "111"}) == {"name": "张**", "id_kind": "111"}


@pytest.mark.parametrize("kind", ["11010119", "李四", "Li", "身", "1381"])
def test_a_name_or_number_in_the_place_of_the_document_kind_is_hidden(kind):
    assert RULE.identity({rating.ID_KIND: kind}) == {"id_kind": "****"}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("+86 10 1234 5678", Phone(LANDLINE, "010", "12345678", "")),
        ("010-1234-5678", Phone(LANDLINE, "010", "12345678", "")),
        ("0379-12345678-1234", Phone(LANDLINE, "0379", "12345678", "1234")),
        ("0379-12345678#12", Phone(LANDLINE, "0379", "12345678", "12")),
        ("138 1234 5678", Phone(MOBILE, "", "13812345678", "")),
        ("0044 20 7946 0958", Phone(OTHER, "", "442079460958", "")),
        ("+", None),
        ("x801", None),
    ],
)
def test_a_phone_is_the_same_however_it_is_typed(typed, read):
    assert identity_forms.phone(typed) == read


def test_a_permit_is_the_same_after_its_renewal():
    document = Document("H12345678", resident=False)
    assert identity_forms.document("h1234567801") == identity_forms.document("H12345678") == document


# What people type: letters of many scripts, digits of several, marks, invisible characters, emoji.
_TYPED = st.text(
    st.one_of(
        st.sampled_from("张欧阳司马丽·•- +()xX转#0123456789０１２٣ABHMé"),
        st.sampled_from("\u0301\u200b\u200d😀👨\U000e0100\ue000ﷺﬁ\u3000\t"),
        st.characters(),
    ),
    max_size=40,
)


# Two letters, the second of a hall's own font (private use): the first may be shown, as of any name.
@example("张\ue000", 0, 0, False, 0, 0)
@given(_TYPED, st.integers(0, 6), st.integers(0, 4), st.booleans(), st.integers(0, 3), st.integers(0, 4))
def test_no_rule_shows_the_whole_value_nor_more_than_is_configured(value, first, last, name_last, phone_first, kept):
    rule = MaskingRule(first, last, name_last, True, phone_first, kept, kept)
    plain = unicodedata.normalize("NFKC", value)
    for masked, shown_max in (
        (rule.name(value), 1 + name_last),
        (rule.phone(value), phone_first + kept),
        (rule.id_number(value), max(first + last, kept)),
    ):
        shown = masked.replace("*", "")
        assert "*" in masked
        assert len(shown) <= shown_max
        seen = "".join(
            one for one in plain if unicodedata.category(one)[0] in "LNS" or unicodedata.category(one) == "Co"
        )
        assert not seen or "*" in seen or seen not in masked, "the whole value can be read"


@given(st.from_regex("[0-9A-Z]{1,20}", fullmatch=True))
def test_what_is_shown_of_a_number_leaves_four_characters_to_guess(number):
    for masked in (RULE.id_number(number), RULE.phone(number)):
        shown = masked.replace("*", "")
        assert not shown or len(number) - len(shown) >= HIDDEN_CHARACTERS_MIN
