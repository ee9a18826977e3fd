"""`ashore datasets info|show|stats|plot|verify|log`: what a store holds; nothing is changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional

if TYPE_CHECKING:
    from ashore.datasets.contract import Contract, Feature
    from ashore.datasets.episode import Episode, EpisodeMeta
    from ashore.datasets.statistics import StoreSummary

DAMAGED = 1
"""Exit code of a verification that found damage."""
N_ELEMENTS = 16
"""Elements of a feature that tables show; JSON has all."""


@dataclass(frozen=True)
class Info:
    """Show what a store holds: contract, episodes, where they came from.

    For example:

      ashore datasets info out/arm
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""

    def run(self) -> int:
        """Show it."""
        from ashore.cli.console import say
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        contract = store.contract
        metas = [store.read_meta(index) for index in store.indices]
        say(f"{self.store}: {contract.task} on {contract.robot}, {contract.control_hz:g} Hz, {len(store)} episodes")
        say(f"contract {contract.digest}")
        undoable = len(store.edits.undoable())
        say(f"{_disk_text(self.store)}; {len(store.edits.log)} edit(s), {undoable} of them can be undone")
        _show_features(contract)
        _show_origins(metas)
        return 0


@dataclass(frozen=True)
class Show:
    """Show one episode: where it came from, the range of each feature, cameras, ages of streams.

    For example:

      ashore datasets show out/arm 12
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    episode: Annotated[int, Positional]
    """Its index."""

    def run(self) -> int:
        """Show it."""
        from ashore.cli.console import say, show_table
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        episode = store.read(self.episode, on_disk=True)
        kept = store.kept(self.episode)
        span_s = float(episode.time_s[-1] - episode.time_s[0])
        trimmed = f", trimmed to steps {kept.start} to {kept.stop} of its file" if kept else ""
        say(f"{self.store}, episode {self.episode}: {len(episode)} steps, {span_s:.3f} s{trimmed}")
        described = episode.meta.to_plain()
        if "initial_state" in described:
            described["initial_state"] = f"{len(episode.meta.initial_state)} numbers"
        rows = [(name, _plain(value)) for name, value in described.items() if value not in (None, "", {})]
        show_table("description", ("name", "value"), rows)
        show_table("features", ("name", "element", "unit", "first", "min", "max", "last"), _range_rows(episode))
        if episode.images:
            rows_of_images = [
                (name, frames.feature.colour, str(frames.feature.shape), frames.feature.codec, len(frames))
                for name, frames in episode.images.items()
            ]
            show_table("cameras", ("name", "colour", "shape", "codec", "frames"), rows_of_images)
        if episode.streams:
            headings = ("name", "rule", "samples", "rate Hz", "median age ms", "highest age ms", "allowed ms")
            show_table("streams", headings, _stream_rows(episode))
        return 0


@dataclass(frozen=True)
class Stats:
    """Show count, mean, spread, range and quantiles of every feature, exact over all episodes.

    For example:

      ashore datasets stats out/arm --json > stats.json
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    json: bool = False
    """Print JSON, all elements of all features."""

    def run(self) -> int:
        """Sum up, and show."""
        import json

        from ashore.cli.console import say, show_table
        from ashore.cli.progress import shown
        from ashore.datasets.statistics import summarize
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        with shown("statistics") as progress:
            summary = summarize(store, progress)
        if self.json:
            say(json.dumps(_stats_json(store.contract, summary), indent=2))
            return 0
        say(f"{self.store}: {summary.n_episodes} episodes, {summary.n_steps} steps")
        headings = ("name", "element", "unit", "mean", "std", "min", "1 %", "10 %", "50 %", "90 %", "99 %", "max")
        show_table("features", headings, _stats_rows(store.contract, summary))
        if summary.images:
            rows = [
                (name, image.n_frames, image.n_sampled, _numbers(image.mean), _numbers(image.std))
                for name, image in summary.images.items()
            ]
            show_table("cameras, by channel", ("name", "frames", "looked at", "mean", "std"), rows)
        return 0


