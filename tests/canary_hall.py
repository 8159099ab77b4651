"""A whole hall for the canary: gateway process, broker and central double, with a recorder at every line between."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading

import duckdb
import httpx
from canary_forms import cells, chinese, digits
from hall_broker import REPOSITORY, EmbeddedBroker
from recording_central import RecordingCentral
from recording_proxy import RecordingProxy
from wired_hall import GatewayProcess, connect

from gateway import credit_code
from protocol import cbor, rating

# A gateway that fails where it holds most: at the seal, in a request, and in a thread that dies; each time the words of
# the exception are what it must not tell. FAULT marks what shall fail.
FAULTY = """
import sys, threading
from gateway import cli, identity_seal, visits
seal, state = identity_seal.IdentitySeal.seal, visits.Visits.state
def die(words):
    raise ValueError(words)
def failing_seal(self, device, stream, seq, disclosures):
    if any(b"FAULT" in one for one in disclosures):
        die(b" ".join(disclosures).decode("utf-8", "replace"))
    return seal(self, device, stream, seq, disclosures)
def failing_state(self, visit):
    if visit.startswith("FAULT"):
        thread = threading.Thread(target=die, args=(visit,))
        thread.start()
        thread.join()
        die(visit)
    return state(self, visit)
identity_seal.IdentitySeal.seal, visits.Visits.state = failing_seal, failing_state
sys.exit(cli.main())
"""


class Person:
    """Somebody whose every word is planted once. words: {what: word}, grows with the salts."""

    def __init__(self, where, mark=""):
        self.name, self.phone, self.number = chinese(5), "1" + "3" + digits(9), _number()
        self.visit, self.comment = mark + chinese(3) + digits(9), mark + chinese(12)
        self.words = {
            f"{where}: {what}": word
            for what, word in vars(self).items()
            if what in ("name", "phone", "number", "visit", "comment")
        }
        self._where = where

    def also(self, what, word):
        """Another word that is theirs; gives it back."""
        self.words[f"{self._where}: {what}"] = word
        return word

    @property
    def applicant(self):
        return {"name": self.name, "phone": self.phone, "id_number": self.number, "id_kind": "111"}

    @property
    def identity(self):
        return {rating.NAME: self.name, rating.PHONE: self.phone, rating.ID_NUMBER: self.number}

    def redactable(self, exact_s):
        """The claims of a rating, with its exact time among the words."""
        self.words[f"{self._where}: exact time"] = exact_s
        return {rating.OCCASION: [exact_s, self.visit], rating.COMMENT: self.comment, rating.IDENTITY: self.identity}

    def note_salts(self, disclosures):
        for number, one in enumerate(disclosures):
            self.words[f"{self._where}: salt {number}"] = cbor.decode_list(one, 3)[0]


def _number():
    """An identity number that passes for a credit code, as one in 31 does."""
    while not credit_code.is_valid(number := digits(17) + "X"):
        pass
    return number


class CanaryHall:
    """folder: of a provisioned hall. scratch: an empty folder. Everything that is seen anywhere is kept by place."""

    def __init__(self, folder, scratch):
        self.folder, self.scratch = folder, scratch
        self.broker = EmbeddedBroker(folder, scratch / "broker")
        own = folder / "gateway"
        self.proxies = [RecordingProxy(folder, self.broker.port, (own / "tls.pem", own / "tls.key"))]
        self.central = RecordingCentral(folder)
        self.cwd = scratch / "cwd"
        self.cwd.mkdir()
        self.gateway = self._process(("-c", FAULTY))
        toml = self.gateway.toml
        toml.write_text(toml.read_text().replace("127.0.0.1:8444", f"127.0.0.1:{self.central.port}"))
        self.answers, self.feed, self.commands = bytearray(), bytearray(), bytearray()
        self.devices = []

    def _process(self, program):
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONFAULTHANDLER": "1"}
        return GatewayProcess(
            self.folder,
            self.proxies[0],
            program,
            ("--verbose",),
            cwd=self.cwd,
            env=environment,
            preexec_fn=_allow_dumps,
        )

    def connect(self, name, kind="evaluator"):
        """The device, over a recording line of its own."""
        plain = connect(self.gateway, name, self.broker, kind)  # leaves its certificate behind
        plain.close()
        pair = self.folder / "devices" / name / "pair.pem"
        self.proxies.append(RecordingProxy(self.folder, self.broker.port, (pair, pair)))
        self.devices.append(connect(self.gateway, name, self.proxies[-1], kind))
        return self.devices[-1]

    def follow_feed(self):
        """Keep what the live feed tells, until the gateway ends."""
        url = f"https://127.0.0.1:{self.gateway.page_port}/api/v1/feed"

        def follow():
            try:
                with httpx.stream("GET", url, verify=self.gateway.trust(), timeout=60) as stream:
                    for piece in stream.iter_raw():
                        self.feed.extend(piece)
            except httpx.HTTPError:
                pass

        threading.Thread(target=follow, daemon=True).start()

    def take(self, answer):
        """Keep an answer of the API, whole; gives it back."""
        headers = b"".join(b": ".join(pair) + b"\n" for pair in answer.headers.raw)
        self.answers.extend(f"{answer.status_code}\n".encode() + headers + answer.content + b"\n")
        return answer

    def command(self, *arguments, given=""):
        """Run the console command; its output is kept."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", *arguments, "--config", str(self.gateway.toml)],
            input=given.encode(), capture_output=True, cwd=REPOSITORY,
        )  # fmt: skip
        self.commands.extend(done.stdout + done.stderr)
        return done

    def places(self, moment):
        """{place: content} now; databases are read whole as well, from copies of their files."""
        own = self.gateway.folder
        copy = self.scratch / moment
        shutil.copytree(own, copy)
        found = {f"file {path.relative_to(own)}": path.read_bytes() for path in own.rglob("*") if path.is_file()}
        found.update((f"file {path.name} where it ran", path.read_bytes()) for path in self.cwd.rglob("*"))
        found["log of the broker"] = (self.scratch / "broker" / "log").read_bytes()
        for name in ("ledger.db", "dead-letters.db"):
            found[f"cells of {name}"] = sqlite_cells(copy / name)
        found["cells of the quarantine"] = sqlite_cells(copy / "ledger.db", "quarantine")
        found["cells of timeseries.duckdb"] = duckdb_cells(copy / "timeseries.duckdb")
        found.update({
            "answers of the API, metrics among them": bytes(self.answers),
            "live feed": bytes(self.feed),
            "console commands": bytes(self.commands),
            "lines between devices, broker and gateway": b"\n".join(bytes(one.seen) for one in self.proxies),
            "requests to the central system and its answers": bytes(self.central.seen),
        })  # fmt: skip
        return found

    def restart(self):
        """As the hall runs it, without faults."""
        port, log = self.gateway.page_port, self.gateway.log
        self.gateway = self._process(("-m", "gateway.cli"))
        self.gateway.page_port, self.gateway.log = port, log
        self.gateway.start()

    def close(self):
        for device in self.devices:
            device.close()
        if self.gateway.process and self.gateway.process.poll() is None:
            self.gateway.kill()
        for proxy in self.proxies:
            proxy.close()
        self.central.close()
        self.broker.kill()


