"""The gateway's HTTP face, asked over a socket: page, live data, visits, health, metrics, reconciliation."""

import json
import ssl
import threading
import time

import httpx
import pytest
from sealing_device import MORNING_S
from sqlalchemy import func, select
from web_hall import AUDIT_TOKEN, BUSINESS_TOKEN, WebHall

from gateway import feed as feed_module
from gateway import page_files, schema
from gateway.feed import Feed, TooManyViewersError, frame_of
from gateway.http_guard import BODY_BYTES_MAX, token_fits
from gateway.tokens import ApiTokens
from protocol import command

DEVICES = [("e-001", "evaluator"), ("c-001", "clock")]
APPLICANT = {"name": "欧阳娜娜", "phone": "13987654321", "id_number": "110101199003078515", "id_kind": "111"}


@pytest.fixture
def hall(tmp_path):
    made = WebHall(tmp_path, DEVICES, started=True)
    yield made
    made.stop()


def get(hall, path):
    with hall.client() as client:
        return client.get(path)


def counts(hall, token=AUDIT_TOKEN):
    with hall.business(token) as client:
        return client.get("/api/v1/reconciliation")


def post_visit(hall, body, token=BUSINESS_TOKEN):
    with hall.business(token) as client:
        return client.post("/api/v1/visits", json=body)


def test_the_page_is_served_with_its_files_and_from_nowhere_else(hall):
    index = get(hall, "/")
    assert index.status_code == 200
    assert "办事大厅" in index.text
    assert "http://" not in index.text
    assert "https://" not in index.text
    for name, kind in (("hall.js", "text/javascript"), ("hall.css", "text/css"), ("seal.svg", "image/svg+xml")):
        answer = get(hall, "/page/" + name)
        assert answer.headers["content-type"].startswith(kind)
        assert f"/page/{name}" in index.text
    policy = index.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert index.headers["x-content-type-options"] == "nosniff"


def test_nothing_else_can_be_asked_for(hall):
    for path in ("/page/..%2fapi.py", "/page/%2e%2e/api.py", "/page/api.py", "/docs", "/openapi.json", "/x"):
        answer = get(hall, path)
        assert answer.status_code == 404, path
        assert set(answer.json()) == {"error"}


