"""What a visit is about: items and departments against the hall's library, and what may stand with a rating."""

import json
from pathlib import Path

import pytest
from sealing_device import MORNING_S
from web_hall import WebHall

from gateway import cli, credit_code, item_library, matter, rules
from gateway.applicant_words import ApplicantWords
from gateway.forwarder import entry
from gateway.item_library import ItemFile
from gateway.matter import Context, Item, LibraryItem, Matter
from gateway.registry import CHECK_INTERVAL_S, RegistryError
from gateway.timeseries import point_of
from protocol import command

# Published codes: their check characters are not ours.
CREDIT_CODES = ["91110000600037341L", "91350100M000100Y43"]
CREDIT = CREDIT_CODES[1]
CODE, HANDLING = CREDIT + "4330117001001", CREDIT + "433011700100101"
KNOWN = Item(CODE, "食品经营许可", "SP01", "市场监督管理局", CREDIT)
LIBRARY = {
    CODE: LibraryItem(KNOWN, True),
    HANDLING: LibraryItem(Item(HANDLING, "食品经营许可（新办）"), True),
    "9" * 31: LibraryItem(Item("9" * 31, "旧事项"), False),
}
EXAMPLE = Path(__file__).resolve().parent.parent / "simulator" / "example_items.csv"
HEADER = "事项编码,事项名称,部门编码,受理部门名称,统一社会信用代码,是否在用"
ROW = f"{CODE},食品经营许可,SP01,市场监督管理局,{CREDIT},是"


@pytest.mark.parametrize("code", CREDIT_CODES)
def test_a_published_credit_code_is_valid_and_no_other_end_is(code):
    assert [end for end in credit_code.ALPHABET if credit_code.is_valid(code[:-1] + end)] == [code[-1]]


@pytest.mark.parametrize("code", ["", CREDIT[:-1], CREDIT + "0", CREDIT.lower(), "I" * 18, "１" * 18])
def test_what_has_not_the_form_of_a_credit_code_is_none(code):
    assert not credit_code.is_valid(code)


def test_two_characters_of_a_credit_code_that_changed_places_are_found():
    found = [at for at in range(17) if CREDIT[at] != CREDIT[at + 1]]
    for at in found:
        swapped = CREDIT[:at] + CREDIT[at + 1] + CREDIT[at] + CREDIT[at + 2 :]
        assert not credit_code.is_valid(swapped)


@pytest.mark.parametrize(
    ("said", "flags", "kept"),
    [
        (Item(), [], Item()),
        (Item(CODE), [], KNOWN),
        (Item(CODE.lower()), [], KNOWN),
        (KNOWN, [], KNOWN),
        (Item(HANDLING, department_name="不管谁"), [], LIBRARY[HANDLING].item),
        (Item(CODE, "别的名称"), ["item_differs"], KNOWN),
        (Item(CODE, department_code="SP02"), ["department_differs"], KNOWN),
        (Item(CODE, department_name="别的局"), ["department_differs"], KNOWN),
        (Item(CODE, credit_code=CREDIT_CODES[0]), ["department_differs"], KNOWN),
        (Item(CODE, credit_code=CREDIT[:-1] + "0"), ["credit_code"], KNOWN),
        (Item("9" * 31), ["item_inactive"], LIBRARY["9" * 31].item),
        (Item("8" * 31, "新事项"), ["item_unknown"], Item("8" * 31, "新事项")),
        (Item("8" * 33), ["item_unknown"], Item("8" * 33)),
        (Item("1" * 32, "新事项"), ["item_code"], Item(name="新事项")),
        (Item("110101199003078514"), ["item_code"], Item()),  # an identity number in the wrong field is not kept
        (Item(name="代13987654321办"), ["item_words"], Item()),
        (Item(name="欧阳娜娜的证"), ["item_words"], Item()),
        (Item(department_code="110101199003078515"), ["item_words"], Item()),
        (Item("110101199003078515"), ["item_words"], Item()),
    ],
)
def test_what_does_not_fit_is_flagged_and_never_refused(said, flags, kept):
    applicant = {"name": "欧阳娜娜", "phone": "13987654321", "id_number": "110101199003078515"}
    assert matter.compare(said, LIBRARY, ApplicantWords("17", applicant)) == (kept, flags)
    assert all(rules.RULES[flag].effect == rules.FLAG for flag in flags)