def _allow_dumps():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)


def sqlite_cells(path, only=None):
    """Every value of every table of a copied file."""
    connection = sqlite3.connect(path)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = [cells(connection.execute(f'SELECT * FROM "{name}"')) for name in names if only in (None, name)]
    connection.close()
    return b"\n".join(found)


def duckdb_cells(path):
    """Every value of every table of a copied file."""
    with duckdb.connect(str(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return b"\n".join(cells(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names)


def broken_requests(person):
    """(method, path, content, headers) of requests that are refused, each full of a person's words."""
    visit, name = person.visit, person.name
    good = {"window": "01", "visit": visit, "applicant": person.applicant}
    text = json.dumps(good, ensure_ascii=False)
    yield "POST", "/api/v1/visits", json.dumps({**good, "window": "no such"}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "remark": name, name: person.phone}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "applicant": {**person.applicant, name: visit}}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "applicant": {"name": {"first": name}}}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "applicant": {"phone": int(person.phone)}}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "applicant": {"id_number": [person.number]}}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "applicant": f"{name} {person.phone}"}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "applicant": {"name": name * 7}}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "visit": visit * 5}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "visit": [visit], "timeout_s": person.number}), {}
    yield "POST", "/api/v1/visits", json.dumps({**good, "staff": person.number * 2}), {}
    yield "POST", "/api/v1/visits", json.dumps([good, name]), {}
    yield "POST", "/api/v1/visits", text[: text.index(person.number) + 18], {}
    yield "POST", "/api/v1/visits", text.encode("gb18030"), {}
    yield "POST", "/api/v1/visits", text + " " * 8192 + text, {}
    yield "POST", "/api/v1/visits", f"name={name}&visit={visit}", {"Content-Type": "application/x-www-form-urlencoded"}
    yield "POST", "/api/v1/visits", text, {"Authorization": "Bearer " + person.number}
    yield "POST", "/api/v1/visits", text, {"Authorization": "Basic " + person.phone}
    yield "PUT", "/api/v1/visits", text, {}
    yield "GET", f"/api/v1/visits/{visit}", b"", {"User-Agent": person.phone, "Cookie": "id=" + person.number}
    yield "DELETE", f"/api/v1/visits/{visit}", b"", {"X-Forwarded-For": person.phone}
    yield "GET", f"/api/v1/visits/{visit}", b"", {"Authorization": "Bearer " + person.number}
    yield "GET", f"/api/v1/{name}?phone={person.phone}&id={person.number}", b"", {"Referer": person.number}
    yield "GET", f"/page/{name}", b"", {}
    yield "POST", f"/api/v1/devices/{person.phone}/orders", json.dumps({"order": name, "confirm": person.number}), {}
