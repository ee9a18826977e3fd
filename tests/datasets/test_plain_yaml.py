"""Settings in YAML: read as plain data; what is ambiguous or could grow without end is refused, in every reader."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ashore.datasets.errors import AshoreError
from ashore.datasets.formats.mapping import load_mapping
from ashore.datasets.plain_yaml import DEEPEST, parse_yaml
from ashore.real.mapping import RobotMapping
from ashore.sim.arms.spec import read_arm_spec
from ashore.sim.randomization.files import load_randomization
from ashore.sim.tasks import make_task
from ashore.sim.twin.profile import load_profile

BAD = {
    "deep": "[" * 5000,
    "deep, closed": "a: " + "[" * 200 + "]" * 200,
    "twice": "robot: a\nrobot: b",
    "alias": "a: &x [1]\nb: *x",
    "bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "object": "!!python/object/apply:os.getcwd []",
    "date": "a: 2026-99-99",
    "merge": "a: 1\n<<: {a: 2}",
    "more digits than python reads": "a: " + "9" * 5000,
    "custom tag": "a: !mine 1",
    "python name": "a: !!python/name:os.system",
    "key that is a list": "? [a]\n: 1",
    "text": "a: [1",
}
READERS: dict[str, Callable[[Path], object]] = {
    "arm": read_arm_spec,
    "profile": load_profile,
    "robot mapping": RobotMapping.load,
    "format mapping": load_mapping,
    "randomization": lambda path: load_randomization(path, make_task("arm/reach")),
}


def test_plain_data_is_read_as_it_stands() -> None:
    assert parse_yaml("a: {b: [1, 2.5, x, null, true]}") == {"a": {"b": [1, 2.5, "x", None, True]}}
    assert parse_yaml(b"") is None
    assert parse_yaml(f"[1{'0' * 400}, -1{'0' * 400}, 1.0e+400]") == [math.inf, -math.inf, math.inf]
    deepest = "[" * (DEEPEST - 1) + "1" + "]" * (DEEPEST - 1)
    assert str(parse_yaml(deepest)) == deepest


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_plain_is_refused(name: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(BAD[name])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", BAD)
def test_every_reader_says_so_in_one_error(name: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD[name], encoding="utf-8")
    with pytest.raises(AshoreError, match=r"bad\.yaml"):
        READERS[reader](path)
