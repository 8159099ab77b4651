"""The canary: identities, visits, comments, salts and exact times are planted at every entrance of a running hall, and
then searched for, in every form, in every byte that the hall keeps, tells or sends. Only the central system has them.
"""

import base64
import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import duckdb
import httpx
import pytest
from canary_forms import Search, chinese, forms_of, latin, typed
from canary_hall import CanaryHall, Person, broken_requests, duckdb_cells, sqlite_cells
from sealed_pair import flip
from sqlalchemy import select

from gateway import schema
from protocol import disclosure, rating, record, sign1
from simulator.central_faults import Fault

pytestmark = pytest.mark.xdist_group("broker")

# Forty days and some seconds ago: no clock of the hall shows such a time by itself.
EXACT_S = int(time.time()) // 900 * 900 - 40 * 86_400 + 437

# Ratings of the first device that are taken: three levels, and five visits that name their applicant in other forms.
RATED = 3 + 5


class Planter:
    """Plants persons in a CanaryHall; `people` has all of them."""

    def __init__(self, hall):
        self.hall, self.people = hall, []

    def person(self, where, mark=""):
        self.people.append(Person(where, mark))
        return self.people[-1]

    @property
    def words(self):
        return {what: word for one in self.people for what, word in one.words.items()}

    # Through devices.

    def rated(self, device, where, level=1, mark="", changed=None, person=None):
        """(Record, disclosures) of a rating full of a person's words; by default a new one's."""
        person = person or self.person(where, mark)
        redactable = {**person.redactable(EXACT_S + len(self.people)), **(changed or {})}
        claims = device.rating_claims(level, rating.VISIT_MODE)
        made, disclosures = device.make(record.RATING, claims, EXACT_S + 900, redactable)
        person.note_salts(disclosures)
        return made, disclosures

    def from_devices(self):
        """Records that are taken, then all that are refused. The receipts say how far they are."""
        device, other = self.hall.connect("e-001"), self.hall.connect("e-002")
        device.deliver(device.opened(EXACT_S))
        taken = [device.seal(*self.rated(device, f"rating {level}", level)) for level in (1, 5, None)]
        for message in taken:
            device.deliver(message)
        self._contradict(device)
        self.hall.central._parts.faults.set(Fault(mode="refuse", devices=frozenset(["e-002"]), reason="told to"))
        other.deliver(other.opened(EXACT_S))
        other.deliver(other.seal(*self.rated(other, "refused by the central system")))
        other.send(taken[0], *self._refused(other))
        other.send(other.heartbeat(int(time.time())))
        return device

    def _contradict(self, device):
        """Another record under a number that is taken; the same message twice."""
        at = device.seq, device.prev
        device.seq -= 1
        twin = device.seal(*self.rated(device, "contradiction"))
        device.seq, device.prev = at
        device.send(twin, twin)

    def _refused(self, device):
        """Messages for the quarantine: forged, unsigned, out of bounds, and one on which the gateway itself fails."""
        made, disclosures = self.rated(device, "forged")
        signed = device.signer.sign(sign1.RECORD_TYP, record.encode(made), disclosures)
        yield device.channel.seal(sign1.RECORD_TYP, flip(signed, -1))
        made, disclosures = self.rated(device, "unsigned disclosure")
        stranger = self.person("disclosure that nobody signed")
        loose = [disclosure.make(device.channel.suite, 2, stranger.comment)[0]]
        yield device.seal(made, loose)
        too_long = {rating.NAME: self.person("name too long").name * 7}
        yield device.seal(*self.rated(device, "identity out of bounds", changed={rating.IDENTITY: too_long}))
        yield device.seal(*self.rated(device, "failing seal", mark="FAULT"))
        yield flip(device.seal(*self.rated(device, "damaged on the way")), 400)

    # Through the API.

    def through_the_api(self, device):
        """Visits that are opened, closed and answered; then everything that a caller can do wrong."""
        for where in ("visit opened", "visit closed"):
            person = self.person(where)
            asked = {"window": device.place, "visit": person.visit, "applicant": person.applicant, **careless(person)}
            self._accepted(person, self.request("POST", "/api/v1/visits", json.dumps(asked)), "asked")
        self._accepted(person, self.request("DELETE", f"/api/v1/visits/{person.visit}"), "cancelled")
        self._accepted(person, self.request("GET", f"/api/v1/visits/{person.visit}"), "cancelled")
        self._disguised(device)
        for number in range(len(list(broken_requests(Person("none"))))):
            person = self.person(f"broken request {number}")
            method, path, content, headers = list(broken_requests(person))[number]
            answer = self.hall.take(self.request(method, path, content, headers))
            assert 400 <= answer.status_code < 500, (number, answer.status_code)
        failing = self.person("failing request", "FAULT")
        assert self.hall.take(self.request("GET", f"/api/v1/visits/{failing.visit}")).status_code == 500
        self._garbage()

    def _disguised(self, device):
        """Visits in whose every word the applicant is typed in another way; each is rated, so that it would go on."""
        for key in ("name", "phone", "number", "visit", "latin"):
            person = self.person(f"disguised {key}", "Bj")
            named = latin() if key == "latin" else person.name
            forms = typed(named if key == "latin" else vars(person)[key])
            asked = {
                "window": device.place,
                "visit": person.visit,
                "applicant": {**person.applicant, "name": named},
                "kind": "batch",
                "parts": [careless_part(person, form) for form in forms],
                "staff": person.also("staff", typed(person.phone)[1]),
            }
            self._accepted(person, self.request("POST", "/api/v1/visits", json.dumps(asked)), "asked")
            device.deliver(device.seal(*self.rated(device, "", 2, person=person)))

    def _accepted(self, person, answer, state):
        """The business system is told its own visit number; for the search it is taken out of the answer."""
        content = answer.json()
        assert (answer.status_code, content.pop("visit"), content.pop("state")) == (200, person.visit, state)
        self.hall.take(httpx.Response(200, headers=answer.headers, json=content))

    def request(self, method, path, content=b"", headers=None):
        token = (self.hall.gateway.folder / "business.token").read_text().strip()
        head = {"Content-Type": "application/json", "Authorization": "Bearer " + token, **(headers or {})}
        url = f"https://127.0.0.1:{self.hall.gateway.page_port}{path}"
        return httpx.request(method, url, content=content, headers=head, verify=self.hall.gateway.trust(), timeout=10)

    def _garbage(self):
        """What is no HTTP at all, and HTTP that is none."""
        for number, end in enumerate(("\r\n\r\n", " HTTP/1.1\r\nbroken header\r\n\r\n", " HTTP/9.9\r\n: x\r\n\r\n")):
            person = self.person(f"garbage {number}")
            line = f"GET /{person.phone}/{person.number}/{person.name}{end}"
            with self._connected() as line_out:
                line_out.sendall(line.encode())
                line_out.settimeout(5)
                with contextlib.suppress(OSError):
                    self.hall.answers.extend(line_out.recv(65536))

    def _connected(self):
        context = self.hall.gateway.trust()
        plain = socket.create_connection(("127.0.0.1", self.hall.gateway.page_port), 10)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    # What the hall tells by itself.

    def look_around(self):
        """Everything that can be asked of the running gateway."""
        gateway = self.hall.gateway
        audit = (gateway.folder / "audit.token").read_text().strip()
        for path in ("/", "/api/v1/live", "/metrics", "/healthz", "/api/v1/reconciliation"):
            self.hall.take(gateway.get(path, headers={"Authorization": "Bearer " + audit}))
        assert self.hall.command("quarantine", "list").returncode == 0
        for person in (self.people[0], self.people[-1]):
            assert self.hall.command("subject", given=person.visit + "\n").returncode == 0


