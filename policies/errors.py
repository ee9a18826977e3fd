"""Faults of policies, bundles and execution."""

from collections.abc import Sequence
from pathlib import Path

from ashore.datasets.errors import AshoreError, printable


class InvalidEncoding(AshoreError):
    """An observation encoding that does not fit its contract; lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the encoding has {len(faults)} fault(s):\n{lines}\nCorrect the task's encoding() or the config."
        )


class InvalidConfig(AshoreError):
    """A config whose values do not fit together; lists every fault."""

    def __init__(self, what: str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"{what} has {len(faults)} fault(s):\n{lines}\nCorrect these fields.")


class InvalidGoal(AshoreError):
    """A goal that a policy was not trained for, or lacks; lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the goal has {len(faults)} fault(s):\n{lines}\nGive each of the policy's goals as --goal NAME=NUMBERS."
        )


class CannotMix(AshoreError):
    """Tasks that one policy cannot learn together; lists every disagreement."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"these tasks cannot be learnt by one policy, for {len(faults)} reason(s):\n{lines}\n"
            "Expected one robot, one rate, the same actions, and observations that mean the same wherever they have "
            "one name. Train a policy for each, or collect them with one robot."
        )


class UnusableData(AshoreError):
    """Demonstrations that nothing can be learnt from; lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the data has {len(faults)} fault(s):\n{lines}\nExpected finite numbers and actions that vary. "
            "Look at it with `ashore doctor data STORE`, and leave the episodes out with `ashore datasets delete`."
        )


class NotEnoughMemory(AshoreError):
    """A run that would need more memory than is free."""

    def __init__(self, needed: Sequence[str], total_bytes: float, free_bytes: float) -> None:
        lines = "\n".join(f"  {line}" for line in needed)
        super().__init__(
            f"training would need about {total_bytes / 1e9:.1f} GB, and {free_bytes / 1e9:.1f} GB are free:\n{lines}\n"
            "Lower --batch-size, choose a smaller network with --size, or train on fewer episodes."
        )


class CheckpointNotSaved(AshoreError):
    """A disk that refused a checkpoint; the one before is whole."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"cannot save a checkpoint of {path}: {problem}. Expected a disk with space that this user may write to. "
            "The checkpoint before is whole: make room, and give the same command again to go on from it."
        )


class NothingToSelect(AshoreError):
    """A run that kept no candidates to choose from."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} has no candidates to choose from. Expected weights in its folder candidates/. "
            "Train it with --candidates 10."
        )


class NotARun(AshoreError):
    """A folder that is no training run, or one that has no checkpoint yet."""

    def __init__(self, path: Path, missing: str) -> None:
        super().__init__(
            f"{path} is not a usable run: {missing} is missing. Expected a folder that `ashore train` or "
            "`ashore distill` made. Give that folder, or train again."
        )


class RunExists(AshoreError):
    """A run folder that was made with other settings, so that it can neither be resumed nor overwritten."""

    def __init__(self, path: Path, differing: Sequence[str]) -> None:
        lines = "\n".join(f"  {line}" for line in differing)
        super().__init__(
            f"{path} already holds a run with other settings:\n{lines}\n"
            "Resume it with the same settings, or give another folder with --out."
        )


class TooFewWindows(AshoreError):
    """Too little data to make one batch or to hold some back."""

    def __init__(self, windows: int, episodes: int, needed: str) -> None:
        super().__init__(
            f"the data has {windows} window(s) in {episodes} usable episode(s); training needs {needed}. "
            "Collect more episodes, or check that they are marked as successful."
        )


class TrainingDiverged(AshoreError):
    """A loss that is no longer a number."""

    def __init__(self, update: int, learning_rate: float) -> None:
        super().__init__(
            f"the loss was not finite at update {update} (learning rate {learning_rate:.2e}). Expected a finite loss. "
            "Lower --learning-rate, and check the data with `ashore datasets verify`; the last checkpoint is kept."
        )


