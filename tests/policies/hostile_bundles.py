"""Bundles that someone made with intent: {name: (what the refusal says, how to write the file)}; no binaries are kept.

All but those of the archive itself have a manifest and hashes that are right: a hash protects against damage alone.
"""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from bundle_cases import CARD, CONTRACT, TO, TP, WIDTH, contents, vectors
from hostile_graphs import GRAPHS

from ashore.datasets.durable import seal, sha256_hex
from ashore.policies.archive import MANIFEST, NAMES, SCHEMA_VERSION, save_archive

Write = Callable[[Path], object]
CANARY = "ASHORE_CANARY"
"""Environment variable with the path that no opened file may make."""


END, CENTRAL, LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"


class Payload:
    """Unpickled, it makes the canary."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch ${CANARY}",)


def whole(**changes: bytes) -> Write:
    """A well-formed archive of a good bundle's files, some of them changed; underscores stand for dots."""
    return lambda path: save_archive(path, contents(**changes))


def zipped(
    files: Mapping[str, bytes] | Sequence[tuple[str, bytes]], how: int = zipfile.ZIP_STORED, **attributes: Any
) -> bytes:
    """Pack files as another program would; `attributes` are set on every entry."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in files.items() if isinstance(files, Mapping) else files:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr, info.compress_type = 3, 0o100644 << 16, how
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return buffer.getvalue()


def good() -> dict[str, bytes]:
    """A good bundle's files with their manifest."""
    files = contents()
    return {**files, MANIFEST: manifest(files)}


def manifest(files: Mapping[str, bytes], /, **changes: Any) -> bytes:
    entries = {name: {"bytes": len(files[name]), "sha256": sha256_hex(files[name])} for name in NAMES}
    return seal({"schema_version": SCHEMA_VERSION, "files": entries, **changes})


def archive(change: Callable[[dict[str, bytes]], Mapping[str, bytes]], **attributes: Any) -> Write:
    """An archive with other members, whose manifest is a good one."""
    return lambda path: path.write_bytes(zipped(change(good()), **attributes))


def patched(change: Callable[[bytearray], object]) -> Write:
    """A good archive, changed in its bytes."""

    def write(path: Path) -> None:
        save_archive(path, contents())
        raw = bytearray(path.read_bytes())
        change(raw)
        path.write_bytes(raw)

    return write


def put(raw: bytearray, signature: bytes, offset: int, form: str, value: int) -> None:
    """Overwrite a field of the end, or else of the first entry, of the archive's list or of its contents."""
    end = raw.rindex(END)
    place = {END: end, CENTRAL: struct.unpack_from("<L", raw, end + 16)[0], LOCAL: 0}[signature]
    struct.pack_into(form, raw, place + offset, value)


def document(name: str, change: Callable[[dict[str, Any]], object]) -> Write:
    """A bundle one of whose JSON documents was changed, the others brought in line."""

    def write(path: Path) -> None:
        files = contents()
        raw = json.loads(files[name])
        change(raw)
        files[name] = json.dumps(raw).encode()
        if name == "robot.json" and isinstance(raw.get("limits"), dict):
            files["limits.json"] = json.dumps(raw["limits"]).encode()
        save_archive(path, files)

    return write


def text(name: str, content: bytes) -> Write:
    return lambda path: save_archive(path, {**contents(), name: content})


