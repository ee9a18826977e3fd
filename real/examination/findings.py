"""What an examination says: one line a fact, with what to do where it is not as it should be."""

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "odd", "broken"]
"""odd is worth a look, broken will not work."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    where: str
    """A topic, or `file` or `bundle`."""
    what: str
    state: State
    detail: str
    advice: str = ""
