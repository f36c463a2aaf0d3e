"""Restarts and absences as a person reads them."""

from __future__ import annotations

from triton_users.judge import absences
from triton_users.ledger.evidence import Evidence
from triton_users.witness.counting import Restart
from triton_users.witness.processes import Death
from triton_users.witness.seen import Absence, Seen


def test_a_server_that_was_started_again_is_told_with_time_and_duration() -> None:
    [told] = absences.sentences(Seen(restarts=[Restart("", 70.0, 74.2)]))

    assert told == "the server was started again: it counts anew since 0:01:14, 4.2 s after its last answer before"


def test_a_model_that_was_loaded_again_is_told_once_though_two_saw_it() -> None:
    seen = Seen(restarts=[Restart("a", 70.0, 74.0), Restart("b", 80.0, 81.0)])
    told = absences.sentences(seen, [Absence("a", 71.0, 73.0, "gone from the index")])

    assert told[0] == "the model a was not ready from 0:01:11 to 0:01:13: gone from the index"
    assert len(told) == 2
    assert "the model b was loaded again: it counts anew since 0:01:21" in told[1]


def test_a_model_that_was_away_twice_is_told_twice_though_another_saw_one_of_them_only() -> None:
    told = absences.sentences(Seen(restarts=[Restart("a", 700.0, 704.0)]), [Absence("a", 71.0, 73.0, "LOADING")])

    assert [each.partition(" was ")[2][:12] for each in told] == ["not ready fr", "loaded again"]


def test_one_of_several_servers_that_was_started_again_is_named() -> None:
    [told] = absences.sentences(Seen(restarts=[Restart("", 70.0, 74.2, server="b:8002")]))

    assert told.startswith("the server b:8002 was started again: ")


def test_a_stub_that_died_is_told_with_its_model_and_for_how_long_there_was_none() -> None:
    back, never = absences.sentences(Seen(deaths=[Death("a", 11, 5.0, 10.0), Death("b", 12, 5.0, None)]))

    assert "model a died at 0:00:05 (process 11), and another one came after 5.0 s" in back
    assert "model b died" in never
    assert "no other until the end" in never


def test_a_stub_that_nobody_could_see_is_told_by_the_errors_of_its_requests() -> None:
    evidence = Evidence()
    for at_s in (12.0, 17.0):
        reason = "m: [StatusCode.INTERNAL] Stub process 'm_0_1' is not healthy."
        evidence.keep({"scenario": "", "worker": "w", "at_s": at_s, "reason": reason, "record": {}})
    [told] = absences.sentences(Seen(), evidence={"": evidence})

    assert told == "the Python process m_0_1 of the server died: requests failed for it from 0:00:12 to 0:00:17"


def test_a_server_that_goes_on_has_no_sentence() -> None:
    assert absences.sentences(Seen()) == []


def test_a_server_that_is_started_again_and_again_is_told_in_few() -> None:
    told = absences.sentences(Seen(restarts=[Restart("", float(n), n + 1.0) for n in range(40)]))

    assert len(told) == absences.MAX_SENTENCES + 1
    assert "30 times more" in told[-1]