def test_without_a_library_only_forms_are_checked():
    said = Item("8" * 31, "新事项", "D1", "某局", CREDIT)
    assert matter.compare(said, None) == (said, [])
    assert matter.compare(Item("8" * 30, credit_code="X"), None) == (Item(), ["credit_code", "item_code"])


# Identity number that passes for a credit code, as one in 31 does.
NUMBER = next(one for n in range(1000) if credit_code.is_valid(one := f"11010119900307{n:03}X"))
FORMS = [
    ("李娜", ["李娜", "李 娜", "李·娜", "李\u200b娜", "李\u3000娜的证"]),
    ("阿依古丽·买买提", ["阿依古丽买买提", "阿依古丽-买买提"]),
    ("Li Na", ["Li Na", "LI NA", "ＬＩ　ＮＡ", "lina", "执照 Li-Na", "Lí Nà"]),
    ("Bo E", ["bo e"]),
    ("１３８００１３８０００", ["13800138000", "代138-0013-8000办", "１３８ ００１３ ８０００", "+86 138.0013.8000"]),
    ("+86 138 0013 8000", ["13800138000"]),
    ("010-12345678转801", ["12345678"]),
    (NUMBER, [NUMBER, NUMBER.lower(), f"{NUMBER[:6]} {NUMBER[6:14]} {NUMBER[14:]}", f"证{NUMBER}"]),
    ("H1234567801", ["h12345678"]),
    ("BJ-2026-17", ["bj-2026-17", "BJ202617", "SP/BJ/2026/17", "ＢＪ－２０２６－１７"]),
]


def words_of(said):
    """ApplicantWords of somebody of whom this one word is known."""
    if said.startswith("BJ"):
        return ApplicantWords(said)
    key = "name" if said[0] in "李阿LB" else "id_number" if said in (NUMBER, "H1234567801") else "phone"
    return ApplicantWords("17", {key: said, "id_kind": "111"})


@pytest.mark.parametrize(("said", "form"), [(said, form) for said, forms in FORMS for form in forms])
def test_no_form_of_the_applicants_words_is_kept_in_any_field(said, form):
    unsaid = words_of(said)
    for field in ("code", "name", "department_code", "department_name", "credit_code"):
        item, flags = matter.compare(Item(**{field: form}), None, unsaid)
        assert (item, flags) == (Item(), ["item_words"]), field
    about = Matter("batch", Item(), None, (Item(),))
    assert matter.whole(about, form, None, unsaid) == Context({"kind": "batch", "parts": [{}]}, ("item_words",))
    assert matter.part(about, 1, form, None, unsaid) == Context({"kind": "batch", "part": 1}, ("item_words",))


@pytest.mark.parametrize(
    ("unsaid", "kept"),
    [
        (ApplicantWords("17", {"name": "李", "phone": "1380", "id_kind": "11999"}), "李17局1380的11999"),
        (ApplicantWords("A-1-2", {"name": "E B"}), "A12EB"),
        (ApplicantWords("---", {"name": "…", "phone": "转"}), "--- … 转"),
        (ApplicantWords(), "欧阳娜娜"),
    ],
)
def test_what_is_too_short_to_tell_anybody_takes_no_word_away(unsaid, kept):
    assert matter.compare(Item(name=kept), None, unsaid) == (Item(name=kept), [])


def test_a_code_of_the_library_stays_whatever_the_visit_is_called():
    unsaid = ApplicantWords(CODE[-8:])
    assert matter.compare(Item(CODE), LIBRARY, unsaid) == (KNOWN, [])
    assert matter.compare(Item("1" + CODE[1:]), LIBRARY, unsaid) == (Item(), ["item_words"])