def test_a_browser_asks_again_only_for_what_changed(hall):
    first = get(hall, "/page/hall.css")
    with hall.client() as client:
        again = client.get("/page/hall.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert set(page_files.files()) == {"index.html", "hall.css", "hall.js", "view.js", "words.js", "seal.svg"}


def test_the_snapshot_shows_what_the_ledger_holds(hall):
    evaluator, clock = hall.devices.values()
    early_s = hall.real.now_s = MORNING_S // 86_400 * 86_400 + 1200  # 08:20 in China
    rated = [evaluator.rating(2, early_s, visit=f"A-{number}", comment="等了太久") for number in range(5)]
    hall.take(evaluator.opened(early_s), *rated, evaluator.heartbeat(early_s))
    hall.take((clock, clock.opened(early_s)), (clock, clock.punch("S001", early_s)))
    hall.project()
    seen = get(hall, "/api/v1/live").json()
    assert seen["hall"] == "yongxing"
    assert seen["levels"] == [0, 5, 0, 0, 0]
    assert seen["windows"][0]["state"] == "online"
    assert seen["sign_ins"] == [{"staff": "S001", "door": "01", "time_s": early_s, "late": False}]
    assert [one["kind"] for one in seen["feed"]] == ["punch", "event", "ratings", "event"]
    assert "等了太久" not in get(hall, "/api/v1/live").text
    assert "A-" not in get(hall, "/api/v1/live").text


def frames(lines, count):
    """The next `count` events of a stream. lines: of response.iter_lines(), held by the caller: it ends with them."""
    found = []
    for line in lines:
        if line.startswith("event: "):
            found.append([line[7:]])
        elif line.startswith("data: "):
            found[-1].append(json.loads(line[6:]))
            if len(found) == count:
                return found
    return found


def test_the_feed_tells_every_change_by_itself(hall):
    evaluator = hall.devices["e-001"]
    with hall.client() as client, client.stream("GET", "/api/v1/feed") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        lines = response.iter_lines()
        kind, seen = frames(lines, 1)[0]
        assert (kind, seen["levels"]) == ("live", [0] * 5)
        hall.take(evaluator.opened(), evaluator.rating(1))
        hall.project()
        kind, seen = frames(lines, 1)[0]
        assert (kind, seen["waiting"]) == ("live", 1)


def test_the_feed_is_silent_when_nothing_changes_but_ticks(hall, monkeypatch):
    monkeypatch.setattr(feed_module, "TICK_S", 0.4)
    monkeypatch.setattr(feed_module, "PERIOD_S", 0.05)
    with hall.client() as client, client.stream("GET", "/api/v1/feed") as response:
        kinds = [frame[0] for frame in frames(response.iter_lines(), 3)]
    assert kinds == ["live", "tick", "tick"]


def test_one_snapshot_serves_many_viewers():
    made, now = [], [0.0]

    def snapshot():
        made.append(1)
        return {"now_s": len(made), "levels": [0]}

    feed = Feed(snapshot, lambda: now[0])
    frames_seen = [feed.latest() for _ in range(50)]
    assert len(made) == 1
    now[0] += feed_module.PERIOD_S
    assert feed.latest().digest == frames_seen[0].digest  # the clock alone is no change
    assert len(made) == 2
    assert frame_of({"now_s": 1, "levels": [1]}).digest != frames_seen[0].digest


def test_viewers_are_bounded_and_leave_again(hall, monkeypatch):
    monkeypatch.setattr(feed_module, "VIEWERS_MAX", 1)
    with hall.client() as client, client.stream("GET", "/api/v1/feed") as response:
        lines = response.iter_lines()
        frames(lines, 1)
        assert get(hall, "/api/v1/feed").status_code == 503
        with pytest.raises(TooManyViewersError):
            hall.feed.join()
    deadline = time.monotonic() + 5
    while hall.feed.viewers and time.monotonic() < deadline:
        time.sleep(0.02)
    assert hall.feed.viewers == 0


def test_an_open_feed_does_not_hold_up_the_end(tmp_path):
    hall = WebHall(tmp_path, DEVICES)
    ended = threading.Event()

    def view():
        with hall.client() as client, client.stream("GET", "/api/v1/feed") as response:
            for _ in response.iter_lines():
                pass
        ended.set()

    threading.Thread(target=view, daemon=True).start()
    deadline = time.monotonic() + 5
    while not hall.feed.viewers and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    hall.stop()
    assert time.monotonic() - began < 4
    assert ended.wait(2)


def test_a_visit_is_asked_at_its_window_and_its_state_told(hall):
    evaluator = hall.devices["e-001"]
    answer = post_visit(hall, {"window": "01", "visit": "2026/A-17", "staff": "S001", "applicant": APPLICANT})
    assert answer.status_code == 200
    assert answer.json() == {"visit": "2026/A-17", "window": "01", "state": "asked", "id": answer.json()["id"]}
    asked = next(content for kind, content in hall.down(evaluator, 1) if kind == "command")
    assert asked.claims[command.VISIT] == "2026/A-17"
    with hall.business() as client:
        assert client.get("/api/v1/visits/2026/A-17").json()["state"] == "asked"
        hall.take(evaluator.opened(), evaluator.rating(5, visit="2026/A-17"))
        assert client.get("/api/v1/visits/2026/A-17").json()["state"] == "rated"
        assert client.get("/api/v1/visits/A-99").status_code == 404


def test_the_same_visit_again_is_the_same_answer(hall):
    body = {"window": "01", "visit": "A-17"}
    assert post_visit(hall, body).json() == post_visit(hall, body).json()
    assert hall.metrics.by_label("visits_asked", "new") == {"True": 1, "False": 1}


def test_only_the_business_system_may_open_visits(hall):
    wrong = ("x", "wrong", BUSINESS_TOKEN + "x", BUSINESS_TOKEN[:-1], BUSINESS_TOKEN.upper())
    for token in wrong:
        answer = post_visit(hall, {"window": "01", "visit": "A-17"}, token)
        assert (answer.status_code, answer.json()) == (401, {"error": "token"})
        with hall.business(token) as client:
            assert client.get("/api/v1/visits/A-17").status_code == 401
    with hall.client() as client:
        assert client.post("/api/v1/visits", json={"window": "01", "visit": "A-17"}).status_code == 401
    assert hall.metrics.value("api_unauthorised") == 2 * len(wrong) + 1
    assert hall.visits.state("A-17") is None


def test_without_a_token_the_visits_are_closed(tmp_path):
    hall = WebHall(tmp_path, DEVICES, tokens=ApiTokens())
    assert post_visit(hall, {"window": "01", "visit": "A-17"}).status_code == 403
    hall.stop()


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        ("Bearer secret", True), ("bearer secret", True), ("Basic secret", False), ("secret", False), (None, False),
        ("Bearer", False), ("Bearer  ", False), ("Bearer s\u00e9cret", False), ("Bearer secret secret", False),
    ],
)  # fmt: skip
def test_a_bearer_token_fits_whole_or_not(header, fits):
    assert token_fits(header, "secret") is fits
    assert not token_fits("Bearer ", "")


