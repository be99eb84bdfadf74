"""The scenario for real: servers, their load, and the counters, on this machine's loopback.

    plan        a folder that both processes read: who asks for what, when
    serve       the server's process: one of `servers/`, on the cores it is given
    load        the clients' process, which is also every device
    kernel      the simulated kernel's syscalls, made for real
    handler     what a server does with a request
    pipeline    what the programs that make and use items are given
    native/     server and load once more, as C programs
    run         one run: both processes, their load, what came of it
    child       a process that is talked to in lines
    disturbance what else happened on the machine, and what is too much
    syscalls, threads, tracing, this_machine
                what the kernel tells of the server from outside

What `iosim.real.run` and the two processes say to each other, in lines on stdin and stdout:

    load FOLDER                  serve FOLDER DEVICES_PORT
      > devices PORT
                                   > listening PORT
      < connect PORT
      > ready                        all connections are open (none yet, if they come and go)
      < start NS                     of CLOCK_MONOTONIC: the start of the load
                                   < mark
                                   > mark clock_ns=... voluntary=... ...
      > done late_p99_ns=... ...     at start + duration_ns; `responses` is written

A pipeline (arrivals of `items`) has its load in itself: there is no other process.

    serve FOLDER 0
      > ready
      < start NS
      < mark
      > mark clock_ns=... voluntary=... ...
      > done                         at start + duration_ns; `responses`, `order` are written

It makes no item from start + duration_ns on. Its `responses` has a row for each item that has
been made: intended_ns and sent_ns are when that was, answered_ns when it had been used. `order`
shows the first steps: P an item made, C one taken. A deadlock is said as `deadlock TEXT`, which
names the threads and the locks; the process ends with exit code 3, at any time after `start`.

Either may say `error TEXT` instead, and ends with exit code 2. Both end at once when their
stdin is closed, when their parent dies, and after `limit_s` of their plan.

`mark` answers with the server's own counters since its start, summed over all its threads,
those that have ended included (getrusage(2), CLOCK_PROCESS_CPUTIME_ID): clock_ns
(CLOCK_MONOTONIC), voluntary, involuntary, cpu_ns, user_ns, system_ns, threads, rss_bytes,
peak_rss_bytes; and what the program counts: waits, wait_events (of select, poll, epoll_wait
and io_uring's completions), wasted_polls (EAGAIN), coroutine_switches, own_work_ns, answered;
and where there are several workers served=12,7,9. The thread that answers sleeps in read(2)
otherwise, and no signal that the program uses goes to it.

`responses`: 64-bit integers, a row for each request offered, in the order in which they were: its
row in `requests` (of a retry that of the request), intended_ns, sent_ns, answered_ns (from the
start; -1: never) and its state: 0 in flight, 1 answered, 2 refused, 3 timed out, 4 answered with
an error. `done` says: late_p50_ns, late_p99_ns, late_max_ns (from when a request could be sent to
when it was), wrong (answers that are not what was to come: the bytes, or whether they are
errors), retries, connections_opened (after the start), connect_failures, connections_lost (closed
by the server), and busy_fraction (the part of the load's time in which the process had something
to do). The load's connections stay open after `done`, until its stdin is closed.

`burn` computes for a time, not for a number of loops: it reads CLOCK_MONOTONIC again and
again, and where two readings are further apart than any loop takes (5 us, in C 2 us) something
else ran meanwhile, and the gap is added to the deadline. So a preempted thread still has to
compute the rest, an interrupt's time does not count as the request's, and no syscall is made.

Scope: Linux, loopback only. Nothing here knows the simulator: `iosim.planning` writes the plan
from a scenario, `iosim.measurement` makes records of what comes back.
"""