def test_the_context_of_a_visit_names_nobody():
    about = Matter("joint", KNOWN, "enterprise", (Item(HANDLING), Item("7" * 31, "欧阳娜娜")))
    context = matter.whole(about, "S001", LIBRARY, ApplicantWords("17", {"name": "欧阳娜娜"}))
    assert context.words == {
        "kind": "joint",
        "item_code": CODE,
        "item_name": "食品经营许可",
        "department_code": "SP01",
        "department_name": "市场监督管理局",
        "credit_code": CREDIT,
        "staff": "S001",
        "applicant_kind": "enterprise",
        "parts": [{"item_code": HANDLING, "item_name": "食品经营许可（新办）"}, {"item_code": "7" * 31}],
    }
    assert context.flags == ("item_words", "item_unknown")


# The library's file.


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_spreadsheets_export_is_read(mark, end):
    text = mark + end.join((HEADER, ROW, "", f"{HANDLING},食品经营许可（新办）,,,,停用", ""))
    found = item_library.parse(text)
    assert found == {CODE: LIBRARY[CODE], HANDLING: LibraryItem(LIBRARY[HANDLING].item, False)}


def test_columns_may_stand_in_any_order_in_english_and_beside_others():
    text = f'remark,item_name,item_code\n"a, b",食品经营许可,{CODE}\n'
    assert item_library.parse(text) == {CODE: LibraryItem(Item(CODE, "食品经营许可"), True)}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: has no column item_code (事项编码)"),
        ("事项编码\n", "line 1: has no column item_name (事项名称)"),
        (f"{HEADER}\n{CODE},x\n", "line 2: has 2 fields where the first line has 6"),
        (f"{HEADER}\n{CODE[:-1]},x,,,,\n", "line 2: item_code must be 31 characters"),
        (f"{HEADER}\n{ROW}\n{ROW}\n", "line 3: item_code stands in an earlier line, too"),
        (f"{HEADER}\n{CODE},,,,,\n", "line 2: item_name is missing"),
        (f"{HEADER}\n{CODE},{'名' * 201},,,,\n", "line 2: item_name has more than 200 characters"),
        (f"{HEADER}\n{CODE},x,,,{CREDIT[:-1]}0,\n", "line 2: credit_code is not 18 characters with the right check"),
        (f"{HEADER}\n{CODE},x,,,,也许\n", "line 2: active must be yes or no"),
        (f'{HEADER}\n{CODE},"x,,,,\n', "is not CSV"),
    ],
)
def test_what_is_wrong_with_a_library_is_told_by_line(text, complaint):
    with pytest.raises(RegistryError) as refused:
        item_library.parse(text)
    assert complaint in str(refused.value)


def test_complaints_and_items_are_bounded(monkeypatch):
    with pytest.raises(RegistryError) as refused:
        item_library.parse(HEADER + "\n" + "x,y,,,,\n" * 500)
    assert str(refused.value).count("line ") == item_library.COMPLAINTS_MAX
    monkeypatch.setattr(item_library, "ITEMS_MAX", 1)
    with pytest.raises(RegistryError, match="more than 1 items"):
        item_library.parse(f"{HEADER}\n{ROW}\n{HANDLING},x,,,,\n")


def test_a_library_may_appear_later_and_a_spoilt_one_leaves_the_last_good_one_in_force(tmp_path):
    path, now_s = tmp_path / "items.csv", 0.0
    file = ItemFile(path)
    assert (file.current(), file.healthy) == (None, True)
    for text, count, healthy in (
        ("nothing", None, False),
        (f"{HEADER}\n{ROW}\n", 1, True),
        (f"{HEADER}\nx\n", 1, False),
        (f"{HEADER}\n{ROW}\n{HANDLING},x,,,,\n", 2, True),
    ):
        path.write_text(text, "utf-8")
        now_s += CHECK_INTERVAL_S
        file.refresh(now_s)
        assert (file.current() and len(file.current()), file.healthy) == (count, healthy), text
    assert ItemFile(None).current() is None