@dataclass(frozen=True)
class Plot:
    """Draw a store as one HTML page: trajectories, actions, draws, lengths, pictures, findings.

    For example:

      ashore datasets plot out/arm --out arm.html
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""
    out: Path
    """The page; it needs no other file and no network. One that is there is replaced."""
    episodes: int = 40
    """Episodes whose trajectories are drawn, evenly over the store."""

    def run(self) -> int:
        """Draw it."""
        from ashore.cli.console import say
        from ashore.cli.datasets.page import write_store_page
        from ashore.cli.progress import shown
        from ashore.datasets.store import EpisodeStore

        store = EpisodeStore.open(self.store, readonly=True)
        with shown("plot") as progress:
            write_store_page(store, self.out, self.episodes, progress)
        say(f"Page: {self.out}")
        return 0


@dataclass(frozen=True)
class Verify:
    """Read every byte of a store and list what is damaged, missing or left over; exit code 1 where there is any.

    For example:

      ashore datasets verify out/arm
    """

    store: Annotated[Path, Positional]
    """Folder of the store; it may be too damaged to open."""

    def run(self) -> int:
        """Verify, and list the faults."""
        from ashore.cli.console import say
        from ashore.cli.progress import shown
        from ashore.datasets.errors import NotAStore
        from ashore.datasets.layout import episode_names
        from ashore.datasets.verification import verify_store

        if not any((self.store / name).exists() for name in ("store.json", "contract.json", "episodes")):
            raise NotAStore(self.store, "there is no store.json, contract.json or episodes/")
        with shown("verify") as progress:
            faults = verify_store(self.store, progress)
        for fault in faults:
            say(str(fault))
        say(f"{self.store}: {len(episode_names(self.store))} episodes, {len(faults)} fault(s).")
        return DAMAGED if faults else 0


@dataclass(frozen=True)
class Log:
    """List the edits of a store, by whom and why, and which of them can be undone.

    For example:

      ashore datasets log out/arm
    """

    store: Annotated[Path, Positional]
    """Folder of the store."""

    def run(self) -> int:
        """List them."""
        from ashore.cli.console import say, show_table
        from ashore.datasets.edits import ranges
        from ashore.datasets.store import EpisodeStore

        edits = EpisodeStore.open(self.store, readonly=True).edits
        rows = []
        for number, edit in enumerate(edits.log):
            steps = f"{edit.start} to {edit.stop}" if edit.kind == "trim" else ""
            state = "can be undone" if number in edits.undoable() else "undone" if edits.is_undone(number) else ""
            rows.append((number, edit.when, edit.who, edit.kind, ranges(sorted(edit.episodes)), steps, edit.why, state))
        if rows:
            show_table("edits", ("edit", "when", "who", "what", "episodes", "steps kept", "why", "state"), rows)
        say(f"{self.store}: {len(rows)} edit(s).")
        return 0


def _disk_text(path: Path) -> str:
    sizes = {folder: _size(path / folder) for folder in ("episodes", "journal")}
    journal = f", {sizes['journal'] / 1e6:.1f} MB in journals" if sizes["journal"] else ""
    return f"{sizes['episodes'] / 1e6:.1f} MB of episodes on disk{journal}"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir()) if folder.is_dir() else 0


def _show_features(contract: "Contract") -> None:
    from ashore.cli.console import show_table
    from ashore.datasets.features import ImageFeature

    groups = (("observation", contract.observations), ("action", contract.actions), ("image", contract.images))
    rows = []
    for side, group in groups:
        for f in group:
            told = f"{f.colour}, {f.codec}" if isinstance(f, ImageFeature) else ""
            told += f"{', ' if told else ''}aligned by {f.align.rule}" if f.align is not None else ""
            told += f"{', ' if told else ''}optional" if f.optional else ""
            rows.append((f.name, side, str(f.shape), f.unit, f.frame, f.dtype, told))
    show_table("features", ("name", "side", "shape", "unit", "frame", "dtype", "more"), rows)


def _show_origins(metas: "Sequence[EpisodeMeta]") -> None:
    from ashore.cli.console import show_table

    total = Counter((meta.source, meta.operator) for meta in metas)
    success = Counter((meta.source, meta.operator) for meta in metas if meta.success)
    unjudged = Counter((meta.source, meta.operator) for meta in metas if meta.success is None)
    truncated = Counter((meta.source, meta.operator) for meta in metas if meta.truncated)
    rows = [(*key, total[key], success[key], unjudged[key], truncated[key]) for key in sorted(total)]
    show_table("episodes", ("source", "operator", "episodes", "success", "unjudged", "truncated"), rows)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"[{', '.join(_plain(item) for item in value)}]" if isinstance(value, list) else str(value)


def _element_names(feature: "Feature") -> list[str]:
    if not feature.shape:
        return [""]
    return list(feature.components) or [str(number) for number in range(feature.size)]


def _range_rows(episode: "Episode") -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for feature in (*episode.contract.observations, *episode.contract.actions):
        values = episode.observations.get(feature.name, episode.actions.get(feature.name))
        if values is None:
            rows.append((feature.name, "absent", feature.unit, None, None, None, None))
            continue
        flat = values.reshape(len(values), -1).astype(float)
        for element, name in enumerate(_element_names(feature)[:N_ELEMENTS]):
            column = flat[:, element]
            figures = (float(column[0]), float(column.min()), float(column.max()), float(column[-1]))
            rows.append((feature.name, name, feature.unit, *figures))
        if feature.size > N_ELEMENTS:
            rows.append((feature.name, f"and {feature.size - N_ELEMENTS} more", "", None, None, None, None))
    return rows


def _stream_rows(episode: "Episode") -> list[tuple[object, ...]]:
    import numpy as np

    rows: list[tuple[object, ...]] = []
    rules = {feature.name: feature.align for feature in episode.contract.features}
    for name, stream in episode.streams.items():
        age_ms = episode.alignment(name).age_s * 1e3
        span_s = float(stream.capture_s[-1] - stream.capture_s[0])
        rule = rules[name]
        allowed = None if rule is None or rule.max_age_s is None else rule.max_age_s * 1e3
        rate_hz = (len(stream) - 1) / span_s if span_s else None
        rows.append(
            (
                name,
                rule.rule if rule else "",
                len(stream),
                rate_hz,
                float(np.median(age_ms)),
                float(age_ms.max()),
                allowed,
            )
        )
    return rows


def _stats_rows(contract: "Contract", summary: "StoreSummary") -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for feature in (*contract.observations, *contract.actions):
        found = summary.features[feature.name]
        columns = (found.mean, found.std, found.low, *found.quantiles.values(), found.high)
        for element, name in enumerate(_element_names(feature)[:N_ELEMENTS]):
            rows.append((feature.name, name, feature.unit, *(float(column.flat[element]) for column in columns)))
        if feature.size > N_ELEMENTS:
            rows.append((feature.name, f"and {feature.size - N_ELEMENTS} more", "", *[None] * len(columns)))
    return rows


def _stats_json(contract: "Contract", summary: "StoreSummary") -> dict[str, Any]:
    """Give all figures as plain data; NaN, of features that are never there, becomes null."""
    units = {feature.name: feature.unit for feature in contract.features}
    features = {
        name: {
            "unit": units[name],
            "count": found.count,
            **{key: _nulled(value) for key, value in vars(found).items() if key in ("mean", "std")},
            "min": _nulled(found.low),
            "max": _nulled(found.high),
            "quantiles": {f"{share:g}": _nulled(value) for share, value in found.quantiles.items()},
        }
        for name, found in summary.features.items()
    }
    images = {
        name: {"frames": i.n_frames, "sampled": i.n_sampled, "mean": _nulled(i.mean), "std": _nulled(i.std)}
        for name, i in summary.images.items()
    }
    return {"episodes": summary.n_episodes, "steps": summary.n_steps, "features": features, "images": images}


def _nulled(values: Any) -> Any:
    plain = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(plain, list):
        return [_nulled(item) for item in plain]
    return None if plain != plain else plain


def _numbers(values: Any) -> str:
    return " ".join(f"{value:.4g}" for value in values)
