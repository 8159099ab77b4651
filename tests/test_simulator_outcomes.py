"""The double of the business system counts what it is told, once, in any order, and believes no forged message."""

from gateway import webhook
from gateway.visit_book import Untold
from simulator.outcomes import Outcomes, secret_of

SECRET = bytes(range(32))


def told(outcomes, visit, state, change, secret=SECRET, spoil=lambda body: body):
    body = webhook.message("yongxing", Untold(b"", visit, "01", state, change, 0, ()))
    return outcomes.take(webhook.sign(secret, f"{visit}.{change}", 1, body), spoil(body))


def test_the_latest_state_of_each_visit_counts_whatever_comes_first_or_twice():
    outcomes = Outcomes(SECRET)
    for visit, state, change in (("a", "rated", 2), ("a", "cancelled", 1), *2 * [("b", "timed_out", 1)]):
        assert told(outcomes, visit, state, change)
    assert outcomes.summary() == {
        "messages": 4,
        "forged": 0,
        "visits": 2,
        "states": {"rated": 1, "timed_out": 1},
    }


def test_a_forged_message_counts_as_that_alone():
    outcomes = Outcomes(SECRET)
    assert not told(outcomes, "a", "rated", 1, secret=bytes(32))
    assert not told(outcomes, "a", "rated", 1, spoil=lambda body: body.replace(b"rated", b"taken"))
    assert not outcomes.take({}, b"{}")
    assert outcomes.summary() == {"messages": 0, "forged": 3, "visits": 0, "states": {}}


def test_a_secret_is_read_as_the_gateway_reads_it(tmp_path):
    path = tmp_path / "webhook.secret"
    path.write_text("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    path.chmod(0o600)
    assert secret_of(path.read_text()) == webhook.read_secret(path) == SECRET
