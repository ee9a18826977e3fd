"""The loader's benchmark beside its peers: those that are not there are told, those that fail are named."""

import sys
from pathlib import Path

import pytest

from benchmarks import loader, peer_process
from benchmarks.loader_peers import CHECKOUT, PYTHON, diffusion_policy
from benchmarks.peer_process import PeerFailed, run_peer


def test_without_peers_every_figure_is_measured_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    monkeypatch.delenv(CHECKOUT, raising=False)
    monkeypatch.setattr(loader, "QUICK", loader.Sizes(episodes=8, image_episodes=1, seconds=0.01))
    rows = loader.run(True, tmp_path, lambda done, total, note: None)
    assert len(rows) == 5
    for row in rows:
        assert row.value > 0
        assert str(row.peer).endswith("peer not run")
        assert (row.peer_value, row.ratio, row.met) == (None, None, None)


def test_a_peer_that_fails_is_named_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_process, "SCRIPTS", tmp_path)
    monkeypatch.setenv(PYTHON, sys.executable)
    (tmp_path / "good.py").write_text("import sys\nsys.stdout.write('noise\\n{\"windows_per_s\": 2.5}\\n')")
    (tmp_path / "path.py").write_text("import json, os\nprint(json.dumps({'path': os.environ.get('PYTHONPATH')}))")
    (tmp_path / "bad.py").write_text("import sys\nsys.exit('no such data set')")
    assert run_peer("good.py", [], PYTHON) == {"windows_per_s": 2.5}
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_peer("path.py", [], PYTHON) == {"path": None}
    with pytest.raises(PeerFailed, match=r"bad\.py ended with code 1(.|\n)*no such data set(.|\n)*ASHORE_PEER_PYTHON"):
        run_peer("bad.py", [], PYTHON)
    monkeypatch.delenv(CHECKOUT, raising=False)
    assert diffusion_policy(tmp_path / "state.npz", 1.0) is None
