from pathlib import Path

import pytest

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.formats import UNKNOWN
from ashore.datasets.formats.mapping import load_mapping


def written(folder: Path, text: str) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(text)
    return path


def test_without_a_file_nothing_is_known() -> None:
    words = load_mapping(None)
    assert (words.robot, words.control_hz) == (UNKNOWN, None)
    assert (words.feature("a.b").name, words.feature("a.b").unit) == ("a.b", UNKNOWN)


def test_what_a_file_says_is_taken(tmp_path) -> None:
    text = (
        "robot: arm\ncontrol_hz: 30\nfeatures:\n  obs/q: {name: q_rad, unit: rad, frame: joint, components: [a, b]}\n"
    )
    words = load_mapping(written(tmp_path, text))
    assert (words.robot, words.control_hz) == ("arm", 30.0)
    assert words.feature("obs/q").components == ("a", "b")
    assert words.feature("other").name == "other"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("robto: arm", "Did you mean 'robot'?"),
        ("features: {q: {unti: m}}", "features.q.unti: unknown key; valid: 'name', 'unit'"),
        ("control_hz: -1", "control_hz: -1, expected a positive number"),
        ("control_hz: yes", "control_hz: True"),
        ("source: dream", "expected one of 'simulation', 'twin', 'real', 'human'"),
        ("features: {q: {codec: jpeg}}", "features.q.quality"),
        ("features: {q: {components: x}}", "a list of names"),
        ("- a", "list, expected a map"),
        ("a: [", "a YAML mapping file"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, words) -> None:
    with pytest.raises(UnreadableFile) as caught:
        load_mapping(written(tmp_path, text))
    assert words in str(caught.value)


def test_all_faults_are_listed_at_once(tmp_path) -> None:
    with pytest.raises(UnreadableFile, match=r"robto.*control_hz"):
        load_mapping(written(tmp_path, "robto: arm\ncontrol_hz: no number\n"))


def test_keys_that_the_data_set_lacks_are_refused(tmp_path) -> None:
    words = load_mapping(written(tmp_path, "features: {observation.stat: {unit: m}}"))
    with pytest.raises(UnreadableFile, match=r"no key 'observation.stat'; valid: 'observation.state'"):
        words.require_keys(["observation.state"])
