"""Stores pushed to and pulled from real storage: files, memory, an S3 service here; killed, damaged, forged."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import picture_cases
import pytest
from fsspec.implementations.local import LocalFileSystem
from moto.server import ThreadedMotoServer

from ashore.cli.main import main
from ashore.datasets import layout, snapshot
from ashore.datasets.bucket import Bucket, open_bucket
from ashore.datasets.contract import Contract
from ashore.datasets.curating import compact, delete, trim
from ashore.datasets.durable import seal
from ashore.datasets.edits import Edit
from ashore.datasets.errors import (
    DamagedFile,
    DamagedObject,
    InvalidRemote,
    RemoteConflict,
    RemoteFailed,
    StorageFailed,
    StoreExists,
    StoreLocked,
)
from ashore.datasets.remote import pull, push
from ashore.datasets.snapshot import parse_snapshot
from ashore.datasets.store import EpisodeStore

N_EPISODES = 4
SHA = "0" * 64
WHO = ("ann", "a test")


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """Episodes with cameras and streams, a deletion and a trim; copied before it is changed."""
    path = tmp_path_factory.mktemp("original") / "store"
    store = EpisodeStore.create(path, picture_cases.CONTRACT)
    for seed in range(N_EPISODES):
        store.append(picture_cases.make_episode(seed))
    delete(store, [1], *WHO)
    trim(store, 2, 2, None, *WHO)
    return path


@pytest.fixture
def here(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "here"))


@pytest.fixture
def there(tmp_path) -> Path:
    """The folder behind `url`."""
    return tmp_path / "there"


@pytest.fixture
def url(there) -> str:
    return f"file://{there}"


def files(path: Path) -> dict[str, bytes]:
    """All of a store or bucket but the lock: {relative path: bytes}."""
    found = (file for file in path.rglob("*") if file.is_file() and file.name != "lock")
    return {str(file.relative_to(path)): file.read_bytes() for file in found}


def add(path: Path, *seeds: int) -> None:
    store = EpisodeStore.open(path)
    for seed in seeds:
        store.append(picture_cases.make_episode(seed))


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def listed(there: Path) -> dict[str, int]:
    return dict(parse_snapshot((there / snapshot.NAME).read_bytes()).objects)


def republish(there: Path, objects: dict) -> None:
    """Put a sealed snapshot there, as someone hostile could."""
    content = {"format": snapshot.FORMAT, "version": snapshot.VERSION, "objects": objects}
    (there / snapshot.NAME).write_bytes(seal(content))


def killed(body: Callable[[], object]) -> bool:
    """Run body in a child process, and tell whether it was killed."""
    child = os.fork()
    if not child:
        try:
            body()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def kill_at(owner: object, names: tuple[str, ...], number: int, half: Callable[..., object] | None = None) -> None:
    """Kill this process at the numbered call of some functions, after half of it has been done."""
    count = [0]

    def wrap(name: str) -> None:
        call = getattr(owner, name)

        def counted(*args, **kwargs):
            count[0] += 1
            if count[0] == number:
                if half is not None:
                    half(name, *args)
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        setattr(owner, name, counted)

    for name in names:
        wrap(name)


def half_an_object(name: str, _: object, source: object, target: object = None, *__: object) -> None:
    """Leave half of what a put would have written, under its final name."""
    if name == "put_file":
        Path(str(target)).write_bytes(Path(str(source)).read_bytes()[:1000])
    elif name == "pipe_file":
        Path(str(source)).write_bytes(bytes(target)[:100])


class TestRoundTrip:
    @pytest.mark.parametrize("scheme", ["file", "memory"])
    def test_every_byte_comes_back_with_edits_and_pictures(self, here, tmp_path, scheme) -> None:
        url = f"{scheme}://{tmp_path}/there"
        pushed, out = push(here, url), tmp_path / "out"
        assert (pushed.n_objects, pushed.n_sent) == (N_EPISODES + 3, N_EPISODES + 3)
        pulled = pull(url, out)
        assert (pulled.n_fetched, pulled.n_edits, pulled.n_episodes) == (N_EPISODES, 2, N_EPISODES - 1)
        assert files(out) == files(here)
        store = EpisodeStore.open(out)
        assert store.verify() == []
        assert len(store.read(2)) == len(picture_cases.make_episode(2)) - 2
        picture_cases.require_equal(store.read(3), picture_cases.make_episode(3))

    def test_only_what_is_missing_travels_the_second_time(self, here, there, url, tmp_path) -> None:
        push(here, url)
        pull(url, tmp_path / "out")
        assert push(here, url).n_sent == 0
        assert pull(url, tmp_path / "out").n_fetched == 0
        add(here, 10)
        before = {name: (there / name).stat().st_mtime_ns for name in listed(there)}
        assert push(here, url).n_sent == 1
        delete(EpisodeStore.open(here), [0], *WHO)
        assert (lambda pushed: (pushed.n_sent, pushed.n_removed))(push(here, url)) == (1, 1)
        assert all((there / name).stat().st_mtime_ns == then for name, then in before.items() if "edits" not in name)
        pulled = pull(url, tmp_path / "out")
        assert (pulled.n_fetched, pulled.n_edits) == (1, 1)
        assert files(tmp_path / "out") == files(here)

    def test_an_empty_store_without_edits_goes_round(self, tmp_path, url) -> None:
        EpisodeStore.create(tmp_path / "empty", picture_cases.CONTRACT)
        assert push(tmp_path / "empty", url).n_objects == 2
        pull(url, tmp_path / "out")
        assert files(tmp_path / "out") == files(tmp_path / "empty")

    def test_a_recording_that_is_going_on_is_neither_sent_nor_disturbed(self, here, there, url, tmp_path) -> None:
        store = EpisodeStore.open(here)
        with store.begin(picture_cases.META) as writer:
            push(here, url)
            writer.discard()
        assert len(listed(there)) == N_EPISODES + 3
        assert pull(url, tmp_path / "out").n_fetched == N_EPISODES

    def test_what_compact_drops_goes_there_and_at_the_next_pull_here(self, here, there, url, tmp_path) -> None:
        push(here, url)
        pull(url, tmp_path / "out")
        compact(EpisodeStore.open(here), *WHO)
        pushed = push(here, url)
        assert (pushed.n_sent, pushed.n_removed) == (2, 3)  # The cut episode and the edits; two episodes, older edits.
        assert sorted(files(there)) == sorted([*listed(there), snapshot.NAME])
        pull(url, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)
        assert EpisodeStore.open(tmp_path / "out").verify() == []

    def test_a_compact_that_was_killed_is_ended_before_a_push(self, here, there, url) -> None:
        store = EpisodeStore.open(here)
        [name] = [name for name in layout.episode_names(here) if layout.index_of(name) == 1]
        store.edit(Edit("compact", *WHO, (1,), replaced={"1": layout.sha256_of(name)}))
        push(here, url)
        assert f"episodes/{name}" not in listed(there)

    def test_objects_of_others_in_the_same_folder_stay(self, here, there, url, tmp_path) -> None:
        (there / "episodes").mkdir(parents=True)
        (there / "notes.txt").write_text("ours")
        (there / "episodes/000000-old.zarr.zip").write_text("theirs")
        push(here, url)
        compact(EpisodeStore.open(here), *WHO)
        push(here, url, check=True)
        assert (there / "notes.txt").read_text() == "ours"
        assert (there / "episodes/000000-old.zarr.zip").read_text() == "theirs"


class TestKilled:
    def test_a_push_killed_anywhere_leaves_the_snapshot_of_before(self, here, there, url, tmp_path) -> None:
        push(here, url)
        before, clean = files(here), tmp_path / "clean"
        shutil.copytree(there, clean)
        add(here, 10, 11)
        compact(EpisodeStore.open(here), *WHO)
        after, ended = files(here), 0
        calls = ("put_file", "pipe_file", "mv", "rm_file")
        for number in range(1, 12):
            shutil.rmtree(there)
            shutil.copytree(clean, there)

            def body(number: int = number) -> None:
                half = half_an_object
                for name in calls:  # Class functions: the file system is made inside.
                    setattr(LocalFileSystem, name, getattr(LocalFileSystem, name))
                kill_at(LocalFileSystem, calls, number, half)
                push(here, url)

            was_killed = killed(body)
            out = tmp_path / f"out{number}"
            pull(url, out)
            got = files(out)
            assert got in (before, after)
            ended += got == after
            push(here, url)
            pull(url, tmp_path / f"again{number}")
            assert files(tmp_path / f"again{number}") == after
            if not was_killed:
                break
        assert number > 5
        assert 1 < ended < number

    @pytest.mark.parametrize("is_new", [True, False])
    def test_a_pull_killed_anywhere_goes_on(self, here, url, tmp_path, is_new) -> None:
        push(here, url)
        pull(url, tmp_path / "old")
        add(here, 10, 11)
        compact(EpisodeStore.open(here), *WHO)
        push(here, url)
        for number in range(1, 60, 2):
            out = tmp_path / f"out{number}"
            if not is_new:
                shutil.copytree(tmp_path / "old", out)

            def body(number: int = number, out: Path = out) -> None:
                kill_at(os, ("fsync", "rename", "replace", "mkdir", "unlink"), number)
                pull(url, out)

            was_killed = killed(body)
            if (out / "store.json").exists():
                assert all(len(episode) for episode in EpisodeStore.open(out, readonly=True))
            pull(url, out)
            assert files(out) == files(here)
            assert EpisodeStore.open(out).verify() == []
            shutil.rmtree(out)
            if not was_killed:
                break
        assert number > 8

    def test_a_full_disk_is_one_message_and_the_next_pull_goes_on(self, here, url, tmp_path, monkeypatch) -> None:
        push(here, url)
        out, fsync, count = tmp_path / "out", os.fsync, [0]

        def full(descriptor: int) -> None:
            count[0] += 1
            if count[0] > 4:
                raise OSError(28, "No space left on device")
            fsync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(StorageFailed, match="Free some space"):
                pull(url, out)
        assert not (out / "store.json").exists()
        pull(url, out)
        assert files(out) == files(here)


class TestDamage:
    def test_a_bit_flipped_in_any_object_is_found(self, here, there, url, tmp_path) -> None:
        push(here, url)
        for number, name in enumerate([*listed(there), snapshot.NAME]):
            flip(there / name)
            with pytest.raises(DamagedObject, match=name.rpartition("/")[2]) as fault:
                pull(url, tmp_path / f"out{number}")
            assert ("push --check" in str(fault.value)) != (name == snapshot.NAME)
            assert not (tmp_path / f"out{number}/store.json").exists()
            flip(there / name)
            pull(url, tmp_path / f"out{number}")
            assert files(tmp_path / f"out{number}") == files(here)

    @pytest.mark.parametrize("left", [None, 0, 100])
    def test_a_missing_or_short_object_is_found(self, here, there, url, tmp_path, left) -> None:
        push(here, url)
        for number, name in enumerate(listed(there)):
            data = (there / name).read_bytes()
            (there / name).unlink() if left is None else (there / name).write_bytes(data[:left])
            with pytest.raises(DamagedObject, match=name.rpartition("/")[2]):
                pull(url, tmp_path / f"out{number}")
            (there / name).write_bytes(data)

    def test_check_sends_again_what_is_damaged(self, here, there, url, tmp_path) -> None:
        push(here, url)
        names = list(listed(there))
        for name in names:
            flip(there / name)
        assert push(here, url).n_sent == 0  # Sizes are right; only a look inside finds it.
        pushed = push(here, url, check=True)
        assert sorted(pushed.damaged) == sorted(names)
        assert push(here, url, check=True).n_sent == 0
        pull(url, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)

    def test_damaged_edits_there_do_not_block_a_push(self, here, there, url, tmp_path) -> None:
        push(here, url)
        [name] = [name for name in listed(there) if "edits" in name]
        flip(there / name)
        assert push(here, url, check=True).damaged == (name,)
        flip(there / name)
        delete(EpisodeStore.open(here), [0], *WHO)
        push(here, url)
        pull(url, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)

    def test_a_damaged_snapshot_is_mended_as_its_message_says(self, here, there, url) -> None:
        push(here, url)
        flip(there / snapshot.NAME)
        for check in (False, True):
            with pytest.raises(DamagedObject, match="Remove that object and push again"):
                push(here, url, check=check)
        (there / snapshot.NAME).unlink()
        assert push(here, url).n_sent == 0
        assert len(listed(there)) == N_EPISODES + 3

    def test_a_damaged_episode_here_is_not_sent(self, here, there, url) -> None:
        flip(layout.episode_files(here)[3])
        with pytest.raises(DamagedFile, match="SHA-256"):
            push(here, url)
        assert not (there / snapshot.NAME).exists()


HOSTILE = (
    "../outside.zarr.zip",
    "/etc/passwd",
    "episodes/../../outside",
    f"episodes/../000009-{SHA}.zarr.zip",
    f"episodes//000009-{SHA}.zarr.zip",
    f"episodes/x/000009-{SHA}.zarr.zip",
    f"episodes/0000009-{SHA}.zarr.zip",
    f"episodes/00000\u0669-{SHA}.zarr.zip",
    f"episodes/000009-{SHA}.zarr.zip\n",
    f"episodes/{'9' * 5000}-{SHA}.zarr.zip",
    f"episodes/000000-{SHA}.zarr.zip",
    f"state/{SHA}-lock",
    f"state/{SHA}-contract.json",
    f"state/../state/{SHA}-edits.jsonl",
    "store.json",
    "",
)


class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_name_that_is_no_part_of_a_store_is_refused(self, here, there, url, tmp_path, name) -> None:
        push(here, url)
        republish(there, listed(there) | {name: 10})
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(DamagedObject, match=r"no part of a store|cannot both be there|integer string"):
            pull(url, tmp_path / "out")
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize("n_bytes", [0, -1, 1.5, True, "10", None, [1]])
    def test_a_size_that_is_none_is_refused(self, here, there, url, tmp_path, n_bytes) -> None:
        push(here, url)
        republish(there, dict.fromkeys(listed(there), n_bytes))
        with pytest.raises(DamagedObject, match="a number of bytes above 0"):
            pull(url, tmp_path / "out")

    def test_a_size_beyond_memory_and_one_that_is_not_there_are_refused(self, here, there, url, tmp_path) -> None:
        push(here, url)
        objects = listed(there)
        for part, words in (("edits", "expected at most"), ("episodes", f"{10**15} bytes of SHA-256")):
            republish(there, {name: 10**15 if part in name else size for name, size in objects.items()})
            with pytest.raises(DamagedObject, match=words):
                pull(url, tmp_path / part)

    @pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b'{"content": [], "sha256": ""}', b"\xff"])
    def test_a_snapshot_that_is_none_is_refused(self, here, there, url, tmp_path, data) -> None:
        push(here, url)
        (there / snapshot.NAME).write_bytes(data)
        with pytest.raises(DamagedObject, match=snapshot.NAME):
            pull(url, tmp_path / "out")

    @pytest.mark.parametrize(
        "change", [{"kind": "rm"}, {"replaced": [1]}, {"episodes": ["x"]}, {"who": 3}, {"start": -1}]
    )
    def test_edits_that_ashore_would_not_make_do_not_reach_a_store(self, here, url, tmp_path, change) -> None:
        from ashore.datasets import edits

        raw = {"kind": "delete", "who": "x", "why": "x", "episodes": [0], "start": 0, "stop": None, "undoes": None}
        line = edits._line(raw | {"replaced": {}, "when": "x"} | change, "") + b"\n"
        out = tmp_path / "out"
        push(here, url)
        there = Path(url.removeprefix("file://"))
        (there / snapshot.state_name(edits.NAME, line)).write_bytes(line)
        objects = {name: size for name, size in listed(there).items() if "edits" not in name}
        republish(there, objects | {snapshot.state_name(edits.NAME, line): len(line)})
        with pytest.raises(DamagedObject, match="edits that ashore wrote"):
            pull(url, out)
        assert not (out / edits.NAME).exists()


class TestConflicts:
    def test_a_push_asks_for_a_pull_where_the_other_side_has_more(self, here, there, url, tmp_path) -> None:
        other = Path(shutil.copytree(here, tmp_path / "other"))
        push(other, url)
        add(other, 10)
        delete(EpisodeStore.open(other), [3], *WHO)
        push(other, url)
        before = files(there)
        with pytest.raises(RemoteConflict, match=r"episode 4: there only[^$]*1 edit.* there only[^$]*pull file://"):
            push(here, url)
        assert files(there) == before
        pull(url, here)
        assert push(here, url).n_sent == 0
        assert files(here) == files(other)

    def test_edits_here_and_episodes_there_come_together(self, here, url, tmp_path) -> None:
        other = Path(shutil.copytree(here, tmp_path / "other"))
        push(here, url)
        add(other, 10)
        push(other, url)
        delete(EpisodeStore.open(here), [3], *WHO)
        pulled = pull(url, here)
        assert (pulled.n_fetched, pulled.n_edits, pulled.n_ahead) == (1, 0, 1)
        push(here, url)
        pull(url, other)
        assert files(here) == files(other)

    def test_two_that_went_on_by_themselves_are_told_and_left_alone(self, here, there, url, tmp_path) -> None:
        other = Path(shutil.copytree(here, tmp_path / "other"))
        add(here, 10)
        add(other, 11)
        push(other, url)
        before = (files(here), files(there))
        for call in (lambda: push(here, url), lambda: pull(url, here)):
            with pytest.raises(RemoteConflict, match=r"episode 4: [0-9a-f]{12} here, [0-9a-f]{12} there[^$]*merge"):
                call()
        assert (files(here), files(there)) == before

    def test_edits_that_differ_are_told_by_number_and_name(self, here, url, tmp_path) -> None:
        other = Path(shutil.copytree(here, tmp_path / "other"))
        delete(EpisodeStore.open(here), [0], "ann", "a")
        delete(EpisodeStore.open(other), [3], "bob", "b")
        push(other, url)
        for call in (lambda: push(here, url), lambda: pull(url, here)):
            with pytest.raises(RemoteConflict, match="edit 2: delete by ann here, delete by bob there"):
                call()

    def test_compact_of_one_episode_does_not_take_another_of_the_same_index(self, here, url, tmp_path) -> None:
        other = Path(shutil.copytree(here, tmp_path / "other"))
        add(here, 10)
        delete(EpisodeStore.open(here), [4], *WHO)
        compact(EpisodeStore.open(here), *WHO)
        add(other, 11)
        push(other, url)
        with pytest.raises(RemoteConflict, match="episode 4: recorded there, while compact removed another"):
            push(here, url)
        push(here, f"{url}2")
        with pytest.raises(RemoteConflict, match="episode 4: recorded here, while compact removed another"):
            pull(f"{url}2", other)

    def test_another_contract_is_refused(self, here, url, tmp_path) -> None:
        text = picture_cases.CONTRACT.to_json().replace("test/see", "test/hear")
        EpisodeStore.create(tmp_path / "other", Contract.from_json(text))
        push(here, url)
        with pytest.raises(RemoteConflict, match="another contract"):
            push(tmp_path / "other", url)
        with pytest.raises(RemoteConflict, match="another contract"):
            pull(url, tmp_path / "other")

    def test_a_pull_writes_into_nothing_that_is_no_store_of_its_own(self, here, url, tmp_path) -> None:
        push(here, url)
        (tmp_path / "full").mkdir()
        (tmp_path / "full/precious.txt").write_text("keep")
        with pytest.raises(StoreExists):
            pull(url, tmp_path / "full")
        with EpisodeStore.open(here), pytest.raises(StoreLocked):
            pull(url, here)

    def test_pushes_of_one_state_at_once_all_end(self, here, there, url, tmp_path) -> None:
        push(here, url)
        add(here, 10, 11)
        copies = [Path(shutil.copytree(here, tmp_path / f"copy{number}")) for number in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda path: push(path, url), copies))
        pull(url, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)

    def test_a_push_that_ends_during_another_makes_that_one_stop(self, here, there, url, tmp_path) -> None:
        push(here, url)
        other = Path(shutil.copytree(here, tmp_path / "other"))
        add(here, 10)
        add(other, 11)
        with pytest.raises(RemoteConflict, match="another push ended meanwhile"):
            push(here, url, progress=lambda done, total, note: push(other, url) and None)
        pull(url, tmp_path / "out")
        assert files(tmp_path / "out") == files(other)

    def test_a_pull_begins_again_where_a_push_removed_what_it_was_to_fetch(
        self, here, there, url, tmp_path, monkeypatch
    ) -> None:
        push(here, url)
        compact(EpisodeStore.open(here), *WHO)
        sizes = Bucket.sizes

        def late(bucket: Bucket) -> dict[str, int]:
            monkeypatch.setattr(Bucket, "sizes", sizes)
            push(here, url)
            return sizes(bucket)

        monkeypatch.setattr(Bucket, "sizes", late)
        pull(url, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)


SECRET = "wJalrXUtnFEMI/K7MDENG"


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            f"s3://AKIAEXAMPLE:{SECRET}@robots/arm",
            f"s3://AKIAEXAMPLE:{SECRET}/arm",
            f"s3://{SECRET}@robots/arm",
            f"sftp://ann:{SECRET}@host/arm",
            f"ftp://ann:{SECRET}@host/arm",
            f"s3://robots/arm?aws_secret_access_key={SECRET}",
            f"S3://AKIAEXAMPLE:{SECRET}@robots/arm",
            f"AKIAEXAMPLE:{SECRET}@robots/arm",
            f"simplecache::s3://AKIAEXAMPLE:{SECRET}@robots/arm",
        ],
    )
    def test_credentials_are_refused_and_not_repeated(self, here, url, capsys) -> None:
        assert main(["datasets", "push", str(here), url]) == 2
        written = capsys.readouterr()
        assert "InvalidRemote" in written.err
        assert not [part for part in SECRET.split("/") if part in written.err + written.out]
        assert "AWS_SECRET_ACCESS_KEY" in written.err or "scheme" in written.err

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("out/arm", "it has no scheme"),
            ("s3x://robots/arm", "Did you mean 's3'?"),
            ("s3://", "it names no place"),
            ("s3:///", "it names no place"),
            ("s3://robots/a*m", "take a plain path"),
            ("s3://robots/arm#1", "take a plain path"),
            ("memory://a::file://b", "take a plain path"),
        ],
    )
    def test_a_url_that_names_no_place_is_refused(self, url, words) -> None:
        with pytest.raises(InvalidRemote) as fault:
            open_bucket(url)
        assert words in str(fault.value)

    @pytest.mark.parametrize(("package", "words"), [("s3fs", "pip install 'ashore[s3]'"), ("fsspec", "ashore[s3]")])
    def test_a_missing_package_names_the_extra(self, here, package, words) -> None:
        probe = (
            f"import sys\nsys.modules[{package!r}] = None\nfrom ashore.cli.main import main\n"
            f"sys.exit(main(['datasets', 'push', {str(here)!r}, 's3://robots/arm']))"
        )
        answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
        assert answer.returncode == 2, answer.stderr
        assert words in answer.stderr
        assert "Traceback" not in answer.stderr

    def test_nothing_there_is_told(self, url, tmp_path) -> None:
        with pytest.raises(RemoteFailed, match="no push has ended at this URL"):
            pull(url, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_the_command_line_from_end_to_end(here, there, url, tmp_path, capsys) -> None:
    def said(*arguments: object, code: int = 0) -> str:
        assert main(["datasets", *map(str, arguments)]) == code
        written = capsys.readouterr()
        return written.out + written.err

    assert f"{N_EPISODES + 3} of {N_EPISODES + 3} object(s) sent" in said("push", here, url)
    text = said("pull", url, tmp_path / "out")
    assert f"{N_EPISODES} episode(s) fetched" in text
    assert f"shows {N_EPISODES - 1} episode(s)" in text
    assert "100 %" in text
    assert "0 fault(s)" in said("verify", tmp_path / "out")
    flip(there / next(iter(listed(there))))
    assert "is damaged" in said("pull", url, tmp_path / "other", code=2)
    assert "was damaged, sent again: episodes/" in said("push", here, url, "--check")
    add(tmp_path / "out", 10)
    assert "Next: ashore datasets push" in said("pull", url, tmp_path / "out")
    said("push", tmp_path / "out", url)
    assert "first, then push again" in said("push", here, url, code=2)
    assert "is not a readable episode store" in said("push", tmp_path / "nowhere", url, code=2)


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """An S3 service on this machine, real HTTP on a loopback port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


