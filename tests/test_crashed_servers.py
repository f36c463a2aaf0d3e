"""What is made of a test in which the embedded Triton crashed."""

import pytest

from tests.end_to_end.locust_process import ROOT

CRASHED = "the embedded Triton ended by itself, by SIGSEGV: a fault of the embedded server"
TESTS = f"""
    times = dict.fromkeys(["once", "always", "otherwise"], 0)

    def nth(name):
        times[name] += 1
        return times[name]

    def test_crashed_once():
        assert nth("once") == 2, "no Triton answers\\n{CRASHED}"

    def test_crashes_always():
        nth("always")
        assert False, "{CRASHED}"

    def test_fails_otherwise():
        nth("otherwise")
        assert False, "the embedded Triton ended by itself, by SIGKILL"

    def test_times():
        assert times == dict(once=2, always=2, otherwise=1)
"""


def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tests: str) -> pytest.RunResult:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(tests)
    return pytester.runpytest_subprocess("-p", "tests.crashed_servers", "-p", "no:cacheprovider")


def test_it_is_made_once_more_and_said_and_no_other_is(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(pytester, monkeypatch, TESTS)
    done.assert_outcomes(passed=2, failed=2)
    done.stdout.fnmatch_lines(["*made once more, since the embedded Triton crashed*", "*::test_crashed_once: the emb*"])


def test_more_than_a_few_crashes_are_failures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = f"""
        import pytest

        made = []

        @pytest.mark.parametrize("number", range(5))
        def test_crashes_once(number):
            made.append(number)
            assert made.count(number) == 2, "{CRASHED}"
    """
    done = run(pytester, monkeypatch, tests)
    done.assert_outcomes(passed=3, failed=2)
