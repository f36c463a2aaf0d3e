"""Our listener is called before Locust's own."""

from locust.event import EventHook

from triton_users.locust_compat.listeners import listen_before_those_already_there


def test_who_asks_to_be_first_is_called_before_those_already_there() -> None:
    called: list[str] = []
    hook = EventHook()
    hook.add_listener(lambda: called.append("locust"))
    listen_before_those_already_there(hook, lambda: called.append("ours"))
    hook.fire()
    assert called == ["ours", "locust"]


def test_locust_still_calls_listeners_in_the_order_in_which_they_were_added() -> None:
    """When this fails, see whether the function can go."""
    called: list[str] = []
    hook = EventHook()
    hook.add_listener(lambda: called.append("locust"))
    hook.add_listener(lambda: called.append("ours"))
    hook.fire()
    assert called == ["locust", "ours"]