def test_an_item_library_is_taken_into_use_whole_or_not_at_all(hall_dir, tmp_path, capsys):
    toml, wrong = hall_dir / "gateway" / "gateway.toml", tmp_path / "wrong.csv"
    config = ["--config", str(toml)]
    assert cli.main(["items", "import", str(EXAMPLE), *config]) == 0
    assert "items in use: 12 of 13" in capsys.readouterr().out
    wrong.write_bytes(EXAMPLE.read_bytes() + b"123,x,,,,\n")
    assert cli.main(["items", "import", str(wrong), *config]) == 2
    assert f"{wrong}: line 15: item_code must be 31 characters" in capsys.readouterr().err
    wrong.write_bytes(EXAMPLE.read_text("utf-8").encode("gbk"))
    assert cli.main(["items", "import", str(wrong), *config]) == 2
    assert "save it as CSV UTF-8" in capsys.readouterr().err
    assert cli.main(["items", "import", str(tmp_path / "none.csv"), *config]) == 2
    assert "none.csv: cannot be read" in capsys.readouterr().err
    assert (toml.parent / "items.csv").read_bytes() == EXAMPLE.read_bytes()
    assert cli.main(["check", *config]) == 0
    assert "item library with 13 items" in capsys.readouterr().out
    toml.write_text(toml.read_text().replace('items = "items.csv"', ""))
    assert cli.main(["items", "import", str(EXAMPLE), *config]) == 2
    assert "[visits] items: is missing; add" in capsys.readouterr().err


# Through the API, to every store.


@pytest.fixture
def hall(tmp_path):
    made = WebHall(tmp_path, [("e-001", "evaluator")], started=True, library=LIBRARY)
    made.take(made.devices["e-001"].opened())
    yield made
    made.stop()


BODY = {
    "window": "01",
    "visit": "BJ-2026-17",
    "staff": "S001",
    "item_code": CODE,
    "item_name": "食品经营许可",
    "department": {"code": "SP01", "name": "市场监督管理局", "credit_code": CREDIT},
    "applicant": {"name": "欧阳娜娜", "phone": "13987654321", "kind": "enterprise"},
    "kind": "single",
}


def post(hall, **more):
    with hall.business() as client:
        return client.post("/api/v1/visits", json={**BODY, **more})


def test_what_a_visit_is_about_stands_with_its_rating_in_every_store(hall):
    answer = post(hall)
    assert (answer.status_code, set(answer.json())) == (200, {"visit", "window", "state", "id"})
    hall.take(hall.devices["e-001"].rating(2, at_s=MORNING_S, visit="BJ-2026-17", comment="慢"))
    newest = hall.records()[-1]
    words = matter.whole(Matter(item=KNOWN, applicant_kind="enterprise"), "S001", None).words
    assert newest.visit == words
    assert newest.flags == []
    assert entry(newest)["visit"] == words
    point = point_of(newest)
    assert (point.visit_kind, point.applicant_kind, point.department) == ("single", "enterprise", "SP01")
    hall.project()
    assert hall.timeseries._rows("SELECT department FROM point WHERE kind = 1") == [("SP01",)]
    with hall.client() as client:
        assert CODE not in client.get("/api/v1/live").text  # who stands at a window is seen; what they rated is not


def test_a_clerks_number_that_is_the_applicants_reaches_neither_device_nor_ledger(hall):
    answer = post(hall, staff="139-8765-4321", applicant={"phone": "13987654321"})
    assert (answer.status_code, answer.json()["flags"]) == (200, ["item_words"])
    assert post(hall, staff="139-8765-4321", applicant={"phone": "13987654321"}).status_code == 200  # the same again
    assert post(hall, applicant={"phone": "13987654321"}).json() == {"error": "visit_differs"}
    (asked,) = [one for kind, one in hall.down(hall.devices["e-001"], 2) if kind == "command"]
    assert command.STAFF not in asked.claims
    hall.take(hall.devices["e-001"].rating(2, visit="BJ-2026-17"))
    assert "staff" not in hall.records()[-1].visit


