"""Interleaved timing with a guard: a sample taken while something else ran is repeated.

Contenders take turns (A B C, A B C, ...), so that drift hits all alike. A turn is a pause
until no thread of this process spins any more, one untimed call, then timed ones. It counts
only if, over the whole turn, our threads hardly waited for a CPU
(/proc/self/task/*/schedstat), the CPUs were busy for nobody else and the hypervisor took none
away (/proc/stat, in ticks of 10 ms), and multiply-adds on all threads at once ran as fast after
it as they ever did: some hypervisors take a CPU away in slices of milliseconds, for seconds,
and do not say so. Then the next turn waits until they are fast again.
Used by every command: ``python -m benchmarks``.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastconv import runtime

from .peers import Contender

#: A turn is disturbed beyond: the share of its time that threads waited or CPUs were taken,
#: the same for others' work with two ticks of leave, and the slowdown of the multiply-adds.
LOST_SHARE = 0.02
OTHERS_SHARE = 0.05
SLOWDOWN = 1.15
#: Of multiply-adds: several slices of what takes a CPU away.
PROBE_SECONDS = 0.012
#: For so long, in all, the contenders of one problem wait for the machine.
WAIT_SECONDS = 5.0
TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Effort:
    """How much to measure: turns, seconds of timed calls in a turn, seconds for a contender."""

    turns: int = 9
    turn_seconds: float = 0.03
    limit_seconds: float = 3.0
    most_calls: int = 50


QUICK = Effort(turns=3, turn_seconds=0.01, limit_seconds=0.5)


@dataclass
class Timing:
    """What was measured of one contender, in seconds a call."""

    samples: list[float] = field(default_factory=list)
    turns: int = 0
    repeated: int = 0
    disturbed: int = 0

    @property
    def median(self) -> float:
        """Median over all the calls of the turns that count."""
        return statistics.median(self.samples)

    @property
    def minimum(self) -> float:
        """Fastest call."""
        return min(self.samples)


class Guard:
    """Tells whether the machine was ours alone since ``begin``."""

    def __init__(self) -> None:
        self._best = max(_multiply_adds() for _ in range(5))
        self._begin = self._clocks()

    def begin(self) -> None:
        """Remember where the clocks stand."""
        self._begin = self._clocks()

    def undisturbed(self, contends: bool = False) -> bool:
        """Whether nothing but us ran since ``begin``; ``contends``: our threads wait for us."""
        ends = zip(self._begin, self._clocks(), strict=True)
        settle()  # a peer's threads may spin for a while
        elapsed, ours, waited, busy, stolen = (end - start for start, end in ends)
        lost = stolen * TICK + (0 if contends else waited)
        others = busy * TICK - ours - 2 * TICK
        return (
            lost <= LOST_SHARE * elapsed and others <= OTHERS_SHARE * elapsed and self._full_speed()
        )

    def wait(self, limit_seconds: float) -> float:
        """Wait until the machine runs at full speed, not beyond the limit; return how long."""
        start = time.perf_counter()
        while not self._full_speed() and time.perf_counter() - start < limit_seconds:
            time.sleep(0.1)
        return time.perf_counter() - start

    def _full_speed(self) -> bool:
        rate = _multiply_adds()
        self._best = max(self._best, rate)
        return rate * SLOWDOWN >= self._best

    @staticmethod
    def _clocks() -> tuple[float, ...]:
        """Seconds of wall, of our CPU time, of our waiting; ticks of busy and stolen CPU time."""
        return (time.perf_counter(), time.process_time(), _waited(), *_cpu_ticks())


def _multiply_adds() -> float:
    """Return how many a second, on as many threads as fastconv uses."""
    return runtime.measure_peak("fma", seconds=PROBE_SECONDS)


def _waited() -> float:
    """Seconds for which threads of this process were ready to run and did not."""
    total = 0
    for task in Path("/proc/self/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[1])
        except (OSError, IndexError):  # a thread that just ended, or a kernel without it
            continue
    return total * 1e-9


def _cpu_ticks() -> tuple[int, int]:
    """Busy and stolen ticks of all CPUs."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq, steal, *_ = map(int, stat.readline().split()[1:])
    return user + nice + system + irq + softirq, steal


def settle(limit_seconds: float = 0.1) -> None:
    """Wait until no thread of this process spins for work any more."""
    deadline = time.perf_counter() + limit_seconds
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(0.001)
        now = time.perf_counter()
        if time.process_time() - cpu < 0.2 * (now - wall) or now > deadline:
            return


def measure(
    contenders: Sequence[Contender], effort: Effort, guard: Guard | None = None
) -> list[Timing]:
    """Time the calls in turns; each result is dropped within its own timed region."""
    guard = guard or Guard()
    timings = [Timing() for _ in contenders]
    counts = [_calls_a_turn(contender.call, effort) for contender in contenders]
    patience = WAIT_SECONDS
    for _ in range(3 * effort.turns):  # twice as many again for disturbed ones
        for contender, count, timing in zip(contenders, counts, timings, strict=True):
            if _complete(timing, effort):
                continue
            samples, clean = _turn(contender, count, guard)
            if clean:
                timing.turns += 1
                timing.samples += samples
            else:
                timing.repeated += 1
                if patience > 0:
                    patience -= guard.wait(patience)
                # On a machine that is never quiet something must count in the end.
                if timing.repeated > 2 * effort.turns:
                    timing.turns += 1
                    timing.disturbed += 1
                    timing.samples += samples
    return timings


def _complete(timing: Timing, effort: Effort) -> bool:
    if timing.turns >= effort.turns:
        return True
    return timing.turns >= 3 and sum(timing.samples) >= effort.limit_seconds


def _calls_a_turn(call: Callable[[], Any], effort: Effort) -> int:
    call()
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    return max(1, min(effort.most_calls, int(effort.turn_seconds / once)))


def _turn(contender: Contender, count: int, guard: Guard) -> tuple[list[float], bool]:
    call = contender.call
    settle()
    guard.begin()
    call()
    samples = []
    clock = time.perf_counter
    for _ in range(count):
        start = clock()
        call()
        samples.append(clock() - start)
    return samples, guard.undisturbed(contender.contends)