def feature(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw["observations"][0].update(fields)


def limit(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw["limits"].update(fields)


def npz(**members: bytes) -> bytes:
    return zipped({name.replace("__", "."): content for name, content in members.items()})


def npy(header: str, data: bytes = b"") -> bytes:
    raw = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + data


def arrays(**changes: bytes) -> bytes:
    """Test vectors, one of whose files was exchanged."""
    with zipfile.ZipFile(io.BytesIO(vectors())) as old:
        files = {name: old.read(name) for name in old.namelist()}
    return zipped({**files, **{f"{name}.npy": content for name, content in changes.items()}})


def bomb(size: int) -> bytes:
    """Zeros, a thousand times smaller."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in ("obs", "noise", "actions", "tolerance"):
            with target.open(f"{name}.npy", "w", force_zip64=True) as member:
                for _ in range(size // 2**20):
                    member.write(bytes(2**20))
    return buffer.getvalue()


def lying(raw: bytes) -> bytes:
    """A bomb whose directory tells small sizes."""
    changed = bytearray(raw)
    at = 0
    while (at := changed.find(b"PK\x01\x02", at)) >= 0:
        struct.pack_into("<L", changed, at + 24, 1000)
        at += 4
    return bytes(changed)


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload()], object), allow_pickle=True)
    return buffer.getvalue()


def overlapping(raw: bytearray) -> None:
    """Let the second entry point at the first one's bytes."""
    first: int = struct.unpack_from("<L", raw, raw.rindex(END) + 16)[0]
    second = raw.index(CENTRAL, first + 4)
    raw[second + 42 : second + 46] = raw[first + 42 : first + 46]


def many_listed(path: Path) -> None:
    """A hundred thousand entries without content."""
    with zipfile.ZipFile(path, "w") as target:
        for i in range(100_000):
            target.writestr(zipfile.ZipInfo(f"{i}"), b"")


def zip64(raw: bytearray) -> None:
    """Say of the list of files, in the long form, that it is as large as can be."""
    end = raw.rindex(END)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**40, 2**40, 2**40, 0)
    raw[end:end] = record + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)


