"""The four questions of an operator, in their order."""

from __future__ import annotations

from triton_users.judge.alerts import MAX_SENTENCE, About, alerts, in_order

ABOUT: dict[str, About] = {"wrong": "right", "slow": "fast", "again": "stable", "client": "believable"}


def test_sentences_stand_in_the_order_in_which_an_operator_asks() -> None:
    assert in_order(["client", "again", "slow", "wrong"], ABOUT) == ("wrong", "slow", "again", "client")


def test_sentences_about_one_question_keep_their_order() -> None:
    assert in_order(["b", "client", "a"], ABOUT) == ("b", "a", "client")


def test_each_question_has_one_answer_and_reasons_come_before_warnings() -> None:
    made = alerts(["again", "wrong"], ["client", "again too"], {**ABOUT, "again too": "stable"}, {"fast": "p99 5 ms"})

    assert [(each.question, each.answer, each.text) for each in made] == [
        ("Is it right?", "no", "wrong"),
        ("Is it fast?", "yes", "p99 5 ms"),
        ("Is it stable?", "no", "again"),
        ("Can I believe it?", "with care", "client"),
    ]


def test_what_nobody_looked_at_is_not_said_to_be_well() -> None:
    assert [each.answer for each in alerts([], [], {}, {})] == ["not judged"] * 4


def test_a_sentence_with_a_programs_whole_output_in_it_is_cut_between_two_words() -> None:
    [right, *_] = alerts(["PerfAnalyzer failed: " + "word " * 500], [], {}, {})

    assert len(right.text) <= MAX_SENTENCE + 4
    assert right.text.endswith(" word ...")


def test_of_several_the_first_is_told_with_how_many_more_there_are() -> None:
    [right, *_] = alerts(["one", "two", "three"], [], {}, {})

    assert right.text == "one (and 2 more, below)"
