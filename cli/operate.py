"""`ashore operate`: start, end and stop a running deployment from the keyboard."""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ashore.real.station import Station

DEAF = "NOBODY HEARD IT: use the hardware's own stop. Is --robot right, and the guard configured?"
KEYS = (
    "SPACE stop   r let go of the stop   a activate   d deactivate   "
    "b, y, n, e episode begins, succeeded, failed, ends   q quit"
)
MARKS = {"b": "begin", "y": "success", "n": "failure", "e": "end"}


@dataclass(frozen=True)
class Operate:
    """Start, end and stop a running deployment from the keyboard. A software stop; keep the hardware's own at hand.

    SPACE presses the stop: the guard brakes within the robot's limits and holds (a quadrotor levels and descends),
    until it is let go of (r) and policy and guard are activated again (a). While this runs, a guard with a deadman
    hears that an operator is there. Marks (b, y, n, e) are for a recorder, where one runs. For example:

      ashore operate --robot panda
      ashore operate --robot crazyflie --domain 7
    """

    robot: str
    """The robot's namespace: panda, crazyflie ..."""
    domain: int | None = None
    """ROS domain; that of the one deployment on this host where not given."""

    def run(self) -> int:
        """Read keys until q, Ctrl-C or the end of the input."""
        from ashore.cli.console import say
        from ashore.cli.keys import pressed_keys
        from ashore.real.network import applied, environment
        from ashore.real.station import Station, find_domain

        domain_id = find_domain(self.domain)
        with applied(environment("loopback", domain_id)), Station(domain_id, self.robot, True) as station:
            say(f"{self.robot} in ROS domain {domain_id}.   {KEYS}")
            for key in pressed_keys():
                if key == "q":
                    break
                self._do(key, station)
        return 0

    def _do(self, key: str, station: "Station") -> None:
        from ashore.cli.console import say

        if key == " ":
            say("STOP is pressed" if station.press(True) else DEAF)
        elif key == "r":
            say("let go; nothing starts by itself" if station.press(False) else DEAF)
        elif key == "a":
            say("active" if station.start() else "refused: look at `ashore status` and the nodes' logs")
        elif key in MARKS:
            # On a thread of its own: no recorder may keep the next key waiting, which may be the stop.
            threading.Thread(target=_mark, args=(station, MARKS[key]), daemon=True).start()
        elif key == "d":
            say("inactive" if station.end() else "refused: look at `ashore status` and the nodes' logs")


def _mark(station: "Station", mark: str) -> None:
    from ashore.cli.console import say

    refusal = station.mark(mark)
    say(f"not marked: {refusal}" if refusal else f"marked: {mark}")