def careless(person):
    """Fields of a business system that puts a person's words where those of an item belong."""
    department = {"code": person.number, "name": f"{person.phone}所在部门", "credit_code": person.number}
    return {"item_code": person.number, "item_name": f"{person.name}的证照 {person.visit}", "department": department}


def careless_part(person, form):
    """A part of a visit with one form of a person's word; a word beside it tells whether the whole was kept."""
    beside = person.also(f"beside {form}", chinese(4))
    department = {"code": person.also("code", person.number.lower()), "name": f"{form}{beside}所"}
    return {"item_code": person.number, "item_name": f"{beside}{form}", "department": department}


@pytest.fixture
def hall(hall_dir, tmp_path):
    (tmp_path / "scratch").mkdir()
    made = CanaryHall(hall_dir, tmp_path / "scratch")
    try:
        yield made
    finally:
        made.close()


def test_nothing_that_is_planted_is_found_anywhere_but_at_the_central_system(hall, figure):
    hall.gateway.start()
    hall.follow_feed()
    planter = Planter(hall)
    device = planter.from_devices()
    planter.through_the_api(device)
    hall.gateway.wait(lambda: _all_arrived(hall), 60)
    planter.look_around()
    _assert_planted(hall, device, planter)
    search = Search(planter.words)
    places = {f"{place}, running": content for place, content in hall.places("running").items()}
    hall.gateway.process.send_signal(signal.SIGABRT)
    assert hall.gateway.process.wait(20) == -signal.SIGABRT
    assert b"Fatal Python error: Aborted" in hall.gateway.log.read_bytes()
    assert not list(hall.cwd.iterdir()), "a dead gateway leaves no image of its memory"
    places.update((f"{place}, after a crash", content) for place, content in hall.places("crashed").items())
    hall.restart()
    planter.look_around()
    assert hall.gateway.terminate()[1] == 0
    places.update((f"{place}, at the end", content) for place, content in hall.places("ended").items())
    hits = {place: found for place, content in places.items() if (found := search.hits(content))}
    assert hits == {}
    size_mib = sum(map(len, places.values())) / (1 << 20)
    figure("canary, words planted and forms searched", f"{len(planter.words)} words, {len(search)} forms")
    figure("canary, places searched", f"{len(places)} places, {size_mib:.1f} MiB: no hit")


