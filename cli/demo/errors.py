"""Faults of the demo."""

from pathlib import Path

from ashore.datasets.errors import AshoreError


class StepFailed(AshoreError):
    """A command of the demo ended with an error."""

    def __init__(self, command: str, code: int, log_path: Path, tail: str) -> None:
        super().__init__(
            f"the demo stopped: `{command}` ended with code {code} where 0 was expected.\n{tail}\n"
            f"The whole log is {log_path}. Mend the cause and run the demo again: finished steps are kept."
        )
