"""The library: whole tracks or none, whatever happens; history that survives; one service at a time."""

import contextlib
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import synchronize
from pathlib import Path

import numpy as np
import pytest
import soundfile
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from gridtone.cue import Cue
from gridtone.library.audio import encode_flac, encode_opus
from gridtone.library.database import open_database
from gridtone.library.errors import LibraryError
from gridtone.library.history import TrackFailure
from gridtone.library.library import Count, Freshness, Library
from gridtone.library.listening import Feedback, Play
from gridtone.library.retention import SECONDS_A_DAY, Shelved, to_remove
from gridtone.library.settings import LibrarySettings
from gridtone.library.store import Store
from gridtone.library.tables import Table
from gridtone.library.track import Track
from waiting import PATIENCE_SECONDS, until

FORK = multiprocessing.get_context("fork")
FRESH = Freshness(hours=1, plays=3, prompts={"day": "day-1", "alert": "alert-1"})


def track(content: bytes, **facts: object) -> Track:
    made = Track(
        id=hashlib.sha256(content).hexdigest(),
        state="day",
        text="专注、沉稳",
        seconds=60.0,
        sample_rate=48000,
        tempo_bpm=72.0,
        key="D minor",
        energy=0.3,
        bar_seconds=3.33,
        first_bar_seconds=0.1,
        loudness_lufs=-23.0,
        true_peak_dbtp=-6.0,
        engine="composer",
        model="composer 1",
        seed=7,
        licence="CC0-1.0",
        created=time.time(),
    )
    return replace(made, **facts)


def add(library: Library, content: bytes, prompt_hash: str = "", **facts: object) -> Track:
    """Keep a track whose FLAC is `content` (which the library does not look into)."""
    made = track(content, **facts)
    flac, opus = library.incoming / f"{made.id}.a", library.incoming / f"{made.id}.b"
    flac.write_bytes(content)
    opus.write_bytes(content[::-1])
    return library.add(made, prompt_hash or f"{made.state}-1", flac, opus)


def postgresql_programs() -> Path | None:
    """The folder of initdb and postgres."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)] + sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = [folder for folder in folders if (folder / "initdb").exists()]
    return found[0] if found else None


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL server of our own, on a Unix socket."""
    programs = postgresql_programs()
    if not programs:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg", reason="the extra gridtone[postgresql] is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: the name of a Unix socket has 107 bytes
    user = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "nobody")
        user = {"user": "nobody"}
    quiet = {**user, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "gridtone", "--auth", "trust", "-E", "UTF8"], check=True, **quiet)
    server = subprocess.Popen([programs / "postgres", "-D", folder / "data", "-k", folder, "-h", ""], stderr=subprocess.DEVNULL, **quiet)
    try:
        status = folder / "data" / "postmaster.pid"
        until(lambda: server.poll() is not None or (status.exists() and "ready" in status.read_text()))
        assert server.poll() is None, "PostgreSQL did not start"
        yield f"postgresql+psycopg://gridtone@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(PATIENCE_SECONDS)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Library]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql")
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("drop schema public cascade"))
            connection.execute(text("create schema public"))
        engine.dispose()
    with Library.open(LibrarySettings(database=url), tmp_path) as opened:
        yield opened


def audio_files(data_dir: Path) -> set[str]:
    return {path.name for path in (data_dir / "audio").rglob("*.*") if path.is_file()}


def test_a_track_comes_back_as_it_was_kept(library: Library) -> None:
    kept = add(library, b"sound")
    assert library.get(kept.id) == kept
    assert library.open_audio("0" * 64, "flac") is None
    for codec, content in (("flac", b"sound"), ("opus", b"dnuos")):
        file, size = library.open_audio(kept.id, codec)
        with file:
            assert (file.read(), size) == (content, 5)
            file.seek(2)
            assert file.read(1) == content[2:3]
    assert list(library.incoming.iterdir()) == []


def test_the_same_audio_is_kept_once(library: Library, tmp_path: Path) -> None:
    first = add(library, b"sound")
    assert add(library, b"sound", created=first.created + 5) == first
    assert audio_files(tmp_path) == {f"{first.id}.flac", f"{first.id}.opus"}


def test_tracks_are_listed_newest_first_and_page_by_page(library: Library) -> None:
    made = [add(library, bytes([n]), created=1000.0 + n, state="day" if n % 2 else "alert") for n in range(6)]
    assert library.tracks(None, 3) == made[:2:-1]
    assert library.tracks(None, 10, before=1003.0) == made[2::-1]
    assert library.tracks("day", 10) == [made[5], made[3], made[1]]


