"""Files of arrivals, as people and programs write them."""

from pathlib import Path

import pytest

from triton_users.arrivals.trace import read_trace
from triton_users.declaration import UsageError


@pytest.fixture
def trace(tmp_path: Path):  # type: ignore[no-untyped-def]
    def read(text: str, speed: float = 1.0):  # type: ignore[no-untyped-def]
        path = tmp_path / "trace.csv"
        path.write_text(text)
        return read_trace(path, speed)

    return read


def test_times_alone(trace) -> None:  # type: ignore[no-untyped-def]
    found = trace("# morning\n0\n0.5\n\n0.5\n2\n")
    assert found.times_s.tolist() == [0, 0.5, 0.5, 2]
    assert found.name(3) == ("", "")
    assert set(found.names) == {("", "")}


def test_intervals_and_columns_in_any_order(trace) -> None:  # type: ignore[no-untyped-def]
    found = trace("model,Interval\nbert,1\nresnet,0.5\nbert,0\n,1\n")
    assert found.times_s.tolist() == [1, 1.5, 1.5, 2.5]
    assert [found.name(i) for i in range(4)] == [("bert", ""), ("resnet", ""), ("bert", ""), ("", "")]
    assert set(found.names) == {("bert", ""), ("resnet", ""), ("", "")}


def test_models_and_inputs_per_line(trace) -> None:  # type: ignore[no-untyped-def]
    found = trace("0,bert,long\n1,bert\n2\n")
    assert [found.name(i) for i in range(3)] == [("bert", "long"), ("bert", ""), ("", "")]


def test_twice_as_fast(trace) -> None:  # type: ignore[no-untyped-def]
    assert trace("0\n1\n4\n", speed=2.0).times_s.tolist() == [0, 0.5, 2]


def test_two_files_that_differ_have_other_digests(trace) -> None:  # type: ignore[no-untyped-def]
    assert trace("0\n1\n").digest != trace("0\n1.0\n").digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no arrival in it"),
        ("time\n", "there is no arrival in it"),
        ("when,what\n1,2\n", "line 1: 'when,what' names no columns"),
        ("time,interval\n1,1\n", "names no columns"),
        ("0\nsoon\n", "line 2: 'soon' is no number of seconds"),
        ("0\n-1\n", "line 2: '-1' is no number of seconds"),
        ("0\nnan\n", "line 2: 'nan' is no number of seconds"),
        ("1\n0.5\n", "line 2: '0.5' is earlier than the time before it, 1"),
        ("model,time\nbert\n", "line 2: nothing is no number of seconds"),
    ],
)
def test_what_cannot_be_used_is_an_error_with_its_line(trace, text: str, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="arrivals: ") as error:
        trace(text)
    assert said in str(error.value)


def test_a_file_that_is_not_there_is_an_error_that_names_the_other_possibilities(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"'possion' is not constant, poisson or gamma:K, nor a trace that can be read"
    ):
        read_trace(Path("possion"), 1.0)
    with pytest.raises(UsageError, match="nor a trace that can be read"):
        read_trace(tmp_path, 1.0)
    (tmp_path / "binary").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(UsageError, match="nor a trace that can be read"):
        read_trace(tmp_path / "binary", 1.0)
