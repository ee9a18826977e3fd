"""The policy's process: observations in, a proposal every command period out; never a word to the robot itself."""

import argparse
import secrets
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ashore.policies.bundle import open_bundle
from ashore.policies.execution.executor import ChunkExecutor
from ashore.policies.ranking.gate import check_evidence
from ashore.real.errors import NotReady
from ashore.real.health import Health
from ashore.real.mapping import RobotMapping
from ashore.real.nodes.base import Work, run_node
from ashore.real.nodes.familiar import Watch
from ashore.real.nodes.link import Answer, Link, Setting
from ashore.real.nodes.senses import Senses
from ashore.real.nodes.thinking import Thinking
from ashore.real.nodes.told import BundleFile, add_bundle, bundle_file
from ashore.real.rate import Loop, PhaseLock, first_tick_s
from ashore.real.vector import VECTOR_TYPE, element_names, proposal_names, to_vector
from ashore.sim.interfaces import make_interface

Array = NDArray[Any]
LAG_S = 0.002
"""How long after the robot's observations the policy's tick comes."""
HOLD_UNFAMILIAR = Setting(
    0.0, 0.0, 60.0, "Propose nothing after observations of another kind for so many seconds; 0 only warns."
)
PATIENCE = 0.25
"""Part of a command period that a tick waits for a plan just asked for, so that a quick policy answers at once."""