def test_a_mismatch_is_told_to_the_developer_and_flagged_on_the_rating(hall):
    answer = post(hall, item_name="别的名称", department={"code": "SP02"})
    assert (answer.status_code, answer.json()["flags"]) == (200, ["item_differs", "department_differs"])
    hall.take(hall.devices["e-001"].rating(5, visit="BJ-2026-17"))
    assert hall.records()[-1].flags == ["item_differs", "department_differs"]
    assert hall.records()[-1].visit["item_name"] == "食品经营许可"
    assert post(hall, item_name="别的名称", department={"code": "SP02"}).json()["flags"] == answer.json()["flags"]


def test_a_walk_up_rating_is_about_nothing(hall):
    hall.take(hall.devices["e-001"].rating(5))
    assert hall.records()[-1].visit is None
    assert point_of(hall.records()[-1]).visit_kind is None


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"kind": "party"}, "kind"),
        ({"applicant": {"kind": "7"}}, "applicant.kind"),
        ({"parts": [{"item_code": CODE}]}, "parts"),
        ({"kind": "batch", "parts": [{}] * 13}, "parts"),
        ({"kind": "batch", "parts": [{"code": CODE}]}, "parts.0.code"),
        ({"item_code": "1" * 65}, "item_code"),
        ({"department": {"name": "局\n长"}}, "department.name"),
        ({"visit": "BJ#1"}, "visit"),
    ],
)
def test_what_is_no_visit_is_refused_by_the_name_of_its_field(hall, more, field):
    answer = post(hall, **more)
    assert (answer.status_code, answer.json()) == (422, {"error": "field", "fields": [field]})


def test_the_longest_visit_fits_into_a_request(hall):
    item = {
        "item_code": HANDLING,
        "item_name": "名" * 200,
        "department": {"code": "1" * 18, "name": "局" * 100, "credit_code": CREDIT},
    }
    applicant = {"name": "名" * 30, "phone": "1" * 20, "id_number": "1" * 32, "id_kind": "1" * 8, "kind": "other"}
    more = {"kind": "joint", "parts": [item] * 12, "applicant": applicant, "visit": "V" * 50, "staff": "S" * 20}
    assert post(hall, **more, **item).status_code == 200  # httpx escapes every character, which is the longest form


def test_another_body_under_the_same_number_is_a_conflict_unless_it_supersedes(hall):
    assert post(hall).status_code == 200
    changed = {"item_code": HANDLING, "item_name": None, "department": {}}
    answer = post(hall, **changed)
    assert (answer.status_code, answer.json()) == (409, {"error": "visit_differs"})
    assert post(hall, **changed, supersede=True).status_code == 200
    hall.take(hall.devices["e-001"].rating(5, visit="BJ-2026-17"))
    assert hall.records()[-1].visit["item_code"] == HANDLING
    answer = post(hall, supersede=True)
    assert (answer.status_code, answer.json()) == (409, {"error": "visit_answered"})


@pytest.mark.parametrize("name", ["visits.md", "visits.zh-CN.md"])
def test_the_example_of_the_page_for_developers_is_a_visit_that_fits_the_example_library(hall, name):
    text = (EXAMPLE.parent.parent / "docs" / name).read_text("utf-8")
    hall.library = item_library.read(EXAMPLE)
    with hall.business() as client:
        answer = client.post("/api/v1/visits", json=json.loads(text.partition("```json\n")[2].partition("```")[0]))
    assert (answer.status_code, answer.json()["state"]) == (200, "asked")
    assert "flags" not in answer.json()