def test_a_wrong_field_is_named_but_never_repeated(hall):
    for body, field in (
        ({"window": "01"}, "visit"),
        ({"window": "", "visit": "A"}, "window"),
        ({"window": "01", "visit": "A" * 51}, "visit"),
        ({"window": "01", "visit": "A", "timeout_s": 4}, "timeout_s"),
        ({"window": "01", "visit": "A", "applicant": {"name": "欧" * 31}}, "applicant.name"),
        ({"window": "01", "visit": "A", "applicant": {"nmae": "欧阳娜娜"}}, "applicant.nmae"),
        ({"window": "01", "visit": "A", "levle": 5}, "levle"),
        ({"window": "01", "visit": "A", "欧阳110101199003078515": 5}, "unknown"),
        ({"window": "01", "visit": "A", "applicant": {"OuYang": "x"}}, "applicant.unknown"),
        ({"window": "01", "visit": "A\u0000B"}, "visit"),
        ({"window": "0\n1", "visit": "A"}, "window"),
    ):
        answer = post_visit(hall, body)
        assert (answer.status_code, answer.json()) == (422, {"error": "field", "fields": [field]})
        assert "欧" not in answer.text


def test_a_visit_can_be_cancelled_by_its_number(hall):
    post_visit(hall, {"window": "01", "visit": "A/17"})
    with hall.business() as client:
        answer = client.delete("/api/v1/visits/A/17")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        assert client.delete("/api/v1/visits/A/18").status_code == 404
    with hall.business("another-token-of-16") as client:
        assert client.delete("/api/v1/visits/A/17").status_code == 401


def test_an_unknown_window_is_told(hall):
    answer = post_visit(hall, {"window": "99", "visit": "A-17"})
    assert (answer.status_code, answer.json()) == (404, {"error": "window"})