class PolicyWork(Work):
    """Runs executor and interface at the command rate, inference beside it."""

    def __init__(self, bundle: BundleFile, mapping: RobotMapping, seed: int, must_be_ranked: bool = False) -> None:
        self._bundle_file = bundle
        self._must_be_ranked = must_be_ranked
        self._mapping = mapping
        self._seed = seed
        self._loop: Loop | None = None

    def configure(self, link: Link) -> None:
        """Load the bundle, compare it with the mapping, warm the network up, connect."""
        bundle = open_bundle(*self._bundle_file)
        check_evidence(bundle, is_overridden=not self._must_be_ranked)
        planner = bundle.planner()
        contract, card, self._bundle_mark = bundle.contract, bundle.card, bundle.mark
        self._link, self._contract = link, contract
        self._interface = make_interface(card.interface)
        self._mapping.check(contract, card, self._interface.derived)
        measured = [feature for feature in contract.observations if feature.name not in self._interface.derived]
        self._now_s = link.clock.now_s
        self._senses = Senses(measured, self._mapping.observing([feature.name for feature in measured]), self._now_s)
        self._executor = ChunkExecutor(contract, planner.obs_horizon, planner.action_horizon, 1)
        self._thinking = Thinking(planner, self._seed, link.clock)
        self._thinking.warm_up()
        self._period_s = 1.0 / card.command_hz
        self._ticks_per_step = max(1, round(card.command_hz / contract.control_hz))
        self._lock = PhaseLock(self._period_s, LAG_S)
        self._max_age_s = card.limits.timeout_s
        self._names = proposal_names(card.commands)
        self._step_names = element_names((*contract.observations, *contract.actions))
        self._watch = Watch(planner.familiarity)
        self._hold_s = float(link.parameter("hold_unfamiliar_s", HOLD_UNFAMILIAR))
        self._propose = link.publisher("proposal", VECTOR_TYPE, "order")
        self._tell_step = link.publisher("step", VECTOR_TYPE, "order")
        link.serve("policy/report", self._report)
        self._senses.connect(link)
        self._has_returned = False
        link.clock.on_return(self._return)
        self._loop = Loop("policy", self._period_s, self.tick, link.clock)

    def activate(self) -> None:
        """Start from an empty history.

        Raises:
            NotReady: what is observed now is not of the kind that the policy learnt from, or a topic is too slow;
                only where unfamiliar observations end in a hold, as on a robot.
        """
        if self._hold_s > 0:
            self._require_ready()
        self._begin_anew()
        self._held_by = ""
        self._tick_index = 0
        self._source = float(secrets.randbits(52))
        now_s = self._now_s()
        first_s = first_tick_s(now_s, self._senses.first_age_s(now_s), self._period_s, LAG_S)
        self._senses.forget()
        if self._loop is not None:
            self._loop.start(first_s)

    def deactivate(self) -> None:
        """Stop proposing; a plan in the making is thrown away."""
        if self._loop is not None:
            self._loop.stop()
            self._thinking.stop()

    def tick(self, now_s: float) -> None:
        """Do one command period: observe, plan if due, decode, propose."""
        if self._has_returned:
            self._begin_anew()
        measured = self._senses.measured()
        if measured is None or self._loop is None:
            return
        self._loop.pacer.shift(self._lock.shift_s(self._senses.first_age_s(now_s) or 0.0))
        if self._senses.age_s(now_s) > self._max_age_s:
            self._link.refuse("an observation is stale; nothing is proposed")
            return
        observed = self._interface.derive(measured)
        obs = self._contract.flatten_observation(observed)
        if not np.all(np.isfinite(obs)):
            self._link.refuse("an observation holds NaN or infinity; nothing is proposed")
            return
        is_step = self._tick_index % self._ticks_per_step == 0
        if is_step:
            self._executor.observe(obs, now_s)
            self._watch.see(observed, obs[0], now_s)
        self._tick_index += 1
        self._held_by = self._watch.problem(now_s, self._hold_s) if self._hold_s > 0 else ""
        if self._held_by:
            self._link.refuse(f"{self._held_by}; nothing is proposed")
            return
        self._plan(now_s, is_step)
        action, age_s = self._executor.action(now_s)
        if not np.all(np.isfinite(action)):
            return
        command = self._interface.decode(self._contract.split_action(action), observed)
        stamp = self._link.stamp()
        self._propose(to_vector(self._names, np.append(command[0], [age_s[0], self._tick_index, self._source]), stamp))
        if is_step:
            self._tell_step(to_vector(self._step_names, np.concatenate([obs[0], action[0]]), stamp))

    def _begin_anew(self) -> None:
        """Forget what was seen and planned."""
        self._has_returned = False
        self._watch.reset()
        self._thinking.stop()
        self._executor.reset(np.array([0]))

    def _return(self) -> None:
        """Hear that time jumps back: what was seen and planned is of another run."""
        self._senses.outdate()
        self._has_returned = True

    def _require_ready(self) -> None:
        """Compare what is observed now with the data that the policy learnt from, before anything moves."""
        measured = self._senses.measured()
        faults = self._senses.slow(1.0 / self._contract.control_hz)
        if measured is not None:
            observed = {name: value[0] for name, value in self._interface.derive(measured).items()}
            faults += self._watch.familiarity.strange(observed)
        if faults:
            raise NotReady(faults)

    def _plan(self, now_s: float, is_step: bool) -> None:
        wait_s = 0.0
        if is_step and not self._thinking.busy and self._executor.due(now_s)[0]:
            self._thinking.ask(self._executor.history(), now_s)
            wait_s = PATIENCE * self._period_s
        plan = self._thinking.take(wait_s)
        if plan is not None:
            self._executor.accept(np.array([0]), plan.chunk, np.array([plan.stamp_s]), now_s)

    def health(self) -> Health:
        """Say whether it proposes, and what keeps it from that."""
        facts = {
            "bundle": self._bundle_mark,
            "inference_ms": self._thinking.latencies.recent_ms(),
            "proposals": self._tick_index,
            "strangeness": self._watch.distance,
        }
        age_s = self._senses.age_s(self._now_s())
        if age_s > self._max_age_s:
            waiting = "no observation of every topic yet" if np.isinf(age_s) else f"an observation is {age_s:.1f} s old"
            return Health("warning", f"{waiting}; nothing is proposed", facts)
        if self._held_by:
            return Health("warning", f"{self._held_by}; nothing is proposed", facts)
        if self._watch.distance > 1.0:
            return Health("warning", "observations are of another kind than the data; proposing", facts)
        return Health("ok", "proposing", facts)

    def _report(self) -> Answer:
        loop = self._loop
        facts = {
            "inference_ms": self._thinking.latencies.take_ms(),
            "period_ms": loop.periods.take_ms() if loop else [],
            "misses": loop.pacer.take_missed() if loop else 0,
            "refused": self._link.take_refused(),
        }
        return Answer(True, facts)


def make(argv: Sequence[str]) -> tuple[PolicyWork, str]:
    """Read the command line of the policy's process."""
    parser = argparse.ArgumentParser(prog="ashore-policy", description="Propose commands from a bundle's policy.")
    add_bundle(parser, "that is run")
    parser.add_argument("--mapping", required=True, help="name of the robot's mapping")
    parser.add_argument("--namespace", default="", help="the robot's ROS namespace")
    parser.add_argument("--seed", type=int, default=0, help="seed of the policy's sampling noise")
    parser.add_argument("--ranked", action="store_true", help="refuse a bundle without evidence, or with a veto")
    given = parser.parse_args(argv)
    return PolicyWork(bundle_file(given), RobotMapping.named(given.mapping), given.seed, given.ranked), given.namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run the policy's process; returns its exit code."""
    return run_node("policy", make, argv)


if __name__ == "__main__":
    sys.exit(main())
