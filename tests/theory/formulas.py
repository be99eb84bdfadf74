"""Queueing theory's exact answers. Times in any one unit, rates in its inverse.

*Source*: Kleinrock, "Queueing Systems", vol. 1 (1975): M/M/1 3.2, M/M/1/K 3.6, M/M/c
3.5, Pollaczek-Khinchine 5.6; vol. 2 (1976): processor sharing 4.4. Welch, "On a
generalized M/G/1 queuing process in which the first customer of each busy period
receives exceptional service", Operations Research 12(5), 1964. Buzen, "Computational
algorithms for closed queueing networks with exponential servers", CACM 16(9), 1973.
Conway, Maxwell, Miller, "Theory of Scheduling", 1967, 8.6: preemptive priority.
"""

from collections.abc import Sequence
from math import exp, factorial


def erlang_c(servers: int, offered: float) -> float:
    """Probability that an arrival at M/M/c must wait; `offered` = rate x mean service."""
    top = offered**servers / factorial(servers) / (1 - offered / servers)
    return top / (sum(offered**k / factorial(k) for k in range(servers)) + top)


def mmc_wait(servers: int, rate: float, mean: float) -> float:
    """Mean waiting time in M/M/c."""
    return erlang_c(servers, rate * mean) / (servers / mean - rate)


def mmc_response_tail(servers: int, rate: float, mean: float, time: float) -> float:
    """Probability that a response takes longer than `time`, first come, first served.

    With probability C the wait is exponential at rate c/mean - rate, else none; then
    comes an exponential service.
    """
    served, drained = 1 / mean, servers / mean - rate
    both = (drained * exp(-served * time) - served * exp(-drained * time)) / (drained - served)
    must_wait = erlang_c(servers, rate * mean)
    return (1 - must_wait) * exp(-served * time) + must_wait * both


def mg1_wait(rate: float, mean: float, second_moment: float) -> float:
    """Mean waiting time in M/G/1 (Pollaczek-Khinchine)."""
    return rate * second_moment / (2 * (1 - rate * mean))


def setup_wait(rate: float, setup: float, setup_second_moment: float) -> float:
    """What a set-up before each busy period adds to M/G/1's mean waiting time (Welch)."""
    return (2 * setup + rate * setup_second_moment) / (2 * (1 + rate * setup))


def mm1k_refused(load_factor: float, room: int) -> float:
    """Probability that an arrival finds `room` requests present in M/M/1/K."""
    if load_factor == 1:
        return 1 / (room + 1)
    return (1 - load_factor) * load_factor**room / (1 - load_factor ** (room + 1))


def mm1k_present(load_factor: float, room: int) -> float:
    """Mean number present in M/M/1/K."""
    weights = [load_factor**n for n in range(room + 1)]
    return sum(n * weight for n, weight in enumerate(weights)) / sum(weights)


def delay_station(demand: float, most: int) -> list[float]:
    """Product-form factors of a station without queueing, such as thinking users."""
    return [demand**n / factorial(n) for n in range(most + 1)]


def queue_station(demand: float, most: int, servers: int = 1) -> list[float]:
    """Product-form factors of a station with `servers` exponential servers."""
    factors = [1.0]
    for n in range(1, most + 1):
        factors.append(factors[-1] * demand / min(n, servers))
    return factors


def closed_throughput(users: int, stations: Sequence[Sequence[float]]) -> float:
    """Throughput of a closed product-form network: G(users - 1) / G(users) by convolution."""
    constants = [1.0] + [0.0] * users
    for factors in stations:
        constants = [
            sum(constants[n - k] * factors[k] for k in range(n + 1)) for n in range(users + 1)
        ]
    return constants[users - 1] / constants[users]
