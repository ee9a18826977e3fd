import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ashore.datasets.errors import UnreadableFile
from ashore.datasets.formats.crazyflie import read
from ashore.datasets.formats.usd_log import CLOCKS, TYPES, read_usd_log

DATA = Path(os.environ.get("ASHORE_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
FLIGHTS = DATA / "crazyflie_flight_logs"
IMU = [("acc.x", "f"), ("acc.y", "f"), ("acc.z", "f"), ("gyro.x", "f"), ("gyro.y", "f"), ("gyro.z", "f")]
MOTORS = [(f"motor.m{k}", "I") for k in (1, 2, 3, 4)]
TICK = {1: 1, 2: 1000}
"""{version: ticks in a millisecond}."""


def encode(events, blocks, version: int = 2) -> bytes:
    """Write a log: events [(id, name, [(variable, type)])], blocks [(id, ticks, values)]."""
    data = struct.pack("<BHH", 0xBC, version, len(events))
    for event_id, name, variables in events:
        data += struct.pack("<H", event_id) + name.encode() + b"\0" + struct.pack("<H", len(variables))
        data += b"".join(f"{variable}({code})".encode() + b"\0" for variable, code in variables)
    codes = {event_id: "".join(code for _, code in variables) for event_id, _, variables in events}
    for event_id, ticks, values in blocks:
        data += struct.pack("<H" + "IQ"[version - 1], event_id, ticks) + struct.pack(f"<{codes[event_id]}", *values)
    return data + struct.pack("<I", zlib.crc32(data))


def flight(version: int = 2, n: int = 60) -> bytes:
    blocks = [
        (0xFFFF, (500 + k) * TICK[version], [0.01, -0.01, 1.0, k, -k, 0.5, k, 2 * k, 65535, 2**32 - 1])
        for k in range(n)
    ]
    return encode([(0xFFFF, "fixedFrequency", IMU + MOTORS)], blocks, version)


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def flights():
    if not FLIGHTS.is_dir():
        pytest.skip(f"the real flights are not at {FLIGHTS}; set ASHORE_DATA to the folder of crazyflie_flight_logs")
    foreign = read(FLIGHTS)
    return foreign, list(foreign.episodes)


def test_the_real_flights_arrive_bit_for_bit(flights) -> None:
    foreign, episodes = flights
    assert foreign.n_episodes == 3 and foreign.contract.actions == ()
    assert [(f.name, f.unit, f.frame, f.dtype) for f in foreign.contract.observations] == [
        ("acc_body_g", "g", "body", "float32"),
        ("gyro_body_deg_s", "deg/s", "body", "float32"),
        ("motor_pwm", "1", "none", "int64"),
    ]
    assert [len(e.streams["acc_body_g"]) for e in episodes] == [50_496, 62_774, 47_182]
    for name, episode in zip(("log10", "log15", "log16"), episodes, strict=True):
        # The layout is written down a second time here, from the header's own text, for the whole file.
        record = np.dtype([("id", "<u2"), ("us", "<u8"), ("acc", "<f4", 3), ("gyro", "<f4", 3), ("pwm", "<u4", 4)])
        raw = np.frombuffer((FLIGHTS / name).read_bytes()[0x81:-4], record)
        assert episode.streams["acc_body_g"].values.tobytes() == raw["acc"].tobytes()
        assert episode.streams["gyro_body_deg_s"].values.tobytes() == raw["gyro"].tobytes()
        np.testing.assert_array_equal(episode.streams["motor_pwm"].values, raw["pwm"])
        np.testing.assert_array_equal(episode.streams["motor_pwm"].capture_s, (raw["us"] - raw["us"][0]) / 1e6)
        assert name in episode.meta.origin and episode.meta.source == "real"


def test_the_real_flights_are_physical(flights) -> None:
    for episode in flights[1]:
        acc, pwm = episode.streams["acc_body_g"], episode.streams["motor_pwm"].values
        rest = acc.values[:2000]
        assert abs(np.linalg.norm(rest, axis=1).mean() - 1) < 0.01
        assert np.abs(episode.streams["gyro_body_deg_s"].values[:2000]).mean() < 1
        assert pwm[0].tolist() == [0] * 4 and 50_000 < pwm.max() <= 65_535
        gaps_s = np.diff(acc.capture_s)
        assert 0.98e-3 < np.median(gaps_s) < 1e-3 and gaps_s.min() > 0.5e-3 and gaps_s.max() <= 7e-3
        np.testing.assert_allclose(np.diff(episode.time_s), 0.01)
        assert episode.alignment("acc_body_g").age_s.max() < 7e-3


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_are_read(tmp_path, version) -> None:
    [episode] = read(put(tmp_path / "log00", flight(version))).episodes
    stream = episode.streams["motor_pwm"]
    assert stream.values[3].tolist() == [3, 6, 65535, 2**32 - 1]
    np.testing.assert_allclose(stream.capture_s, np.arange(60) / 1e3)
    assert len(episode) == 6
    assert episode.observations["gyro_body_deg_s"][1].tolist() == [10, -10, 0.5]


def test_logs_of_a_folder_come_in_the_order_of_their_numbers(tmp_path) -> None:
    for number in (10, 9):
        put(tmp_path / f"log{number}", flight(n=number + 10))
    put(tmp_path / "README.md", b"not a log")
    origins = [episode.meta.origin for episode in read(tmp_path).episodes]
    assert [origin.rpartition(" ")[2] for origin in origins] == ["log9", "log10"]


def test_a_mapping_names_converts_and_makes_actions(tmp_path) -> None:
    mapping = tmp_path / "mapping.yaml"
    features = {
        "linacc_body_m_s2": {
            "variables": ["acc.x", "acc.y", "acc.z"],
            "scale": 9.80665,
            "unit": "m/s^2",
            "frame": "body",
        },
        "motor_pwm": {"variables": [name for name, _ in MOTORS], "role": "action", "unit": "1", "frame": "none"},
        "kick": {"variables": ["kick.x"], "event": "kick", "unit": "1", "frame": "none"},
    }
    mapping.write_text(
        yaml.safe_dump({"task": "hover", "control_hz": 500, "operator": "Ada", "features": features}, sort_keys=False)
    )
    events = [(0xFFFF, "fixedFrequency", IMU + MOTORS), (7, "kick", [("kick.x", "b")])]
    blocks = [(0xFFFF, k * 1000, [0, 0, 1, 0, 0, 0, k, k, k, k]) for k in range(40)]
    blocks[3:3] = [(7, 2500, [-128])]
    blocks.append((7, 39_500, [127]))
    foreign = read(put(tmp_path / "log1", encode(events, blocks)), mapping)
    [episode] = foreign.episodes
    assert foreign.contract.robot == "bitcraze/crazyflie" and foreign.contract.task == "hover"
    assert episode.observations["linacc_body_m_s2"][0].tolist() == [0, 0, np.float32(9.80665)]
    # Steps begin at 2.5 ms, with the first kick; the newest command is that of 2 ms.
    assert np.allclose(episode.time_s[:2], [0.0025, 0.0045]) and episode.actions["motor_pwm"][:2, 0].tolist() == [2, 4]
    assert episode.streams["kick"].values.tolist() == [[-128], [127]]
    assert "motor_pwm" not in episode.streams


def change(data: bytes, offset: int, new: bytes) -> bytes:
    """Put other bytes into a log and mend its checksum."""
    data = data[:offset] + new + data[offset + len(new) : -4]
    return data + struct.pack("<I", zlib.crc32(data))


HEADER = len(encode([(0xFFFF, "fixedFrequency", IMU + MOTORS)], [])) - 4
FAULTS = {
    "empty": (b"", r"ends at offset 0"),
    "magic": (change(flight(), 0, b"\x89"), r"offset 0 holds 0x89, not 0xbc"),
    "version": (change(flight(), 1, b"\x03"), r"offset 1 tells version 3"),
    "type": (flight().replace(b"acc.y(f)", b"acc.y(z)"), r"'acc.y\(z\)' at offset 33; types: 'B'"),
    "bit": (flight()[:999] + b"\x17" + flight()[1000:], r"the CRC-32 at offset 3129 is 0x"),
    "cut": (flight()[:-30], r"truncated or damaged"),
    "event": (change(flight(), HEADER, b"\x01\x00"), rf"offset {HEADER} begins a block of event 1,"),
    "block": (change(flight()[:-20], 9, b"x"), r"the block at offset 3079 needs 50 bytes, but 30 are left"),
    "time": (
        change(flight(), HEADER + 52, struct.pack("<Q", 5)),
        r"'fixedFrequency': the time of row 1 is 5, after 500000",
    ),
    "nan": (change(flight(), HEADER + 10, struct.pack("<f", np.nan)), r"acc.x: row 0 holds NaN"),
    "no row": (encode([(0xFFFF, "fixedFrequency", IMU)], []), r"holds no block of event 'fixedFrequency'"),
    "no event": (encode([(1, "tick", IMU)], []), r"no event 'fixedFrequency'; events: 'tick'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_log_is_refused_with_its_offset(tmp_path, fault) -> None:
    data, said = FAULTS[fault]
    with pytest.raises(UnreadableFile, match=said) as caught:
        list(read(put(tmp_path / "log1", data)).episodes)
    assert "log1" in str(caught.value)


def test_a_log_cut_at_any_byte_is_refused(tmp_path) -> None:
    data = flight(n=3)
    for kept in range(len(data)):
        with pytest.raises(UnreadableFile):
            read_usd_log(put(tmp_path / "log1", data[:kept]))


def test_variables_that_are_not_there_and_other_logs_are_told(tmp_path) -> None:
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("features: {a: {variables: [acc.w]}}")
    log = put(tmp_path / "log1", flight())
    with pytest.raises(UnreadableFile, match=r"no event holds 'acc.w'; there is event 'fixedFrequency': 'acc.x'"):
        read(log, mapping)
    mapping.write_text("features: {a: {variable: acc.x}}")
    with pytest.raises(UnreadableFile, match=r"variable: unknown key.*Did you mean 'variables'.*a.variables: missing"):
        read(log, mapping)
    mapping.write_text("features: {a: {variables: [motor.m4], dtype: int16}}")
    with pytest.raises(UnreadableFile, match=r"int16 cannot hold"):
        list(read(log, mapping).episodes)
    put(tmp_path / "log2", encode([(0xFFFF, "fixedFrequency", IMU)], [(0xFFFF, 1, [0] * 6)]))
    with pytest.raises(UnreadableFile, match=r"log2.*not those of log1"):
        list(read(tmp_path).episodes)
    with pytest.raises(UnreadableFile, match="No such file"):
        read(tmp_path / "nowhere")


LIMITS = {code: np.iinfo(dtype) for code, dtype in TYPES.items() if np.dtype(dtype).kind in "iu"}
WIDTHS = {"e": 16, "f": 32, "d": 64}


def values_of(code: str):
    if code in LIMITS:
        return st.integers(int(LIMITS[code].min), int(LIMITS[code].max))
    return st.floats(width=WIDTHS[code], allow_nan=False, allow_infinity=False)


@st.composite
def logs(draw):
    version = draw(st.sampled_from(sorted(CLOCKS)))
    names = st.from_regex(r"[a-z]{1,4}\.[a-z]{1,4}", fullmatch=True)
    variables = st.lists(
        st.tuples(names, st.sampled_from(sorted(TYPES))), min_size=1, max_size=4, unique_by=lambda v: v[0]
    )
    events = [(0xFFFF, "fixedFrequency", draw(variables)), (4, "hit", draw(variables))]
    ticks = sorted(draw(st.sets(st.integers(0, 2**32 - 1), min_size=1, max_size=8)))
    blocks = []
    for index, tick in enumerate(ticks):
        event_id, _, held = events[0] if index == 0 else draw(st.sampled_from(events))
        blocks.append((event_id, tick, [draw(values_of(code)) for _, code in held]))
    return version, events, blocks


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs())
def test_any_log_is_read_as_it_was_written(tmp_path, made) -> None:
    version, events, blocks = made
    log = read_usd_log(put(tmp_path / "log1", encode(events, blocks, version)))
    assert [(event.id, event.name, event.variables) for event in log.types] == [
        (event_id, name, tuple(variable for variable, _ in held)) for event_id, name, held in events
    ]
    for event_id, name, held in events:
        mine = [block for block in blocks if block[0] == event_id]
        assert log.blocks[name]["time"].tolist() == [ticks for _, ticks, _ in mine]
        for place, (variable, _) in enumerate(held):
            assert log.blocks[name][f"v {variable}"].tolist() == [values[place] for _, _, values in mine]
