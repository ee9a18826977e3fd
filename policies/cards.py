"""What a run must know of its robot and its task: from the registries, or else from the data."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ashore.datasets.contract import Contract
from ashore.policies.training_data import TrainingData
from ashore.sim.robot import CommandLimits, RobotCard


def task_encoding(task: str) -> Mapping[str, Any]:
    """Give the encoding that a registered task suggests, or Push-T's; empty for any other task."""
    from ashore.datasets.formats.pusht_contract import PUSHT_CONTRACT, PUSHT_ENCODING
    from ashore.sim.tasks import is_task, make_task

    if task == PUSHT_CONTRACT.task:
        return PUSHT_ENCODING
    return make_task(task).encoding() if is_task(task) else {}


def robot_card(data: TrainingData) -> RobotCard:
    """Give the card of the tasks' robot, or one that takes actions as they are for data of unknown robots."""
    from ashore.sim.tasks import is_task, make_task

    task = (data.tasks[0] if data.tasks else data.contract).task
    if is_task(task):
        return make_task(task).robot.card
    actions = data.gather(np.arange(len(data.windows)))[1].numpy()
    flat = actions.reshape(-1, data.contract.action_width)
    return direct_card(data.contract, flat.min(0), flat.max(0))


def direct_card(contract: Contract, low: Any, high: Any) -> RobotCard:
    """Make a card whose commands are the contract's actions.

    Args:
        contract: names, units and, where it has them, limits.
        low: (Da,) smallest demonstrated actions; limits, with a tenth of the range to spare, where there are none.
        high: (Da,) largest ones.
    """
    spare = 0.1 * (np.asarray(high) - np.asarray(low)) + 1e-6
    lows, highs = (np.asarray(low) - spare).tolist(), (np.asarray(high) + spare).tolist()
    for action in contract.actions:
        place = contract.action_slices[action.name]
        lows[place] = action.low or lows[place]
        highs[place] = action.high or highs[place]
    # Any command may follow any other: the range over one period.
    rates = [(top - bottom) * contract.control_hz for bottom, top in zip(lows, highs, strict=True)]
    width = contract.action_width
    limits = CommandLimits(
        low=tuple(lows),
        high=tuple(highs),
        max_rate=tuple(rates),
        max_lead=(None,) * width,
        lead_of=(None,) * width,
        timeout_s=max(0.15, 3 * contract.period_s),
    )
    interface = {"kind": "direct", "actions": [action.name for action in contract.actions]}
    return RobotCard(contract.robot, contract.control_hz, contract.actions, limits, interface)