def test_fresh_is_young_little_played_and_made_for_todays_prompt(library: Library) -> None:
    now = time.time()
    fresh = add(library, b"fresh")
    add(library, b"old", created=now - 3601)
    add(library, b"other prompt", "day-0")
    played = add(library, b"played")
    for n in range(3):
        library.record_cue(Cue(n + 1, now + n, "play", "day", {"en": "why"}, played))
    assert {each.id: is_fresh for each, is_fresh in library.candidates("day", FRESH)}.pop(fresh.id)
    assert library.counts(FRESH) == {"day": Count(fresh=1, playable=4)}
    assert library.counts(replace(FRESH, prompts={})) == {"day": Count(fresh=0, playable=4)}
    library.retire_oldest(FRESH)
    assert library.counts(FRESH) == {"day": Count(fresh=0, playable=4)}


def test_the_migrations_make_the_tables_of_today(library: Library) -> None:
    with library._database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Table.metadata) == []


def test_retention_removes_and_history_is_forgotten(library: Library) -> None:
    now = time.time()
    old = add(library, b"old", created=now - 100 * SECONDS_A_DAY)
    new = add(library, b"new")
    for day, state in ((200, "day"), (150, "alert"), (1, "day")):
        library.begin_state(state, "normal", {"en": ""}, now - day * SECONDS_A_DAY)
        library.record_feedback(old.id, 1, f"{day} days ago", now - day * SECONDS_A_DAY)
    assert library.retain(FRESH) == [old.id]
    assert library.tracks(None, 9) == [new]
    assert [span.state for span in library.spans(0, now)] == ["alert", "day"]
    assert [kept.reason for kept in library.feedback(0, now)] == ["1 days ago"]


def test_feedback_that_the_database_refuses_is_told(tmp_path: Path) -> None:
    with Library.open(LibrarySettings(), tmp_path) as library:
        with library._database.begin() as connection:
            connection.execute(text("CREATE TRIGGER refuse BEFORE INSERT ON feedback BEGIN SELECT RAISE(ABORT, 'no room'); END"))
        with pytest.raises(LibraryError, match=r"could not write the feedback .*no room"):
            library.record_feedback("some track", 1, "", 100.0)


def test_cues_plays_failures_and_counters_survive_a_restart(tmp_path: Path) -> None:
    with Library.open(LibrarySettings(), tmp_path) as library:
        assert library.last_cue() is None
        heard = add(library, b"heard")
        cue = Cue(41, 1234.5, "play", "day", {"en": "calm", "zh": "平静"}, heard, None, duck_db=-6.0)
        library.record_cue(cue)
        failure = TrackFailure("alert", "text", "composer", 9, ["too loud", "a click at 3.2 s"], 99.0)
        library.record_failure(failure)
        library.record_feedback(heard.id, -1, "too busy", 100.0)
        assert [library.reserve("seed", 3), library.reserve("seed", 1)] == [1, 4]
    with Library.open(LibrarySettings(), tmp_path) as library:
        assert library.last_cue() == cue
        assert library.get(heard.id) == replace(heard, plays=1, last_played=1234.5)
        assert library.failures(5) == [failure]
        assert library.reserve("seed", 1) == 5
        assert library.plays(1234, 1235) == [Play(1234.5, "day", heard.id, heard.text, heard.licence)]
        assert library.feedback(100, 101) == [Feedback(100.0, heard.id, heard.state, heard.text, -1, "too busy")]
        assert library.plays(0, 1234.5) == library.feedback(101, 2000) == []
        library.record_feedback("removed since", 1, "", 200.0)
        assert library.feedback(150, 999) == [Feedback(200.0, "removed since", "", "", 1, "")], "feedback outlives its track"


def test_history_of_states(library: Library) -> None:
    for n, state in enumerate(["day", "alert", "alert", "day", "alert", "emergency"]):
        library.begin_state(state, "normal", {"en": f"reason {n}", "zh": "原因"}, 100.0 + n)
    spans = library.spans(101.5, 104.5)
    assert [(span.state, span.start, span.end) for span in spans] == [("alert", 101, 103), ("day", 103, 104), ("alert", 104, 105)]
    assert spans[0].reason == {"en": "reason 1", "zh": "原因"}
    assert library.spans(105.5, 106)[0].end is None
    assert library.last_state().state == "emergency"


