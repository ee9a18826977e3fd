"""`ashore datasets` and `ashore doctor data` on real stores; faults are one message and code 2."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ashore.cli.main import main
from ashore.datasets.contract import Align, Contract, Feature, ImageFeature
from ashore.datasets.episode import Episode, EpisodeMeta
from ashore.datasets.images import Frames
from ashore.datasets.store import EpisodeStore
from ashore.datasets.streams import Stream

CONTRACT = Contract(
    "test/arm",
    "test/<look>",
    (Feature("pos_m", (2,), "m", "base", ("x", "y")), Feature("force_n", (1,), "N", "tcp", align=Align(max_age_s=0.1))),
    (Feature("go_m_s", (2,), "m/s", "base", low=(-1.0, -1.0), high=(1.0, 1.0)),),
    20.0,
    images=(
        ImageFeature("cam", (8, 8, 3), "cam"),
        ImageFeature("depth", (8, 8), "cam", "depth", dtype="uint16", unit="mm", invalid=0),
    ),
)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Five episodes with cameras and a stream, of two operators."""
    store = EpisodeStore.create(tmp_path / "made", CONTRACT)
    for number in range(5):
        rng = np.random.default_rng(number)
        capture_s = np.arange(-0.1, 2.0, 0.01)
        store.append(
            Episode(
                CONTRACT,
                {"pos_m": np.cumsum(rng.normal(size=(40, 2)), axis=0).astype(np.float32)},
                {"go_m_s": rng.uniform(-0.9, 0.9, (40, 2)).astype(np.float32)},
                np.arange(40) / 20,
                EpisodeMeta(
                    "real",
                    operator="<b>ann</b>" if number % 2 else "bob",
                    success=number != 2,
                    draw={"friction": number / 4, "mass_$kg": number * 2.0},
                    created=f"2026-01-0{number + 1}T00:00:00+00:00",
                ),
                images={
                    "cam": Frames.of(CONTRACT.images[0], rng.integers(0, 255, (40, 8, 8, 3), np.uint8)),
                    "depth": Frames.of(CONTRACT.images[1], rng.integers(0, 4000, (40, 8, 8), np.uint16)),
                },
                streams={
                    "force_n": Stream(
                        rng.normal(size=(len(capture_s), 1)).astype(np.float32), capture_s, capture_s + 0.01
                    )
                },
            )
        )
    return tmp_path / "made"


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    """What a command writes to standard output, or its one message where it fails with code 2."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    written = capsys.readouterr()
    if code == 2:
        assert re.match(r"[A-Z]\w+: ", written.err.splitlines()[-1]) or "\n" in written.err.strip()
        assert "Traceback" not in written.err
        return written.err
    return written.out


def indices(path: Path) -> tuple[int, ...]:
    return EpisodeStore.open(path, readonly=True).indices


def test_info_and_show_tell_images_streams_edits_and_size(made, capsys) -> None:
    text = said(capsys, "datasets", "info", made)
    assert all(
        word in text for word in ("5 episodes", "rgb, png", "aligned by hold", "0 edit(s)", "MB of episodes", "bob")
    )
    text = said(capsys, "datasets", "show", made, "2")
    assert all(word in text for word in ("40 steps", "friction 0.5", "cam", "depth", "hold", "100", "pos_m", "success"))
    assert "has no episode 9" in said(capsys, "datasets", "show", made, "9", code=2)


def test_an_episode_is_deleted_trimmed_and_back_after_undo(made, capsys) -> None:
    assert "undo" in said(capsys, "datasets", "delete", made, "1", "3", "--why", "slipped")
    assert indices(made) == (0, 2, 4)
    assert "keeps 30 step(s)" in said(
        capsys, "datasets", "trim", made, "2", "--start", "10", "--why", "idle", "--who", "ann"
    )
    text = said(capsys, "datasets", "log", made)
    assert all(word in text for word in ("slipped", "1, 3", "10 to 40", "ann", "can be undone", "2 edit(s)"))
    said(capsys, "datasets", "undo", made, "0", "--why", "sorry")
    assert indices(made) == (0, 1, 2, 3, 4)
    said(capsys, "datasets", "delete", made, "4", "--why", "again")
    assert "1 episode(s) removed" in said(capsys, "datasets", "compact", made, "--why", "space")
    assert "compact made it permanent" in said(capsys, "datasets", "undo", made, "3", "--why", "x", code=2)
    assert len(EpisodeStore.open(made).read(2)) == 30
    assert "0 fault(s)" in said(capsys, "datasets", "verify", made)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("delete", "{}", "7", "--why", "x"), "episode 7: not in the store; valid: 0 to 4"),
        (("delete", "{}", "1", "--why", " "), "why: empty"),
        (("trim", "{}", "1", "--start", "50", "--why", "x"), "0 <= start < stop <= 40"),
        (("undo", "{}", "0", "--why", "x"), "there is no such edit"),
        (("filter", "{}", "--draw", "frictoin=0:1"), "Did you mean 'friction'?"),
        (("filter", "{}", "--draw", "friction"), "NAME=LOW:HIGH"),
        (("filter", "{}", "--draw", "friction=0:1", "friction=2:3"), "given twice"),
        (("filter", "{}", "--delete", "--out", "x"), "--delete and --out"),
        (("filter", "{}", "--success", "no", "--delete"), "why: empty"),
        (("filter", "{}", "--since", "now"), "since: 'now'"),
        (("split", "{}", "--parts", "a=0.5", "b=0.4", "--out", "{}-parts"), "add up to 0.9"),
        (("split", "{}", "--parts", "a", "--out", "{}-parts"), "NAME=SHARE"),
        (("merge", "{}", "{}", "--out", "{}-both"), "given twice"),
        (("merge", "{}", "--out", "{}"), "already exists"),
        (("export", "{}", "--to", "hdf5", "--out", "{}-x"), "there is no format 'hdf5'"),
        (("import", "{}", "--from", "lerobt", "--out", "{}-x"), "Did you mean 'lerobot'?"),
        (("verify", "{}/episodes/nothing"), "is not a readable episode store"),
        (("stats", "{}/episodes"), "store.json"),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_changed(made, capsys, arguments, words) -> None:
    before = sorted(path.name for path in made.parent.iterdir())
    filled = [argument.format(made) for argument in arguments]
    assert words in said(capsys, "datasets", *filled, code=2)
    assert sorted(path.name for path in made.parent.iterdir()) == before
    assert not EpisodeStore.open(made, readonly=True).edits.log


def test_filter_lists_copies_and_deletes(made, capsys) -> None:
    assert "3 of 5 episode(s): 1, 3 to 4" in said(
        capsys, "datasets", "filter", made, "--success", "yes", "--draw", "friction=0.2:1.0"
    )
    assert "0 of 5 episode(s): none" in said(capsys, "datasets", "filter", made, "--min-steps", "41")
    out = made.parent / "chosen"
    said(capsys, "datasets", "filter", made, "--operator", "bob", "--until", "2026-01-03", "--out", out)
    assert [meta.origin for meta in map(EpisodeStore.open(out).read_meta, indices(out))] == [
        "made, episode 0",
        "made, episode 2",
    ]
    said(capsys, "datasets", "filter", made, "--success", "no", "--delete", "--why", "failed")
    assert indices(made) == (0, 1, 3, 4)


def test_split_and_merge_go_round(made, capsys) -> None:
    parts, both = made.parent / "parts", made.parent / "both"
    text = said(capsys, "datasets", "split", made, "--parts", "train=0.6", "check=0.4", "--seed", "3", "--out", parts)
    assert "train: 3 episodes" in text
    assert "check: 2 episodes" in text
    said(capsys, "datasets", "merge", parts / "train", parts / "check", "--out", both)
    frictions = [EpisodeStore.open(both).read_meta(index).draw["friction"] for index in indices(both)]
    assert sorted(frictions) == [0, 0.25, 0.5, 0.75, 1.0]


def test_stats_are_a_table_and_json(made, capsys) -> None:
    text = said(capsys, "datasets", "stats", made)
    assert all(word in text for word in ("200 steps", "pos_m", "99 %", "cameras"))
    found = json.loads(said(capsys, "datasets", "stats", made, "--json"))
    values = np.concatenate([episode.actions["go_m_s"] for episode in EpisodeStore.open(made)]).astype(np.float64)
    assert found["features"]["go_m_s"]["max"] == values.max(axis=0).tolist()
    np.testing.assert_allclose(found["features"]["go_m_s"]["mean"], values.mean(axis=0))
    assert found["features"]["go_m_s"]["quantiles"]["0.9"] == pytest.approx(np.quantile(values, 0.9, axis=0).tolist())
    assert len(found["images"]["cam"]["mean"]) == 3


def test_verify_reads_a_store_that_is_too_damaged_to_open(made, capsys) -> None:
    (made / "store.json").write_text("{")
    text = said(capsys, "datasets", "verify", made, code=1)
    assert "store.json" in text
    assert "5 episodes, 1 fault(s)" in text


def test_doctor_data_is_silent_on_sound_data_and_ends_with_1_on_findings(made, capsys) -> None:
    assert "5 episodes examined, 0 finding(s)" in said(capsys, "doctor", "data", made)
    store = EpisodeStore.open(made)
    for _ in range(12):
        store.append(store.read(0))
    text = said(capsys, "doctor", "data", made, code=1)
    assert "duplicate: 12 finding(s) -> delete one of them" in text
    assert "episode 5, steps 0 to 39: holds the same data as episode 0" in text
    assert "and 2 more; --all lists them" in text
    assert len(json.loads(said(capsys, "doctor", "data", made, "--json", code=1))) == 12
    assert "is not a readable episode store" in said(capsys, "doctor", "data", made / "episodes", code=2)


class Page(HTMLParser):
    """Reads a page: which tags it has, what they refer to, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_plot_is_one_page_that_needs_nothing_else_and_escapes_what_it_shows(made, capsys) -> None:
    store = EpisodeStore.open(made)
    store.append(store.read(0))
    out = made.parent / "new" / "page.html"
    assert str(out) in said(capsys, "datasets", "plot", made, "--out", out, "--episodes", "4")
    page = Page()
    page.feed(out.read_text(encoding="utf-8"))
    assert all(reference.startswith(("data:image/png;base64,", "#")) for reference in page.references)
    assert page.tags.count("img") == 6
    assert not {"script", "link", "look"} & set(page.tags)
    assert page.tags.count("b") == 5  # The tiles' figures; an operator's <b> stays text.
    assert "<b>ann</b>" in page.text
    assert "test/<look>" in page.text
    assert all(
        word in page.text for word in ("Findings", "duplicate", "friction", "mass_$kg", "pos_m", "go_m_s", "depth")
    )
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]


def test_an_empty_store_can_be_looked_at(tmp_path, capsys) -> None:
    EpisodeStore.create(tmp_path / "empty", CONTRACT)
    for command in ("info", "stats", "log", "verify"):
        said(capsys, "datasets", command, tmp_path / "empty")
    said(capsys, "datasets", "plot", tmp_path / "empty", "--out", tmp_path / "page.html")
    assert "none yet" in (tmp_path / "page.html").read_text()
    said(capsys, "doctor", "data", tmp_path / "empty")


@pytest.mark.parametrize(
    "action",
    [
        *("info", "show", "stats", "plot", "verify", "recover", "filter", "delete"),
        *("trim", "undo", "log", "compact", "merge", "split", "import", "export"),
    ],
)
def test_every_action_explains_itself_with_an_example(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["datasets", action, "--help"])
    assert ended.value.code in (0, None)
    assert f"ashore datasets {action} " in capsys.readouterr().out.split("For example:")[1]