class ParityFailed(AshoreError):
    """An exported graph that does not compute what the trained policy computes."""

    def __init__(self, worst: float, tolerance: float) -> None:
        super().__init__(
            f"the exported graph differs from the trained policy by {worst:.2e} on normalised actions; "
            f"at most {tolerance:.0e} is accepted. No bundle was written. "
            "Report this with the versions from `ashore doctor`."
        )


class NotATeacher(AshoreError):
    """A run that cannot be distilled."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(
            f"{path} is a {kind} run that cannot be distilled. Expected a diffusion run of the EDM process. "
            "Train one: `ashore train STORE --policy diffusion --process edm`."
        )


class ChunkMismatch(AshoreError):
    """A chunk that does not fit the contract and the horizons of its executor."""

    def __init__(self, shape: tuple[int, ...], shortest: int, width: int) -> None:
        super().__init__(
            f"a chunk has shape {shape}; expected (K, Tp, {width}) with Tp at least {shortest}. "
            "Give the executor the planner's own contract and horizons."
        )


class InvalidCommand(AshoreError):
    """Something that no guard can judge: wrong shape or width, or an observation that the limits need is absent."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the guard was given {len(faults)} thing(s) that it cannot judge:\n{lines}\n"
            "Send the commands of the robot's card, with the observations of its contract."
        )


class InvalidLimits(AshoreError):
    """A robot card whose limits contradict themselves; lists every fault."""

    def __init__(self, robot: str, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the limits of robot {robot!r} have {len(faults)} fault(s):\n{lines}\nCorrect them in the robot's card."
        )


class InvalidBundle(AshoreError):
    """A bundle that is not what its exporter wrote, or cannot be run; names the file inside it."""

    def __init__(self, path: Path | str, file: str, problem: str) -> None:
        super().__init__(
            f"{path} cannot be used: {printable(file)}: {printable(problem)}. Expected a bundle exactly as "
            "`ashore export` wrote it. Copy it again, or export the run again."
        )


class OtherBundle(AshoreError):
    """A bundle's file that is another one than the rest of its deployment runs."""

    def __init__(self, path: Path | str, expected: str, found: str) -> None:
        super().__init__(
            f"{path} is not the bundle that this deployment was planned with: its SHA-256 is {found}. "
            f"Expected {printable(expected)}: every process of a deployment runs the very same file. "
            "Start the deployment again to run what is there now; if it should not have changed, export it again first."
        )


class EvaluationMismatch(AshoreError):
    """Draws, seeds or a simulation that do not fit each other."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"the evaluation has {len(faults)} fault(s):\n{lines}\n"
            "Give one draw and one seed an episode, at least one episode, and the policy's own task."
        )


class CannotRank(AshoreError):
    """Policies or real episodes that cannot be compared; lists every fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(
            f"ranking is not possible, for {len(faults)} reason(s):\n{lines}\n"
            "Rank finished runs of one contract, against episodes of that contract."
        )


class EvidenceMissing(AshoreError):
    """A bundle that was never ranked, or whose evidence belongs to other weights."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(
            f"{path} may not be deployed: {problem}. Expected evidence from `ashore rank` for exactly these weights. "
            "Rank the run and export it again, or override it by name."
        )


class EvidenceRejected(AshoreError):
    """A bundle that the ranker vetoed; lists every veto."""

    def __init__(self, path: Path | str, vetoes: Sequence[str]) -> None:
        lines = "\n".join(f"  {veto}" for veto in vetoes)
        super().__init__(
            f"{path} may not be deployed: the ranking holds {len(vetoes)} veto(es) against it:\n{lines}\n"
            "Deploy a policy without vetoes, improve this one and rank it again, or override it by name."
        )


class InvalidCount(AshoreError):
    """Numbers of successes and trials that cannot be."""

    def __init__(self, k: int, n: int) -> None:
        super().__init__(
            f"{k} success(es) in {n} trial(s) is impossible. Expected 0 <= successes <= trials and at least one trial."
        )