DEEP = b"[" * 100_000 + b"]" * 100_000
HUGE = b"9" * 5000
NESTED = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
ARCHIVES: dict[str, tuple[str, Write]] = {
    "slip": ("not a file of a bundle", archive(lambda f: {**f, "../../canary": b"x"})),
    "slip_instead": (
        "the archive|missing",
        archive(lambda f: {("../card.md" if n == "card.md" else n): c for n, c in f.items()}),
    ),
    "absolute_path": (
        "the archive|missing",
        archive(lambda f: {("/tmp/card.md" if n == "card.md" else n): c for n, c in f.items()}),
    ),
    "drive_letter": (
        "the archive|missing",
        archive(lambda f: {("C:\\card.md" if n == "card.md" else n): c for n, c in f.items()}),
    ),
    "name_with_nul": (
        "the archive|missing|damaged",
        patched(lambda raw: raw.__setitem__(slice(None), raw.replace(b"card.md", b"card\0md"))),
    ),
    "name_in_capitals": (
        "the archive|missing",
        archive(lambda f: {("CARD.MD" if n == "card.md" else n): c for n, c in f.items()}),
    ),
    "name_with_terminal_codes": (
        "missing",
        archive(lambda f: {("\x1b[2J" if n == "card.md" else n): c for n, c in f.items()}),
    ),
    "symbolic_link": ("the archive", archive(lambda f: f, external_attr=0o120777 << 16)),
    "link_to_a_file": ("card.md", archive(lambda f: {**f, "card.md": b"/etc/passwd"}, external_attr=0o120777 << 16)),
    "device": ("the archive", archive(lambda f: f, external_attr=0o060666 << 16)),
    "compressed": ("compressed", lambda path: path.write_bytes(zipped(good(), zipfile.ZIP_DEFLATED))),
    "bomb": (
        "compressed",
        lambda path: path.write_bytes(zipped({**good(), "card.md": bytes(2**26)}, zipfile.ZIP_DEFLATED)),
    ),
    "nested": ("not a file of a bundle|the archive", archive(lambda f: {**f, "inner.ashore": zipped(f)})),
    "duplicate": (
        "the archive",
        lambda path: path.write_bytes(zipped([*good().items(), ("card.md", b"# A policy\n")])),
    ),
    "second_archive_behind": ("missing", patched(lambda raw: raw.extend(zipped({"card.md": b"x"})))),
    "code_before": (
        "zip file|the archive|policy.onnx",
        patched(lambda raw: raw.__setitem__(slice(0, 0), b"#!/bin/sh\ntouch x\n")),
    ),
    "code_after": ("the archive", patched(lambda raw: raw.extend(b"\n#!/bin/sh\n"))),
    "comment": ("the archive", patched(lambda raw: (put(raw, END, 20, "<H", 5), raw.extend(b"hello")))),
    "encrypted": ("damaged|the archive", patched(lambda raw: put(raw, CENTRAL, 8, "<H", 1))),
    "strongly_encrypted": ("damaged|the archive|strong", patched(lambda raw: put(raw, CENTRAL, 8, "<H", 0x41))),
    "unknown_compression": ("compressed", patched(lambda raw: put(raw, CENTRAL, 10, "<H", 99))),
    "size_declared_huge": (
        "compressed|damaged|policy.onnx",
        patched(lambda raw: put(raw, CENTRAL, 24, "<L", 2**32 - 2)),
    ),
    "sizes_declared_huge": (
        "damaged|policy.onnx",
        patched(lambda raw: (put(raw, CENTRAL, 20, "<L", 2**31), put(raw, CENTRAL, 24, "<L", 2**31))),
    ),
    "size_declared_small": (
        "damaged|policy.onnx",
        patched(lambda raw: (put(raw, CENTRAL, 20, "<L", 9), put(raw, CENTRAL, 24, "<L", 9))),
    ),
    "overlapping": ("damaged|contract.json|the archive|zip", patched(overlapping)),
    "offset_outside": ("zip|the archive|damaged", patched(lambda raw: put(raw, CENTRAL, 42, "<L", 2**31))),
    "headers_disagree": ("damaged|the archive", patched(lambda raw: put(raw, LOCAL, 8, "<H", 8))),
    "wrong_checksum": ("damaged|policy.onnx", patched(lambda raw: put(raw, CENTRAL, 16, "<L", 0))),
    "directory_declared_huge": ("the archive", patched(lambda raw: put(raw, END, 12, "<L", 2**31))),
    "directory_elsewhere": ("damaged|zip|the archive", patched(lambda raw: put(raw, END, 16, "<L", 0))),
    "several_disks": ("zip|the archive", patched(lambda raw: put(raw, END, 4, "<H", 3))),
    "directory_of_100000_files": ("the archive", many_listed),
    "long_form": ("the archive", patched(zip64)),
    "half": ("the archive|zip", patched(lambda raw: raw.__delitem__(slice(len(raw) // 2, None)))),
    "without_end": ("the archive|zip", patched(lambda raw: raw.__delitem__(slice(-22, None)))),
    "empty_file": ("zip", lambda path: path.write_bytes(b"")),
    "random_file": ("zip|the archive", lambda path: path.write_bytes(np.random.default_rng(3).bytes(5000))),
    "pickle_file": ("zip", lambda path: path.write_bytes(pickled())),
    "wrong_hash": ("card.md", archive(lambda f: {**f, "card.md": b"# Another\n"})),
    "member_missing": ("limits.json", archive(lambda f: {n: c for n, c in f.items() if n != "limits.json"})),
    "manifest_missing": ("manifest.json", archive(lambda f: {n: c for n, c in f.items() if n != MANIFEST})),
    "member_too_much": ("setup.py", archive(lambda f: {**f, "setup.py": b"import os"})),
    "members_reordered": ("the archive", archive(lambda f: dict(reversed(f.items())))),
    "manifest_of_another_version": (
        "schema version",
        archive(lambda f: {**f, MANIFEST: manifest(f, schema_version=SCHEMA_VERSION + 1)}),
    ),
    "manifest_version_as_bool": (
        "schema version",
        archive(lambda f: {**f, MANIFEST: manifest(f, schema_version=True)}),
    ),
    "manifest_is_a_list": ("manifest.json", archive(lambda f: {**f, MANIFEST: b"[]"})),
    "manifest_files_is_a_list": ("manifest.json", archive(lambda f: {**f, MANIFEST: manifest(f, files=[1, 2])})),
    "manifest_lists_paths": ("manifest.json", archive(lambda f: {**f, MANIFEST: manifest(f, files={"../x": {}})})),
    "manifest_nests_deep": ("manifest.json", archive(lambda f: {**f, MANIFEST: b'{"content":' + DEEP + b"}"})),
    "manifest_of_many_digits": ("manifest.json", archive(lambda f: {**f, MANIFEST: b'{"content":' + HUGE + b"}"})),
    "manifest_unsealed": ("manifest.json", archive(lambda f: {**f, MANIFEST: manifest(f).replace(b"1", b"2", 1)})),
}
VECTORS: dict[str, tuple[str, Write]] = {
    "objects": ("Object arrays", whole(vectors_npz=arrays(obs=pickled()))),
    "pickle": ("vectors.npz", whole(vectors_npz=b"\x80\x04\x95" + b"\0" * 40)),
    "raw_pickle_member": ("vectors.npz", whole(vectors_npz=arrays(obs=b"\x80\x04cposix\nsystem\n(S'touch x'\ntR."))),
    "text": (
        "vectors.npz",
        whole(vectors_npz=arrays(obs=npy("{'descr': '<U8', 'fortran_order': False, 'shape': (0,)}"))),
    ),
    "huge_shape": (
        "vectors.npz",
        whole(vectors_npz=arrays(obs=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}"))),
    ),
    "negative_shape": (
        "vectors.npz",
        whole(vectors_npz=arrays(obs=npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"))),
    ),
    "code_as_header": ("vectors.npz", whole(vectors_npz=arrays(obs=npy("__import__('os').system('touch x')")))),
    "nested_header": ("vectors.npz", whole(vectors_npz=arrays(obs=npy("(" * 9000 + ")" * 9000)))),
    "long_header": (
        "vectors.npz",
        whole(vectors_npz=arrays(obs=npy("{'descr': '<f4', 'shape': (" + "1," * 20000 + ")}"))),
    ),
    "bomb": ("larger than", whole(vectors_npz=bomb(2**26))),
    "bomb_that_lies": ("vectors.npz", whole(vectors_npz=lying(bomb(2**26)))),
    "slip": ("other arrays", whole(vectors_npz=npz(obs__npy=b"", **{"../../canary": b"x"}))),
    "extra_array": ("other arrays", whole(vectors_npz=vectors(more=np.zeros(1)))),
    "missing_array": ("other arrays", whole(vectors_npz=npz(obs__npy=b""))),
    "no_vectors": ("vectors.npz", whole(vectors_npz=vectors(obs=np.zeros((0, TO, WIDTH), "f4")))),
    "no_dimensions": ("vectors.npz", whole(vectors_npz=vectors(obs=np.float32(1.0)))),
    "nan": ("vectors.npz", whole(vectors_npz=vectors(obs=np.full((4, TO, WIDTH), np.nan, "f4")))),
    "nan_tolerance": ("vectors.npz", whole(vectors_npz=vectors(tolerance=np.full(WIDTH, np.nan)))),
    "doubles_beyond_floats": ("vectors.npz", whole(vectors_npz=vectors(obs=np.full((4, TO, WIDTH), 1e300)))),
    "other_outputs": ("tolerances away", whole(vectors_npz=vectors(actions=np.ones((4, TP, WIDTH), "f4")))),
    "empty": ("vectors.npz", whole(vectors_npz=b"")),
    "cut_short": ("vectors.npz", whole(vectors_npz=vectors()[:200])),
}
DOCUMENTS: dict[str, tuple[str, Write]] = {
    "contract_nests_deep": ("contract.json", text("contract.json", DEEP)),
    "contract_objects_nest_deep": ("contract.json", text("contract.json", NESTED)),
    "contract_of_many_digits": ("contract.json", text("contract.json", b'{"schema_version": ' + HUGE + b"}")),
    "contract_is_a_list": ("contract.json", text("contract.json", b"[]")),
    "contract_is_null": ("contract.json", text("contract.json", b"null")),
    "contract_is_a_number": ("contract.json", text("contract.json", b"1e400")),
    "contract_in_utf16": ("contract.json", text("contract.json", CONTRACT.to_json().encode("utf-16"))),
    "contract_with_mark": ("contract.json", text("contract.json", b"\xef\xbb\xbf" + CONTRACT.to_json().encode())),
    "contract_key_twice": (
        "stands there twice",
        text("contract.json", CONTRACT.to_json().replace("{", '{"control_hz": 1.0,', 1).encode()),
    ),
    "contract_key_unknown": ("contract.json", document("contract.json", lambda raw: raw.update(__class__="x"))),
    "contract_of_a_later_version": (
        "contract.json",
        document("contract.json", lambda raw: raw.update(schema_version=99)),
    ),
    "contract_version_as_text": (
        "contract.json",
        document("contract.json", lambda raw: raw.update(schema_version="1")),
    ),
    "contract_lists_as_objects": (
        "contract.json",
        document("contract.json", lambda raw: raw.update(observations={"a": 1})),
    ),
    "contract_features_as_text": ("contract.json", document("contract.json", lambda raw: raw.update(actions=["a"]))),
    "contract_feature_unknown_key": ("contract.json", document("contract.json", feature(eval="1"))),
    "contract_name_is_a_path": ("contract.json", document("contract.json", feature(name="../../x"))),
    "contract_name_is_a_number": ("contract.json", document("contract.json", feature(name=5))),
    "contract_robot_is_a_number": ("contract.json", document("contract.json", lambda raw: raw.update(robot=5))),
    "contract_dtype_is_object": ("contract.json", document("contract.json", feature(dtype="object"))),
    "contract_shape_of_fractions": ("contract.json", document("contract.json", feature(shape=[3.0]))),
    "contract_shape_of_flags": ("contract.json", document("contract.json", feature(shape=[True, 3]))),
    "contract_shape_negative": ("contract.json", document("contract.json", feature(shape=[-3]))),
    "contract_shape_huge": ("contract.json", document("contract.json", feature(shape=[10**6, 10**6]))),
    "contract_bounds_inverted": ("contract.json", document("contract.json", feature(low=[1, 1, 1], high=[0, 0, 0]))),
    "contract_bounds_as_text": ("contract.json", document("contract.json", feature(low="abc"))),
    "contract_bounds_of_many_digits": ("contract.json", document("contract.json", feature(low=[10**400] * 3))),
    "contract_align_is_a_list": ("contract.json", document("contract.json", feature(align=[1]))),
    "contract_rate_is_zero": ("contract.json", document("contract.json", lambda raw: raw.update(control_hz=0))),
    "contract_rate_is_infinite": (
        "contract.json",
        document("contract.json", lambda raw: raw.update(control_hz=float("inf"))),
    ),
    "contract_rate_is_nan": (
        "contract.json",
        document("contract.json", lambda raw: raw.update(control_hz=float("nan"))),
    ),
    "contract_rate_of_400_digits": (
        "contract.json",
        document("contract.json", lambda raw: raw.update(control_hz=10**400)),
    ),
    "contract_rate_is_1e9": ("contract.json", document("contract.json", lambda raw: raw.update(control_hz=1e9))),
    "contract_rate_is_text": ("contract.json", document("contract.json", lambda raw: raw.update(control_hz="20"))),
    "contract_of_9_mb": ("contract.json", text("contract.json", b'{"a": "' + b"x" * 9 * 2**20 + b'"}')),
    "card_nests_deep": ("robot.json", text("robot.json", DEEP)),
    "card_is_a_list": ("robot.json", text("robot.json", b"[1]")),
    "card_key_unknown": ("robot.json", document("robot.json", lambda raw: raw.update(code="import os"))),
    "card_key_twice": (
        "stands there twice",
        text("robot.json", CARD.to_json().replace("{", '{"command_hz": 1.0,', 1).encode()),
    ),
    "card_of_another_robot": ("of robot 'other'", document("robot.json", lambda raw: raw.update(name="other"))),
    "card_rate_is_1e9": ("robot.json", document("robot.json", lambda raw: raw.update(command_hz=1e9))),
    "card_commands_as_text": ("robot.json", document("robot.json", lambda raw: raw.update(commands=["x"]))),
    "card_commands_empty": ("robot.json", document("robot.json", lambda raw: raw.update(commands=[]))),
    "card_interface_unknown": (
        "interface",
        document("robot.json", lambda raw: raw.update(interface={"kind": "os.system"})),
    ),
    "card_interface_is_a_list": ("robot.json", document("robot.json", lambda raw: raw.update(interface=[]))),
    "card_interface_lacks_names": (
        "interface",
        document("robot.json", lambda raw: raw.update(interface={"kind": "direct"})),
    ),
    "card_interface_of_other_actions": (
        "interface",
        document("robot.json", lambda raw: raw.update(interface={"kind": "direct", "actions": ["none"]})),
    ),
    "card_interface_of_another_width": (
        "interface",
        document("robot.json", lambda raw: raw.update(interface={"kind": "direct", "actions": ["target_world_m"] * 2})),
    ),
    "card_interface_with_broken_chain": (
        "interface",
        document("robot.json", lambda raw: raw.update(interface={"kind": "tool_space", "chain": {"links": [1]}})),
    ),
    "limits_key_unknown": ("robot.json", document("robot.json", limit(off=True))),
    "limits_inverted": ("robot.json", document("robot.json", limit(low=[9] * 3, high=[-9] * 3))),
    "limits_nan": ("robot.json", document("robot.json", limit(low=[float("nan")] * 3))),
    "limits_infinite": ("robot.json", document("robot.json", limit(high=[float("inf")] * 3))),
    "limits_1e400": ("too large", text("robot.json", CARD.to_json().replace("9.0", "1e400").encode())),
    "limits_of_400_digits": ("robot.json", document("robot.json", limit(high=[10**400] * 3))),
    "limits_too_short": ("robot.json", document("robot.json", limit(low=[0.0]))),
    "limits_as_text": ("robot.json", document("robot.json", limit(low=["a", "b", "c"]))),
    "limits_as_flags": ("robot.json", document("robot.json", limit(high=[True, True, True]))),
    "limits_rate_zero": ("max_rate", document("robot.json", limit(max_rate=[0.0] * 3))),
    "limits_timeout_of_a_day": ("timeout_s", document("robot.json", limit(timeout_s=86_400.0))),
    "limits_timeout_as_text": ("robot.json", document("robot.json", limit(timeout_s="1"))),
    "limits_timeout_is_null": ("robot.json", document("robot.json", limit(timeout_s=None))),
    "limits_lead_of_nothing": ("lead_of", document("robot.json", limit(lead_of=[["none", 0]] * 3, max_lead=[1.0] * 3))),
    "limits_lead_of_element_9": (
        "lead_of",
        document("robot.json", limit(lead_of=[["pos_world_m", 9]] * 3, max_lead=[1.0] * 3)),
    ),
    "limits_lead_of_element_minus_1": (
        "lead_of",
        document("robot.json", limit(lead_of=[["pos_world_m", -1]] * 3, max_lead=[1.0] * 3)),
    ),
    "limits_lead_of_text": ("robot.json", document("robot.json", limit(lead_of="abc", max_lead=[1.0] * 3))),
    "limits_bounds_on_nothing": ("observed_low", document("robot.json", limit(observed_low={"none": [0.0]}))),
    "limits_bounds_too_short": ("observed_high", document("robot.json", limit(observed_high={"pos_world_m": [0.0]}))),
    "limits_measured_ragged": ("measured_high", document("robot.json", limit(measured_high={"q": [[1], [1, 2]]}))),
    "limits_measured_nothing": ("measured_high", document("robot.json", limit(measured_high={"q": []}))),
    "limits_measured_nan": ("robot.json", document("robot.json", limit(measured_high={"q": [float("nan")]}))),
    "limits_measured_negative": ("measured_high", document("robot.json", limit(measured_high={"q": [-1.0]}))),
    "limits_measured_text": ("measured_high", document("robot.json", limit(measured_high={"q": "1"}))),
    "limits_measured_number": ("robot.json", document("robot.json", limit(measured_high={"q": 1.0}))),
    "limits_measured_as_list": ("robot.json", document("robot.json", limit(measured_high=[1.0]))),
    "limits_measured_is_observed": (
        "measured_high",
        document("robot.json", limit(measured_high={"pos_world_m": [1.0]})),
    ),
    "limits_bounds_as_list": ("robot.json", document("robot.json", limit(observed_low=[1]))),
    "limits_other_than_the_cards": (
        "limits.json",
        text("limits.json", json.dumps(asdict(replace(CARD.limits, timeout_s=0.2))).encode()),
    ),
    "limits_empty": ("limits.json", text("limits.json", b"{}")),
    "evidence_nests_deep": ("evidence.json", text("evidence.json", DEEP)),
    "evidence_is_a_list": ("evidence.json", text("evidence.json", b"[]")),
    "evidence_key_twice": ("stands there twice", text("evidence.json", b'{"vetoes": ["no"], "vetoes": []}')),
    "evidence_is_nan": ("evidence.json", text("evidence.json", b'{"success": NaN}')),
    "evidence_of_many_digits": ("evidence.json", text("evidence.json", b'{"success": ' + HUGE + b"}")),
}
CASES: dict[str, tuple[str, Write]] = {
    **{f"archive_{name}": case for name, case in ARCHIVES.items()},
    **{f"vectors_{name}": case for name, case in VECTORS.items()},
    **DOCUMENTS,
    **{
        f"graph_{name}": (said, lambda path, make=make: save_archive(path, contents(policy_onnx=make())))
        for name, (said, make) in GRAPHS.items()
    },
}
