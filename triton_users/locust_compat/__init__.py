"""All that leans on what Locust does not promise. Knows Locust, gevent and the standard library; nothing of ours.

Each function here is named after the defect of Locust that it answers. Its docstring says what the defect is, in which
version it was seen, and when the function can go. `tests/locust_compat` holds a canary for each: a test on the real
classes of Locust, of the lowest and of the highest version that pyproject.toml allows, which fails when what we lean on
has moved.

    command.py       what a run needs of the locust command around it; `run/` has a fake of it in its tests
    master.py        the master's runner: the end of a run, workers that come and go
    worker.py        a worker's runner: reports, orders that come too late
    listeners.py     the order of listeners
    tasks.py         tasks that are set after Locust has filtered them, and who picks them
    interrupts.py    Ctrl+C
    command_line.py  the only moment before Locust forks
    forks.py         the workers that `--processes` forks
    master_port.py   the port on which workers meet their master
    start_gate.py    a start that comes before `init`, or without it
    logs.py          what Locust's logs show
    stack_of_stop.py the time that a run's stop takes to find its caller
    stop_twice.py    a runner that is told to stop while it stops
    web_ui.py        Locust's web page and its start form
"""