def _all_arrived(hall):
    counts = hall.gateway.counts()
    return (
        counts["by_device"]["e-001"]["ledger"]["ratings"] == RATED
        and counts["by_device"]["e-001"]["equivocations"] >= 1
        and counts["by_device"]["e-002"]["timeseries"]["ratings"] == 1
        and sum(counts["quarantine"].values()) >= 6
        and counts["pending"]["central"] == 0
        and sum(counts["dead_letters"].values()) == 2
    )


def _assert_planted(hall, device, planter):
    """The words really went in: the central system opened them, the device was asked them, the log tells of faults."""
    opened = str(hall.central.opened)
    for person in planter.people[:3]:
        assert all(str(word) in opened for what, word in person.words.items() if "salt" not in what)
    device.wait(lambda: len(device.commands) >= 3)
    words = select(schema.record.c.visit_json).where(schema.record.c.visit_json.is_not(None))
    told = hall.gateway.look(lambda connection: connection.execute(words).scalars().all())
    assert [json.loads(one) for one in told] == [{"kind": "batch", "parts": [{}] * 7}] * 5
    asked = str([one.claims for one in device.commands])
    assert all(
        word in asked for what, word in planter.words.items() if what in ("visit opened: name", "visit opened: number")
    )
    log = hall.gateway.log.read_text()
    assert {"intake failed on a message", "request failed", "thread has died"} <= {
        json.loads(line)["event"] for line in log.splitlines()
    }
    assert {"signature", "disclosure", "schema", "internal", "decrypt"} <= set(hall.gateway.counts()["quarantine"])


def test_the_search_finds_every_form_in_every_place_when_it_is_put_there(hall, figure):
    """The same hall and recorders: what is sent in clear must be found, or the test above proves nothing."""
    hall.gateway.start()
    person, salt = Person("control"), bytes(range(40, 56))
    wanted = {**person.words, "salt": salt, "exact time": EXACT_S}
    forms = sorted({form for word in wanted.values() for form in forms_of(word).values()})
    search, ours = Search(wanted), b" | ".join(forms)
    device = hall.connect("e-001")
    for at in range(0, len(forms), 10):
        device.send(b" | ".join(forms[at : at + 10]))
    wanted_held = -(-len(forms) // 10)
    hall.gateway.wait(lambda: sum(hall.gateway.counts()["quarantine"].values()) >= wanted_held, 30)
    _tell_everyone(hall, ours)
    found, every = hall.places("control"), search.hits(ours)
    assert len(every) == len(search)
    for place in (
        "file ledger.db-wal", "cells of ledger.db", "cells of the quarantine", "file log.jsonl",
        "cells of dead-letters.db", "answers of the API, metrics among them", "live feed",
        "console commands", "lines between devices, broker and gateway",
        "requests to the central system and its answers",
    ):  # fmt: skip
        assert search.hits(found[place]) == every, place
    hall.gateway.terminate()
    assert search.hits(hall.places("ended")["file ledger.db"]) == every
    figure("canary, control", f"{len(search)} forms found again in each of 11 places where they were put")


def _tell_everyone(hall, content):
    """Put `content` where the hall itself never would."""
    url = f"https://127.0.0.1:{hall.central.port}/api/v1/records"
    token = (hall.folder / "central" / "token").read_text().strip()
    httpx.post(url, content=content, headers={"Authorization": "Bearer " + token}, verify=hall.gateway.trust())
    hall.take(httpx.Response(200, content=content))
    hall.feed.extend(content)
    hall.commands.extend(content)
    with hall.gateway.log.open("ab") as log:
        code = "import sys; sys.stderr.buffer.write(bytes.fromhex(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, content.hex()], stderr=log, check=True)
    own = hall.gateway.folder
    with sqlite3.connect(own / "dead-letters.db") as letters:
        letters.execute("CREATE TABLE control (content BLOB)")
        letters.execute("INSERT INTO control VALUES (?)", [content])
    letters.close()


def test_databases_are_read_whole_whatever_they_make_of_their_content(tmp_path):
    person = Person("cells")
    search = Search(person.words)
    values = [form for word in person.words.values() for form in forms_of(word).values()]
    with sqlite3.connect(tmp_path / "some.db") as some:
        some.execute("CREATE TABLE t (a, b)")
        some.executemany("INSERT INTO t VALUES (?, ?)", [(value, 1) for value in values])
    some.close()
    with duckdb.connect(str(tmp_path / "some.duckdb")) as packed:
        packed.execute("CREATE TABLE t (a BLOB, b VARCHAR)")
        packed.executemany("INSERT INTO t VALUES (?, ?)", [[value, person.name] for value in values])
    assert len(search.hits(sqlite_cells(tmp_path / "some.db"))) == len(search)
    assert len(search.hits(duckdb_cells(tmp_path / "some.duckdb"))) == len(search)


@pytest.mark.parametrize("offset", range(4))
def test_a_word_inside_of_a_larger_base64_is_found_at_every_place(offset):
    word = Person("base64").comment
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(bytes(offset) + word.encode() + b"more of it")
        assert [what for what, _ in Search({"word": word}).hits(text)] == ["word"]