def test_a_large_body_is_refused_declared_or_not(hall):
    declared = post_visit(hall, {"window": "01", "visit": "A", "staff": "x" * BODY_BYTES_MAX})
    assert (declared.status_code, declared.json()) == (413, {"error": "too_large"})

    def pieces():
        for _ in range(BODY_BYTES_MAX // 1024 + 12):
            yield b" " * 1024

    with hall.business() as client:
        answer = client.post("/api/v1/visits", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413)


def test_health_tells_what_is_wrong_and_whether_it_is_vital(hall):
    answer = get(hall, "/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    hall.checks["broker"] = lambda: False
    answer = get(hall, "/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["outside"] == {"broker": False}

    def broken():
        raise OSError("disk")

    hall.checks["ledger"] = broken
    answer = get(hall, "/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "failed")


def test_metrics_are_there_for_prometheus(hall):
    hall.metrics.count("forwarded", 3, verdict="stored")
    answer = get(hall, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'hallseal_forwarded_total{verdict="stored"} 3' in answer.text


def test_reconciliation_compares_every_store_by_device(hall):
    evaluator, clock = hall.devices.values()
    rated = evaluator.rating(5)
    hall.take(evaluator.opened(), rated, evaluator.rating(4))
    hall.take(rated)
    hall.take((clock, clock.opened()), (clock, clock.punch()))
    hall.take(evaluator.heartbeat(PRESSES=[0, 0, 0, 1, 1]))
    hall.take(b"nonsense")
    before = counts(hall).json()
    nothing = {"intake": 0, "timeseries": 0, "live": 0, "timeseries_annotations": 0, "live_annotations": 0}
    assert before["pending"] == {**nothing, "timeseries": 5, "live": 5}
    hall.project()
    seen = counts(hall).json()
    assert seen["pending"] == nothing
    device = seen["by_device"]["e-001"]
    assert device["ledger"] == device["timeseries"] == {"ratings": 2, "punches": 0, "events": 1}
    assert (device["kind"], device["head"], device["gaps"], device["duplicates"]) == ("evaluator", 3, 0, 1)
    assert device["stream"] == evaluator.stream.hex()
    assert device["press_counters"] == [0, 0, 0, 1, 1]
    assert seen["by_device"]["c-001"]["ledger"] == {"ratings": 0, "punches": 1, "events": 1}
    assert seen["quarantine"] == {"structure": 1} or seen["quarantine"] == {"encoding": 1}


def test_the_counts_of_the_stores_are_for_the_audit_alone(hall):
    for token in (BUSINESS_TOKEN, AUDIT_TOKEN[:-1], "x"):
        answer = counts(hall, token)
        assert (answer.status_code, answer.json()) == (401, {"error": "token"}), token
    assert get(hall, "/api/v1/reconciliation").status_code == 401
    assert counts(hall).status_code == 200


def test_the_counts_stay_true_while_the_ledger_grows(hall):
    evaluator, clock = hall.devices.values()
    for number in range(1, 4):
        hall.take(*([evaluator.opened()] if number == 1 else []), evaluator.rating(5))
        hall.take((clock, clock.opened() if number == 1 else clock.punch()))
        found = counts(hall).json()
        assert found["by_device"]["e-001"]["ledger"] == {"ratings": number, "punches": 0, "events": 1}
        assert found["by_device"]["c-001"]["ledger"] == {"ratings": 0, "punches": number - 1, "events": 1}
        assert found["position"] == 1 + 2 * number


def test_the_counts_are_read_without_the_records_themselves(hall):
    table = schema.record
    query = select(table.c.device, table.c.kind, func.count(), func.max(table.c.id))
    query = query.group_by(table.c.device, table.c.kind)
    plan = hall.ledger.read(lambda one: one.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all())
    assert "COVERING INDEX record_count" in str(plan)


def test_reconciliation_shows_gaps(hall):
    evaluator = hall.devices["e-001"]
    messages = [evaluator.opened(), *(evaluator.rating(level) for level in (5, 1, 2, 4))]
    hall.take(messages[0], messages[1], messages[4])
    assert counts(hall).json()["by_device"]["e-001"]["gaps"] == 2


def test_the_page_is_served_over_https_where_the_hall_has_a_certificate(tmp_path, hall_dir):
    gateway = hall_dir / "gateway"
    hall = WebHall(tmp_path, DEVICES, certificate=gateway / "https.pem", key=gateway / "https.key")
    assert hall.url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=str(gateway / "root.pem"))
    assert httpx.get(hall.url + "/healthz", verify=context).json()["status"] == "ok"
    with pytest.raises(httpx.ConnectError):
        httpx.get(hall.url + "/healthz")
    hall.stop()


def test_an_error_of_ours_tells_the_caller_nothing(hall, monkeypatch):
    def fail(*_):
        raise ValueError(APPLICANT["name"])

    monkeypatch.setattr(hall.visits, "open", fail)
    answer = post_visit(hall, {"window": "01", "visit": "A-17"})
    assert (answer.status_code, answer.json()) == (500, {"error": "internal"})
