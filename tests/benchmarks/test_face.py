"""The one face of the benchmarks: the list, the rows, the table, the file and the faults."""

import json
from pathlib import Path

import pytest

from ashore.datasets.errors import UnknownName
from ashore.datasets.progress import Progress
from benchmarks import __main__ as face
from benchmarks.row import Row, table_of, write_rows

FIELDS = {"figure", "value", "unit", "peer", "peer_value", "ratio", "goal", "met"}


def test_a_goal_bounds_the_value_and_a_peers_goal_the_ratio() -> None:
    assert Row.of("inference", 4.0, "ms", "<=", 5.0).met is True
    assert Row.of("success", 0.98, "share", ">=", 0.99).met is False
    assert Row.of("size", 3.0, "MB").met is None
    beside = Row.against("period", 3.0, "ms", ("bare loop", 2.0), "<=", 1.5)
    assert (beside.ratio, beside.met, beside.goal) == (1.5, True, "ratio <= 1.5")
    assert Row.against("period", 3.0, "ms", ("bare loop", 0.0), "<=", 1.5).met is None


def test_rows_are_written_with_the_agreed_fields(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "spine.json"
    write_rows(path, [Row.of("inference", 4.0, "ms", "<=", 5.0)])
    (row,) = json.loads(path.read_text())
    assert set(row) == FIELDS
    assert list(path.parent.iterdir()) == [path]


def test_the_table_shows_a_goal_that_was_missed() -> None:
    table = table_of("spine", [Row.of("inference", 9.0, "ms", "<=", 5.0)])
    assert [next(iter(column.cells)) for column in table.columns][-2:] == ["<= 5", "NO"]


def test_every_benchmark_has_its_face_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert face.main(["--list"]) == 0
    listed = capsys.readouterr().out
    for name in face.BENCHMARKS:
        module = face.benchmark(name)
        assert name in listed
        assert (module.__doc__ or "").splitlines()[0] in listed
        assert callable(module.run)


def test_an_unknown_name_ends_with_code_2_and_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert face.main(["spin"]) == 2
    assert "Did you mean 'spine'?" in capsys.readouterr().err
    with pytest.raises(UnknownName):
        face.benchmark("spin")


def test_a_run_writes_its_file_and_tells_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Measured:
        """Two figures."""

        @staticmethod
        def run(quick: bool, folder: Path, progress: Progress) -> list[Row]:
            progress(1, 2, "half way")
            return [Row.of("quick", float(quick), "1"), Row.of("folder", float(len(folder.name)), "letters")]

    monkeypatch.setattr(face, "benchmark", lambda name: Measured)
    assert face.main(["spine", "--quick", "--out", str(tmp_path)]) == 0
    values = [row["value"] for row in json.loads((tmp_path / "spine.json").read_text())]
    assert values == [1.0, 5.0]


def test_missing_recordings_are_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASHORE_DATA", str(tmp_path / "nowhere"))
    assert face.main(["push_t", "--quick", "--out", str(tmp_path)]) == 2
    assert "Set ASHORE_DATA" in capsys.readouterr().err
    assert not (tmp_path / "push_t.json").exists()