def run_until_killed(data_dir: Path, ready: object) -> None:
    library = Library.open(LibrarySettings(), data_dir)
    library.begin_state("alert", "alert", {"en": "why"}, 1000.0)
    library.mark_alive(1060.0)
    ready.set()
    time.sleep(600)


@contextlib.contextmanager
def killed(target: Callable[..., None], *arguments: object) -> Iterator[None]:
    """A process of its own, killed with SIGKILL at the end of the block."""
    process = FORK.Process(target=target, args=arguments)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def test_a_state_ends_when_its_service_was_last_seen_alive(tmp_path: Path) -> None:
    ready = FORK.Event()
    with killed(run_until_killed, tmp_path, ready):
        assert ready.wait(PATIENCE_SECONDS)
    with Library.open(LibrarySettings(), tmp_path) as library:
        span = library.last_state()
        assert (span.state, span.end) == ("alert", 1060.0)


def test_a_second_service_on_the_directory_refuses_and_names_the_first(tmp_path: Path) -> None:
    code = f"from gridtone.library.library import *; Library.open(LibrarySettings(), Path({str(tmp_path)!r}))"
    with Library.open(LibrarySettings(), tmp_path):
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert second.returncode == 1
    assert f"LibraryError: {tmp_path} is in use by another gridtone (process id {os.getpid()})" in second.stderr
    ready = FORK.Event()
    with killed(run_until_killed, tmp_path, ready):
        assert ready.wait(PATIENCE_SECONDS)
        with pytest.raises(LibraryError, match="in use"):
            Library.open(LibrarySettings(), tmp_path)
    Library.open(LibrarySettings(), tmp_path).close()  # the lock died with its holder


def test_two_services_on_one_postgresql_are_refused_at_once(postgresql: str, tmp_path: Path) -> None:
    settings = LibrarySettings(database=postgresql)
    with Library.open(settings, tmp_path / "one"):
        with pytest.raises(LibraryError, match=rf"postgres\S* is in use by another gridtone \(gridtone, process {os.getpid()} on "):
            Library.open(settings, tmp_path / "two")
        assert not (tmp_path / "two" / "audio").exists()
        open_database(postgresql).dispose()  # reading beside a service is no service
    Library.open(settings, tmp_path / "two").close()


def test_a_restarted_postgresql_is_held_again(postgresql: str, tmp_path: Path) -> None:
    settings = LibrarySettings(database=postgresql)
    with Library.open(settings, tmp_path / "one") as library:
        drop_connections(postgresql)
        with Library.open(settings, tmp_path / "two"):
            library.mark_alive(1.0)
            assert "in use by another gridtone" in library.problem()
        library.mark_alive(2.0)
        assert library.problem() == ""
        with pytest.raises(LibraryError, match="in use by another gridtone"):
            Library.open(settings, tmp_path / "two")


