"""`ashore rank`: which policy to deploy, with evidence."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

if TYPE_CHECKING:
    from ashore.policies.ranking.ranking import Ranking

HEADINGS = ("", "policy", "score", "success, 95 % Wilson", "strange", "stops", "vetoes")


@dataclass(frozen=True)
class Rank:
    """Order policies of one task: the same draws in simulation for each, and how strange real observations are to it.

    Every run gets its evidence.json, which `ashore export` puts into the bundle. For example:

      ashore rank out/student out/other --real out/seen --out out/ranking
    """

    runs: Annotated[tuple[Path, ...], Positional]
    """The runs' folders."""
    real: Path | None = None
    """Store of episodes that the robot or its twin recorded; without it the order is that of simulated success."""
    episodes: int = 200
    """Simulated episodes a policy."""
    level: str = "wide"
    """What varies between episodes: none, narrow, wide, or a file such as my_cell.yaml (docs/randomization.md)."""
    latency_ms: float = 20.0
    """Time that inference takes."""
    seed: int = 730_000
    """Decides the draws; unlike any seed that data is collected with."""
    detector: str = "nearest"
    """What measures how strange observations are."""
    out: Path = Path("out/ranking")
    """Folder for ranking.json and ranking.png."""

    def run(self) -> int:
        """Rank, write the evidence, and show the order."""
        import json

        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.policies.ranking.evidence import save_evidence
        from ashore.policies.ranking.plot import plot_ranking
        from ashore.policies.ranking.ranking import rank
        from ashore.policies.ranking.scores import RankingConfig

        config = RankingConfig(
            episodes=self.episodes,
            level=self.level,
            seed=self.seed,
            latency_s=self.latency_ms / 1000.0,
            detector=self.detector,
        )
        with shown("rank") as progress:
            ranking = rank(self.runs, self.real, config, progress)
        save_evidence(ranking)
        self.out.mkdir(parents=True, exist_ok=True)
        content = {"task": ranking.task, "real": str(self.real) if self.real else None, "policies": ranking.rows()}
        (self.out / "ranking.json").write_text(json.dumps(content, indent=2) + "\n")
        plot_ranking(ranking, self.out / "ranking.png")
        show_ranking(ranking)
        say(f"Written: {self.out}/ranking.json, {self.out}/ranking.png and evidence.json in each run.")
        return 0


def show_ranking(ranking: "Ranking") -> None:
    """Print the order as a table, and below it every veto."""
    from ashore.cli.console import say, show_table

    rows = ranking.rows()
    lines = [
        (
            row["place"],
            row["policy"],
            round(row["score"], 3),
            f"{row['success']:.1%} ({row['success_low']:.1%} to {row['success_high']:.1%})",
            row["strangeness"],
            row["guard_stops"],
            len(row["vetoes"]),
        )
        for row in rows
    ]
    show_table(f"ranking for {ranking.task}", HEADINGS, lines)
    for row in rows:
        for veto in row["vetoes"]:
            say(f"Veto against {row['policy']}: {veto}")