class TestS3:
    @pytest.fixture(autouse=True)
    def environment(self, service, monkeypatch) -> None:
        settings = {
            "AWS_ENDPOINT_URL": service,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

    @pytest.fixture
    def s3(self, environment):
        return fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)

    @pytest.fixture
    def bucket(self, s3, request) -> str:
        name = f"robots-{abs(hash(request.node.name))}"
        s3.mkdir(name)
        return f"s3://{name}/arm"

    def test_every_byte_goes_round_and_only_what_is_new_travels(self, here, bucket, s3, tmp_path) -> None:
        s3.pipe_file(f"{bucket}-other/notes.txt", b"ours")
        assert push(here, bucket).n_sent == N_EPISODES + 3
        pull(bucket, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)
        assert push(here, bucket, check=True).n_sent == 0
        add(here, 10)
        compact(EpisodeStore.open(here), *WHO)
        pushed = push(here, bucket)
        assert (pushed.n_sent, pushed.n_removed) == (3, 3)
        pull(bucket, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)
        assert s3.cat_file(f"{bucket}-other/notes.txt") == b"ours"

    def test_damage_is_found_and_mended(self, here, bucket, s3, tmp_path) -> None:
        push(here, bucket)
        objects = parse_snapshot(s3.cat_file(f"{bucket}/{snapshot.NAME}")).objects
        for number, name in enumerate(list(objects)[-4:]):
            data = s3.cat_file(f"{bucket}/{name}")
            s3.pipe_file(f"{bucket}/{name}", bytes([data[0] ^ 1]) + data[1:] if number % 2 else b"")
            with pytest.raises(DamagedObject, match=name.rpartition("/")[2]):
                pull(bucket, tmp_path / f"out{number}")
            assert push(here, bucket, check=True).n_sent == 1
        pull(bucket, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)

    def test_the_service_refuses_a_snapshot_that_would_hide_another(self, here, bucket, tmp_path) -> None:
        push(here, bucket)
        place = open_bucket(bucket)
        tag = place.tag(snapshot.NAME)
        add(here, 10)
        push(here, bucket)
        now = place.read(snapshot.NAME, 10**6)
        for stale in (tag, None):
            place.replace(snapshot.NAME, b"later", stale)
            assert place.read(snapshot.NAME, 10**6) == now
        place.replace(snapshot.NAME, b"later", place.tag(snapshot.NAME))
        assert place.read(snapshot.NAME, 10**6) == b"later"

    def test_of_two_pushes_that_replace_the_snapshot_at_once_one_is_told(
        self, here, bucket, tmp_path, monkeypatch
    ) -> None:
        push(here, bucket)
        other = Path(shutil.copytree(here, tmp_path / "other"))
        add(here, 10)
        add(other, 11)
        replace = Bucket.replace

        def late(place: Bucket, *arguments) -> None:
            monkeypatch.setattr(Bucket, "replace", replace)
            push(other, bucket)
            replace(place, *arguments)

        monkeypatch.setattr(Bucket, "replace", late)
        with pytest.raises(RemoteConflict, match="another push ended meanwhile"):
            push(here, bucket)
        pull(bucket, tmp_path / "out")
        assert files(tmp_path / "out") == files(other)

    def test_a_killed_push_leaves_the_snapshot_of_before_and_goes_on(self, here, bucket, tmp_path) -> None:
        push(here, bucket)
        before = files(here)
        add(here, 10, 11)
        probe = (
            "import os, signal, sys\nfrom ashore.datasets.remote import push\n"
            "push(sys.argv[1], sys.argv[2], progress=lambda done, total, note: os.kill(os.getpid(), signal.SIGKILL))"
        )
        child = subprocess.run([sys.executable, "-c", probe, str(here), bucket], check=False)
        assert child.returncode == -signal.SIGKILL
        pull(bucket, tmp_path / "out")
        assert files(tmp_path / "out") == before
        assert push(here, bucket).n_sent <= 1
        pull(bucket, tmp_path / "out")
        assert files(tmp_path / "out") == files(here)

    def test_a_bucket_that_is_not_there_is_told(self, here, tmp_path) -> None:
        with pytest.raises(RemoteFailed, match=r"bucket does not exist[^$]*Make the bucket"):
            push(here, "s3://nowhere-at-all/arm")

    def test_missing_credentials_are_told(self, here, bucket, monkeypatch, tmp_path) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(RemoteFailed, match="Set AWS_ACCESS_KEY_ID"):
            push(here, bucket)