def drop_connections(url: str) -> None:
    """What a restart of the server does to its clients."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"))
    engine.dispose()


def write_for_ever(data_dir: Path, seed: int, writing: synchronize.Event) -> None:
    """Keep and remove tracks, as fast as possible."""
    library = Library.open(LibrarySettings(max_plays=1), data_dir)
    generator = random.Random(seed)
    while True:
        made = add(library, generator.randbytes(generator.randrange(1, 50_000)))
        writing.set()
        library.record_cue(Cue(1, 1.0, "play", "day", {"en": ""}, made))
        if generator.random() < 0.3:
            library.record_cue(Cue(1, 2.0, "play", "day", {"en": ""}, made))
            library.retain(FRESH)


def left_by(data_dir: Path) -> tuple[set[str], set[str]]:
    """Ids of the rows and names of the audio files, looked at from outside."""
    with contextlib.closing(sqlite3.connect(data_dir / "gridtone.db")) as database:
        try:
            rows = {row[0] for row in database.execute("select id from tracks")}
        except sqlite3.OperationalError:  # killed before the first migration
            rows = set()
    return rows, {name for name in audio_files(data_dir) if name.endswith((".flac", ".opus"))}


def assert_whole(data_dir: Path) -> int:
    """Open the library once more: nothing half is left. Returns how many tracks it has."""
    with Library.open(LibrarySettings(), data_dir) as library:
        tracks = library.tracks(None, 100_000)
        for each in tracks:
            file, _ = library.open_audio(each.id, "flac")
            with file:
                assert hashlib.sha256(file.read()).hexdigest() == each.id
        assert left_by(data_dir)[1] == {f"{each.id}.{codec}" for each in tracks for codec in ("flac", "opus")}
        assert [*library.incoming.parent.iterdir()] == [library.incoming]
        assert list(library.incoming.iterdir()) == []
    return len(tracks)


def test_killed_at_random_moments_it_is_whole_again(tmp_path: Path) -> None:
    torn = 0
    for seed in range(30):
        writing = FORK.Event()
        with killed(write_for_ever, tmp_path, seed, writing):
            if seed % 5:  # the others may be killed while they open
                assert writing.wait(PATIENCE_SECONDS)
            time.sleep(random.Random(seed).random() * 0.15)
        if (tmp_path / "gridtone.db").exists():
            rows, files = left_by(tmp_path)
            torn += files != {f"{row}.{codec}" for row in rows for codec in ("flac", "opus")} or any((tmp_path / "audio" / "incoming").rglob("*.*"))
        kept = assert_whole(tmp_path)
    assert kept > 0
    assert torn > 0, "no kill ever hit between two steps: this test proves nothing"


def kill_self(after: int, method: Callable[..., object]) -> Callable[..., object]:
    calls = 0

    def dying(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments)

    return dying


def add_and_remove(data_dir: Path, step: str, after: int) -> None:
    setattr(Store, step, kill_self(after, getattr(Store, step)))
    with Library.open(LibrarySettings(max_age_days=1), data_dir) as library:
        add(library, b"new")
        add(library, b"old", created=time.time() - 2 * SECONDS_A_DAY)
        library.retain(FRESH)


@pytest.mark.parametrize(("step", "after"), [("put", 0), ("put", 1), ("put", 3), ("remove", 0), ("remove", 1)])
def test_killed_between_any_two_steps_it_is_whole_again(tmp_path: Path, step: str, after: int) -> None:
    process = FORK.Process(target=add_and_remove, args=(tmp_path, step, after))
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == -signal.SIGKILL
    assert_whole(tmp_path)


def test_a_truncated_file_is_no_track(tmp_path: Path) -> None:
    with Library.open(LibrarySettings(), tmp_path) as library:
        torn, sound = add(library, b"torn by a power cut"), add(library, b"sound")
    next((tmp_path / "audio").rglob(f"{torn.id}.flac")).write_bytes(b"torn")
    with Library.open(LibrarySettings(), tmp_path) as library:
        assert library.tracks(None, 9) == [sound]
    assert audio_files(tmp_path) == {f"{sound.id}.flac", f"{sound.id}.opus"}


def test_files_of_others_in_the_store_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "audio" / "mine").mkdir(parents=True)
    (tmp_path / "audio" / "mine" / "favourite.flac").write_bytes(b"mine")
    Library.open(LibrarySettings(), tmp_path).close()
    assert (tmp_path / "audio" / "mine" / "favourite.flac").exists()


def test_a_store_that_is_not_mounted_loses_nothing(tmp_path: Path) -> None:
    store = tmp_path / "mounted"
    settings = LibrarySettings(store=str(store))
    with Library.open(settings, tmp_path) as library:
        kept = add(library, b"sound")
    store.rename(tmp_path / "elsewhere")
    with pytest.raises(LibraryError, match="is it mounted"):
        Library.open(settings, tmp_path)
    shutil.rmtree(store)
    (tmp_path / "elsewhere").rename(store)
    with Library.open(settings, tmp_path) as library:
        assert library.get(kept.id) == kept


def test_another_librarys_store_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Library.open(LibrarySettings(store=str(store)), tmp_path / "one") as library:
        add(library, b"sound")
    with pytest.raises(LibraryError, match="belongs to another database"):
        Library.open(LibrarySettings(store=str(store)), tmp_path / "two")
    assert len(left_by(tmp_path / "one")[0]) == 1


def test_a_remote_store_by_url(tmp_path: Path) -> None:
    """fsspec's in-memory file system takes the path that `s3://` takes: no local file, no rename."""
    settings = LibrarySettings(store="memory://gridtone-test", max_age_days=1)
    with Library.open(settings, tmp_path) as library:
        kept = add(library, b"sound")
        add(library, b"old", created=time.time() - 2 * SECONDS_A_DAY)
        assert len(library.retain(FRESH)) == 1
        assert list(library.incoming.iterdir()) == []
    with Library.open(settings, tmp_path) as library:
        file, size = library.open_audio(kept.id, "flac")
        with file:
            assert (file.read(), size) == (b"sound", 5)
        assert library.tracks(None, 9) == [kept]


