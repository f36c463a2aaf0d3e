"""perf_analyzer's command lines and what its output says."""

from __future__ import annotations

import json

import pytest

from triton_users.scenarios.base import Target
from triton_users.scenarios.perf_options import (
    IDENTITY_LENGTH,
    arguments,
    input_data,
    next_concurrency,
    options,
    request_count,
    server_queue_us,
)
from triton_users.settings import Settings

READY = frozenset(
    (
        "resnet_v1_50",
        "custom_sequence_int32",
        "custom_sequence_float32",
        "custom_nobatch_zero_1_float32",
        "custom_zero_1_float32",
    )
)
OPTIONS = {option.name: option for option in options(Target("127.0.0.1:1", READY), Settings(seed=1, batch_size=8))}


def command(name: str, concurrency: int = 2) -> list[str]:
    return arguments(
        OPTIONS[name],
        address="127.0.0.1:1",
        concurrency=concurrency,
        ids=range(640, 704),
        csv_file="/tmp/report.csv",
        data_file="/tmp/data.json",
    )


def test_each_model_is_an_option_and_all_but_the_images_come_with_data_too() -> None:
    assert list(OPTIONS) == [
        "resnet_v1_50",
        "custom_sequence_int32",
        "custom_sequence_float32",
        "custom_nobatch_zero_1_float32",
        "custom_sequence_int32 with data",
        "custom_sequence_float32 with data",
        "custom_nobatch_zero_1_float32 with data",
    ]


def test_every_option_streams_over_grpc_in_windows_into_a_file() -> None:
    for name in OPTIONS:
        line = " ".join(command(name, concurrency=3))
        assert (
            "-u 127.0.0.1:1 -i grpc --streaming -f /tmp/report.csv --concurrency-range 3:3:1 --measurement-mode count_"
            in line
        )


def test_the_image_model_gets_batches() -> None:
    assert command("resnet_v1_50")[-2:] == ["-b", "8"]


def test_sequence_models_get_ids_of_the_users_own() -> None:
    assert command("custom_sequence_int32")[-2:] == ["--sequence-id-range", "640:704"]
    assert "--sequence-id-range" not in command("custom_nobatch_zero_1_float32")


def test_identity_models_get_a_shape() -> None:
    assert command("custom_nobatch_zero_1_float32")[-2:] == ["--shape", "INPUT0:16"]


def test_options_with_data_get_it() -> None:
    assert command("custom_sequence_int32 with data")[-2:] == ["--input-data", "/tmp/data.json"]


def test_the_data_of_an_accumulator_are_one_sequence_and_its_sums() -> None:
    assert json.loads(input_data(OPTIONS["custom_sequence_int32 with data"], (5, 7, 1))) == {
        "data": [[{"INPUT": [5]}, {"INPUT": [7]}, {"INPUT": [1]}]],
        "validation_data": [[{"OUTPUT": [5]}, {"OUTPUT": [12]}, {"OUTPUT": [13]}]],
    }


def test_numbers_for_an_fp32_model_are_written_as_floats() -> None:
    text = input_data(OPTIONS["custom_sequence_float32 with data"], (5,))
    assert text == '{"data": [[{"INPUT": [5.0]}]], "validation_data": [[{"OUTPUT": [5.0]}]]}'


def test_an_identity_model_gets_tensors_but_no_validation() -> None:
    data = json.loads(input_data(OPTIONS["custom_nobatch_zero_1_float32 with data"], (5, 7)))
    assert list(data) == ["data"]
    assert [tensor["INPUT0"]["shape"] for tensor in data["data"]] == [[IDENTITY_LENGTH]] * 2
    assert data["data"][1]["INPUT0"]["content"] == [7.0 + place for place in range(IDENTITY_LENGTH)]


OUTPUT = """
Request concurrency: 2
  Client:
    Request count: 2557
    Sequence count: 125 (69.037 seq/sec)
  Server:
    Successful request count: 2558
"""


def test_the_request_count_is_the_clients() -> None:
    assert request_count(OUTPUT) == 2557


def test_output_without_a_count_has_none() -> None:
    assert request_count("error: Failed to init manager inputs") is None


REPORT = "Concurrency,Inferences/Second,Client Send,Server Queue,p50 latency\n2,1412.22,3,142,18\n"


def test_the_queue_time_is_read_from_the_report() -> None:
    assert server_queue_us(REPORT) == 142


@pytest.mark.parametrize("report", ["", "Concurrency\n2\n", "Server Queue\n\n", "Server Queue\n1.5e3\n"])
def test_a_report_without_a_queue_time_has_none(report: str) -> None:
    assert server_queue_us(report) is None


@pytest.mark.parametrize(
    ("concurrency", "queue_us", "following"),
    [
        (1, 9_999, 2),
        (4, 0, 4),
        (2, 10_000, 2),
        (2, 100_000, 2),
        (2, 100_001, 1),
        (1, 500_000, 1),
        (3, None, 3),
    ],
)
def test_concurrency_follows_the_queue_time_within_1_and_4(
    concurrency: int, queue_us: int | None, following: int
) -> None:
    assert next_concurrency(concurrency, queue_us) == following
