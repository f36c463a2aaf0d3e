"""What is shown of a server's log when it did not start."""

from triton_users.server.logs import LINES, telling_lines


def test_errors_are_shown_without_the_harmless_one():
    log = """E1124 03:00:00.1 7 server.cc:241] "CudaDriverHelper has not been initialized."
I1124 03:00:00.2 7 model_lifecycle.cc:472] "loading: broken:1"
E1124 03:00:00.3 7 model_lifecycle.cc:642] "failed to load 'broken' version 1: on purpose"
| broken | 1 | UNAVAILABLE |
I1124 03:00:00.4 7 server.cc:305] "Waiting for in-flight requests to complete."
error: creating server: Internal - failed to load all models"""
    assert telling_lines(log).splitlines() == [log.splitlines()[2], log.splitlines()[5]]


def test_an_exception_that_ended_the_server_is_shown_before_what_its_stubs_say_of_it():
    log = """E1124 08:00:32.6 27385 server.cc:241] "CudaDriverHelper has not been initialized."
I1124 08:00:41.1 27385 python_be.cc:2249] "TRITONBACKEND_ModelInstanceInitialize: custom_executing_0_0 (CPU device 0)"
terminate called after throwing an instance of 'boost::interprocess::lock_exception'
  what():  boost::interprocess::lock_exception
I1124 08:00:41.6 27441 pb_stub.cc:2145]  Non-graceful termination detected. """
    assert telling_lines(log).splitlines() == log.splitlines()[2:4]


def test_a_crash_is_shown_with_its_stack_and_without_what_came_before_and_after():
    log = """E1124 08:00:32.6 27385 grpc_server.cc:7] "a client's mistake, long ago"
Signal (11) received.
 0# 0x000055A0567 in /opt/tritonserver
 1# TRITONSERVER_InferenceRequestDelete in libtritonserver.so
I1124 08:00:41.6 27441 pb_stub.cc:2145]  Non-graceful termination detected. """
    assert telling_lines(log).splitlines() == log.splitlines()[1:4]


def test_an_end_that_was_asked_for_is_no_crash():
    log = 'E1124 08:00:32.6 27385 server.cc:1] "told"\nSignal (15) received.\nlast'
    assert telling_lines(log) == log.splitlines()[0]


def test_a_wrong_argument_is_shown_without_the_list_of_all():
    log = (
        "tritonserver: unrecognized option '--no-such-option'\nUsage: tritonserver [options]\n  --help\n\tPrint usage\n"
    )
    assert telling_lines(log) == "tritonserver: unrecognized option '--no-such-option'"


def test_without_errors_the_last_lines_are_shown_but_no_tables():
    log = "\n".join(["+---+", "| a |", "", *(f"line {number}" for number in range(LINES + 5))])
    assert telling_lines(log).splitlines() == [f"line {number}" for number in range(5, LINES + 5)]


def test_an_empty_log_says_nothing():
    assert telling_lines("") == ""


def test_an_exception_that_nobody_caught_is_named_with_its_stack():
    log = """I1124 08:00:32.6 27385 server.cc:1] "fine"
terminate called after throwing an instance of 'boost::interprocess::lock_exception'
  what():  boost::interprocess::lock_exception
Signal (6) received.
 0# 0x0000560B66DB6C2D in /opt/tritonserver/bin/tritonserver"""
    assert telling_lines(log).splitlines() == log.splitlines()[1:]