def test_retention_by_age_plays_and_budget(tmp_path: Path) -> None:
    settings = LibrarySettings(max_gib=3500 / 2**30, max_age_days=1, max_plays=2)
    now = time.time()
    with Library.open(settings, tmp_path) as library:
        aged = add(library, b"aged" * 100, created=now - 2 * SECONDS_A_DAY)
        worn = add(library, b"worn" * 100)
        for n in range(3):
            library.record_cue(Cue(1, now + n, "play", "day", {"en": ""}, worn))
        aged_but_playing = add(library, b"play" * 100, created=now - 2 * SECONDS_A_DAY)
        spare = [add(library, bytes([n]) * 400, "day-0", created=now - 1000 + n) for n in range(3)]
        only = add(library, b"only", "alert-0", state="alert", created=now - 3 * SECONDS_A_DAY)
        fresh = add(library, b"fresh" * 100)
        removed = library.retain(FRESH, [aged_but_playing.id])
        assert set(removed) == {aged.id, worn.id, spare[0].id}
        assert {each.id for each in library.tracks(None, 9)} == {aged_but_playing.id, spare[1].id, spare[2].id, only.id, fresh.id}
        assert library.problem() == ""
    assert_whole(tmp_path)


shelves = st.lists(
    st.builds(
        Shelved,
        id=st.uuids().map(str),
        state=st.sampled_from(["a", "b", "gone"]),
        created=st.floats(0, 100 * SECONDS_A_DAY),
        plays=st.integers(0, 100),
        size_bytes=st.integers(1, 2**30),
        fresh=st.booleans(),
    ),
    max_size=12,
)


@given(shelves, st.floats(0.1, 6), st.data())
def test_retention_never_takes_what_is_needed(tracks: list[Shelved], max_gib: float, data: st.DataObject) -> None:
    protected = {each.id for each in tracks if data.draw(st.booleans())}
    settings = LibrarySettings(max_gib=max_gib, max_age_days=60, max_plays=50)
    now = 100.0 * SECONDS_A_DAY
    removed = to_remove(tracks, ["a", "b"], protected, settings, now)
    kept = [each for each in tracks if each.id not in removed]
    assert len(set(removed)) == len(removed)
    assert not protected & set(removed)
    for state in ("a", "b"):
        before, after = ([each for each in some if each.state == state] for some in (tracks, kept))
        assert bool(before) == bool(after)
        assert any(each.fresh for each in before) == any(each.fresh for each in after)
    over_budget = sum(each.size_bytes for each in kept) > max_gib * 2**30
    for state in ("a", "b"):
        spare = [each for each in kept if each.state == state and each.id not in protected]
        expired = [each for each in spare if each.created < now - 60 * SECONDS_A_DAY or each.plays > 50]
        assert len(expired) <= 1
        assert not over_budget or sum(not each.fresh for each in spare) <= 1


def test_a_budget_that_cannot_be_met_is_said(tmp_path: Path) -> None:
    with Library.open(LibrarySettings(max_gib=100 / 2**30), tmp_path) as library:
        add(library, b"x" * 100)
        assert library.retain(FRESH) == []
        assert "library.max_gib" in library.problem()


def test_on_a_full_disk_nothing_new_is_kept_and_everything_plays(tiny_disk: Path) -> None:
    with Library.open(LibrarySettings(min_free_mib=0.5), tiny_disk) as library:
        kept = add(library, b"kept")
        assert library.problem() == ""
        (tiny_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(tiny_disk).free - 400_000))
        assert "MiB left" in library.problem()
        with contextlib.suppress(OSError), (tiny_disk / "more").open("wb", buffering=0) as more:
            while more.write(b"x" * 4096):
                pass
        for n in range(300):  # until the database cannot grow in what it has already
            library.record_failure(TrackFailure("day", "x" * 2000, "composer", n, ["no"], 1.0))
            library.record_cue(Cue(n, 1.0, "play", "day", {"en": "why"}, kept))
        assert "full" in library.problem()
        file, _ = library.open_audio(kept.id, "flac")
        with file:
            assert file.read() == b"kept"
        with pytest.raises((LibraryError, OSError)):
            add(library, b"too much" * 1000)
        (tiny_disk / "more").unlink()
        (tiny_disk / "filler").unlink()
        library.record_cue(Cue(1, 1.0, "play", "day", {"en": "why"}, kept))
        assert library.problem() == ""
        add(library, b"room again")
    assert_whole(tiny_disk)


