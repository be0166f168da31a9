"""A budget in minutes, turned into steps: timed at the start, planned again on the way where the speed turns out otherwise.

Every plan is kept in RUN/budget.json with the number of steps that were done when it was made. The run is a function of that file: its
learning rate in step k follows from k and the steps that were planned then, so a run that is taken up again, or repeated with its
budget.json (`repeat`), comes to the same weights.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..errors import UserInputError
from ..files import Unreadable, read_json, write_atomic
from ..model import processes
from . import names
from .folder import RunFolder, Stopped
from .options import DebiasOptions, TrainOptions

FEWEST_STEPS = 20  # below, a run is a jolt and no training
PREVIEWS = 6  # image grids in a run, unless asked otherwise
PREVIEW_SHARE = 0.15  # of a budget in minutes they get at most: where sampling is slow, a grid costs as much as many steps
REVIEWS = (0.1, 0.5)  # shares of the steps after which a plan is looked at again
MOST_PLANS = 4
TOLERANCE = 0.15  # a plan that is off by less stays: starting anew costs a compilation on a GPU
FEWEST_TIMED = 3  # steps that tell a speed
TIMED, WARM_UP = {"cuda": 16, "cpu": 4}, {"cuda": 8, "cpu": 1}  # steps that are timed at the start, the first of them not


@dataclass
class Plan:
    """How many steps a run has, as known after each number of steps."""

    o: DebiasOptions | TrainOptions
    totals: list[tuple[int, int]]  # (steps done when it was made, steps in all), in their order
    previews: int = PREVIEWS  # image grids
    seconds_a_preview: float = 0.0
    fixed: bool = False  # whether it is another run's, which this one repeats at whatever speed
    _seconds: list[float] = field(default_factory=list)  # of the steps since the last plan

    def steps(self, done: int) -> int:
        """Steps in all, as known once `done` of them are done."""
        return next(total for made, total in reversed(self.totals) if made <= done)

    def every(self, done: int) -> int:
        """Steps from one image grid to the next."""
        return self.o.preview_every or max(1, round(self.steps(done) / self.previews))

    def turns_at(self, done: int) -> bool:
        """Whether another plan holds from here on."""
        return any(made == done > 0 for made, _ in self.totals)

    def review(self, run: RunFolder, done: int, seconds: float, training_seconds: float) -> None:
        """Called after each step with the time it took: makes another plan, where one is due and the speed is another than it was."""
        self._seconds.append(seconds)
        total = self.steps(done)
        if self.fixed:
            return
        if self.o.steps or self.turns_at(done) or len(self.totals) >= MOST_PLANS or any(made > done for made, _ in self.totals):
            return
        if done not in {max(FEWEST_TIMED, math.ceil(share * total)) for share in REVIEWS} or len(self._seconds) < FEWEST_TIMED:
            return
        late = self._seconds[len(self._seconds) // 2 :]  # past compilation and warm-up
        seconds_a_step, left = sum(late) / len(late), 60 * self.o.minutes - training_seconds
        if self.o.preview_every:
            left -= self.seconds_a_preview * (done // self.o.preview_every)
            seconds_a_step += self.seconds_a_preview / self.o.preview_every
        else:
            left -= self.seconds_a_preview * self.previews
        wanted = processes.agreed(max(done + 1, FEWEST_STEPS, done + int(left / max(seconds_a_step, 1e-9))))
        if abs(wanted / total - 1) > TOLERANCE:
            self.totals.append((done, wanted))
            self._seconds = []
            self.keep(run)

    def keep(self, run: RunFolder) -> None:
        """Write it to RUN/budget.json."""
        if processes.is_first():
            plans = [{"from": made, "steps": total} for made, total in self.totals]
            kept = {"plans": plans, "previews": self.previews, "seconds_a_preview": self.seconds_a_preview}
            write_atomic(run.shared / names.BUDGET, json.dumps(kept).encode())


def plan_for(
    run: RunFolder, o: DebiasOptions | TrainOptions, device: str, seconds_a_preview: float, first_steps: Callable[[int], Iterator]
) -> Plan:
    """The kept plan, or one made of the steps as given or of the minutes, by timing `first_steps(n)` on a `device` of this type.

    Raises UserInputError where the minutes are too few, and for a kept plan that cannot be read; Stopped where a stop is asked for.
    """
    if o.steps:
        return Plan(o, [(0, o.steps)])
    path = run.shared / names.BUDGET
    try:
        kept = read_json(path)
        plans = [(p["from"], p["steps"]) for p in kept["plans"]]
        return Plan(o, plans, kept["previews"], kept["seconds_a_preview"], kept.get("fixed", False))
    except FileNotFoundError:
        pass
    except (Unreadable, KeyError, TypeError) as error:
        raise UserInputError("out", f"{path} is damaged or of another version", "start a new run") from error
    run.progress("Timing a few steps", 0, 1)
    times = []
    for _ in first_steps(TIMED.get(device, TIMED["cpu"])):
        times.append(time.monotonic())
        if processes.agreed(run.stop_requested()):
            raise Stopped
    times = times[WARM_UP.get(device, WARM_UP["cpu"]) - 1 :]
    seconds_a_step = (times[-1] - times[0]) / (len(times) - 1)
    affordable = int(PREVIEW_SHARE * 60 * o.minutes / max(seconds_a_preview, 1e-9))
    previews = processes.agreed(min(PREVIEWS, max(1, affordable)))
    if o.preview_every:  # as asked for, whatever it costs
        steps = int(60 * o.minutes / (seconds_a_step + seconds_a_preview / o.preview_every))
    else:
        steps = int((60 * o.minutes - previews * seconds_a_preview) / seconds_a_step)
    steps = processes.agreed(steps)
    if steps < FEWEST_STEPS:
        found = f"{o.minutes:g} minutes allow only {max(0, steps)} steps on this machine, at {seconds_a_step:.1f} s a step"
        raise UserInputError("minutes", found, f"at least {FEWEST_STEPS} are needed: give more minutes, or set steps")
    plan = Plan(o, [(0, steps)], previews, seconds_a_preview)
    plan.keep(run)
    return plan


def repeat(run: RunFolder, again: RunFolder) -> None:
    """Give `again` the plans that `run` and its parts came to in the end; they are not made anew there.

    Raises UserInputError for one that cannot be read.
    """
    for path in run.path.rglob(names.BUDGET):
        copy = again.path / path.relative_to(run.path)
        if copy.is_file():
            continue
        try:
            kept = read_json(path)
        except Unreadable as error:
            raise UserInputError("run", f"{path} is damaged, so its steps are not known", "start a new run") from error
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(copy, json.dumps({**kept, "fixed": True}).encode())
