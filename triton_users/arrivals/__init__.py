"""Schedules of an open loop: when which arrival is due, and on which worker. Knows no Locust, no sockets and no clock.

    rate.py        what `--rate` says: phases, how many arrivals are due by when, and when the n-th of them is
    schedule.py    the arrivals of the whole cluster: evenly, at random or from a trace, block by block
    trace.py       reads the file of a trace
    timetable.py   one worker's share of them, over workers that come and go and rates that are changed
    dispatcher.py  who of the users takes which arrival, and what became of it
    settings.py    the options

An arrival is one run of a user's task. It is due at its time whatever became of those before it: nothing here ever
moves a schedule because the server, the users or this client were late.
"""