def test_a_database_that_refuses_a_track_keeps_no_file(tmp_path: Path) -> None:
    with Library.open(LibrarySettings(), tmp_path) as library:
        before = add(library, b"before")
        with contextlib.closing(sqlite3.connect(tmp_path / "gridtone.db")) as outside:
            outside.execute("create trigger refuse before insert on tracks begin select raise(abort, 'refused'); end")
        with pytest.raises(LibraryError, match="could not write a track"):
            add(library, b"after")
        assert audio_files(tmp_path) == {f"{before.id}.flac", f"{before.id}.opus"}


def test_a_database_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    Library.open(LibrarySettings(), tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "gridtone.db")) as outside:
        outside.execute("update alembic_version set version_num = '9999'")
        outside.commit()
    with pytest.raises(LibraryError, match="newer gridtone"):
        Library.open(LibrarySettings(), tmp_path)


def test_what_is_no_database_or_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "gridtone.db").write_bytes(b"this is no database, but long enough to look like a file of one" * 20)
    with pytest.raises(LibraryError, match=r"gridtone\.db cannot be opened: file is not a database"):
        Library.open(LibrarySettings(), tmp_path)
    with pytest.raises(LibraryError, match=r"library\.database"):
        Library.open(LibrarySettings(database="nonsense://"), tmp_path)
    (tmp_path / "gridtone.db").unlink()
    with pytest.raises(LibraryError, match="Protocol not known: nonsense"):
        Library.open(LibrarySettings(store="nonsense://bucket"), tmp_path)


def test_libraries_open_in_threads_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def open_one(number: int) -> None:
        (tmp_path / str(number)).mkdir()
        together.wait(PATIENCE_SECONDS)
        with Library.open(LibrarySettings(), tmp_path / str(number)) as library:
            add(library, b"kept")

    with ThreadPoolExecutor(together.parties) as threads:
        list(threads.map(open_one, range(together.parties)))  # raises what any of them raised


def test_many_threads_at_once(library: Library) -> None:
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for n in range(20):
                made = add(library, f"{number} {n}".encode())
                library.record_cue(Cue(n, 1.0, "play", "day", {"en": ""}, made))
                library.counts(FRESH)
                library.reserve("seed", 1)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert library.counts(FRESH) == {"day": Count(120, 120)}
    assert library.reserve("seed", 1) == 121
    assert library.problem() == ""


@pytest.mark.parametrize("sample_rate", [44_100, 48_000])
def test_audio_is_lossless_in_flac_and_close_in_opus(tmp_path: Path, sample_rate: int) -> None:
    time_axis = np.arange(sample_rate * 3) / sample_rate
    samples = (0.2 * np.sin(2 * np.pi * np.outer([440, 660], time_axis))).astype(np.float32)
    tags = {"title": "沉稳", "license": "CC0-1.0", "comment": "state day, seed 7"}
    for bits in (16, 24):
        flac = encode_flac(samples, sample_rate, bits, tags)
        assert flac == encode_flac(samples, sample_rate, bits, tags)
        (tmp_path / "a.flac").write_bytes(flac)
        decoded, rate = soundfile.read(tmp_path / "a.flac", always_2d=True)
        assert (rate, decoded.shape) == (sample_rate, samples.T.shape)
        assert np.abs(decoded.T - samples).max() < 2 / 2 ** (bits - 1)
        with soundfile.SoundFile(tmp_path / "a.flac") as file:
            assert tags.items() <= file.copy_metadata().items()
    (tmp_path / "a.opus").write_bytes(encode_opus(samples, sample_rate, tags))
    decoded, rate = soundfile.read(tmp_path / "a.opus")
    assert (rate, decoded.shape) == (48_000, (48_000 * 3, 2))
    spectrum = np.abs(np.fft.rfft(decoded[:, 1]))
    assert spectrum.argmax() / 3 == pytest.approx(660, abs=1)
    assert np.sqrt(np.mean(decoded**2)) == pytest.approx(np.sqrt(np.mean(samples**2)), rel=0.02)


def test_every_setting_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "library-and-stock.md").read_text()
    for name in LibrarySettings.model_fields:
        assert f"`library.{name}`" in manual
