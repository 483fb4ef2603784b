"""The sampler process: it may die, hang or babble, and its supervisor tells what happened."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from engines_for_tests import install

from gridtone.gate.limits import GateLimits
from gridtone.stock.messages import Batch, Broken, Job, Made, NotWritten, Progressed, Rejected, decode_from_sampler, encode
from gridtone.stock.sampler import Sampler, SamplerDiedError
from gridtone.stock.settings import StockSettings
from gridtone_engine import Attributes, Prompt
from waiting import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)


@pytest.fixture
def sampler() -> Iterator[Sampler]:
    sampler = Sampler(StockSettings(hang_seconds=250, memory_mib=16_000))
    yield sampler
    sampler.close()


def batch(incoming: Path, tracks: int = 1, batch_id: int = 1, engine: str = "first", **options: str) -> Batch:
    jobs = [Job("day", Prompt("calm, 平静", 10.0, seed=n, attributes=Attributes(energy=0.2)), "hash", GateLimits().model_dump()) for n in range(tracks)]
    return Batch(batch_id, engine, options, jobs, str(incoming), 16)


def outcomes(sampler: Sampler, work: Batch) -> list[object]:
    return [message for message in sampler.sample(work) if not isinstance(message, Progressed)]


def test_makes_checked_tracks_whose_id_is_their_hash(sampler: Sampler, tmp_path: Path) -> None:
    work = batch(tmp_path, tracks=2)
    messages = list(sampler.sample(work))
    assert Progressed(0.5, "track 2 of 2") in messages
    one, two = [message for message in messages if isinstance(message, Made)]
    assert one.job == work.jobs[0]
    assert two.track.seed == 1
    for made in (one, two):
        assert hashlib.sha256(Path(made.flac).read_bytes()).hexdigest() == made.track.id
        assert soundfile.info(made.flac).duration == made.track.seconds == 10.0
        assert soundfile.info(made.opus).subtype == "OPUS"
        assert (made.track.text, made.track.key, made.track.engine, made.track.licence) == ("calm, 平静", "D minor", "first", "CC0-1.0")
        assert made.track.loudness_lufs == pytest.approx(-23, abs=0.5)


def test_the_process_is_nice_single_threaded_and_ends_when_idle(sampler: Sampler, tmp_path: Path) -> None:
    outcomes(sampler, batch(tmp_path))
    process_id = sampler.process_id
    assert os.getpriority(os.PRIO_PROCESS, process_id) == os.getpriority(os.PRIO_PROCESS, 0) + 10
    assert b"OMP_NUM_THREADS=1" in Path(f"/proc/{process_id}/environ").read_bytes().split(b"\0")
    sampler.stop()
    assert sampler.process_id is None
    assert not Path(f"/proc/{process_id}").exists()
    assert len(outcomes(sampler, batch(tmp_path))) == 1  # and starts again


def test_what_libraries_print_is_no_message(sampler: Sampler, tmp_path: Path) -> None:
    assert [type(each) for each in outcomes(sampler, batch(tmp_path, behaviour="chatter"))] == [Made]


def test_a_track_that_fails_the_gate_is_rejected_with_reasons(sampler: Sampler, tmp_path: Path) -> None:
    [rejected] = outcomes(sampler, batch(tmp_path, behaviour="silence"))
    assert isinstance(rejected, Rejected)
    assert rejected.reasons
    assert not list(tmp_path.glob("*.flac"))


@pytest.mark.parametrize(
    ("engine", "behaviour", "reason"),
    [
        ("first", "raise", "RuntimeError: the GPU is on fire"),
        ("first", "missing", "the weights of this engine are not here: fetch them first"),
        ("first", "short", "made 0 of 1 tracks"),
        ("first", "gorge", "MemoryError"),
        ("unheard-of", "", "no engine is called 'unheard-of'"),
    ],
)
def test_an_engine_that_fails_is_reported_and_the_process_lives_on(sampler: Sampler, tmp_path: Path, engine: str, behaviour: str, reason: str) -> None:
    options = {"behaviour": behaviour} if behaviour else {}
    [broken] = outcomes(sampler, batch(tmp_path, engine=engine, **options))
    assert isinstance(broken, Broken)
    assert reason in broken.reason
    before = sampler.process_id
    assert [type(each) for each in outcomes(sampler, batch(tmp_path, engine="second"))] == [Made]
    assert sampler.process_id == before


def test_a_process_that_dies_is_told_of_and_replaced(sampler: Sampler, tmp_path: Path) -> None:
    with pytest.raises(SamplerDiedError, match=r"was ended by signal 9 \(out of memory\?\)"):
        outcomes(sampler, batch(tmp_path, behaviour="die"))
    assert [type(each) for each in outcomes(sampler, batch(tmp_path))] == [Made]


def test_a_process_killed_from_outside_mid_job(sampler: Sampler, tmp_path: Path) -> None:
    work = sampler.sample(batch(tmp_path, behaviour="dawdle"))
    while next(work).step != "track 1 of 1":
        pass
    os.kill(sampler.process_id, 9)
    with pytest.raises(SamplerDiedError, match="signal 9"):
        list(work)


def test_a_process_that_hangs_is_killed_though_its_heart_beats(tmp_path: Path) -> None:
    sampler = Sampler(StockSettings(hang_seconds=2))
    with pytest.raises(SamplerDiedError, match=r"made no progress for \d+ s and was killed"):
        outcomes(sampler, batch(tmp_path, behaviour="hang"))
    assert sampler.process_id is None


def test_a_batch_is_cancelled_and_the_next_is_made(sampler: Sampler, tmp_path: Path) -> None:
    work = sampler.sample(batch(tmp_path, batch_id=7, behaviour="dawdle"))
    assert isinstance(next(work), Progressed)
    sampler.cancel(7)
    assert all(isinstance(message, Progressed) for message in work)
    before = sampler.process_id
    assert [type(each) for each in outcomes(sampler, batch(tmp_path, batch_id=8))] == [Made]
    assert sampler.process_id == before


def test_a_batch_cancelled_before_it_began_does_not_run(sampler: Sampler, tmp_path: Path) -> None:
    sampler.cancel(7)
    assert outcomes(sampler, batch(tmp_path, batch_id=7, behaviour="dawdle")) == []


def test_leaving_a_batch_early_leaves_nothing_of_it_behind(sampler: Sampler, tmp_path: Path) -> None:
    work = sampler.sample(batch(tmp_path, tracks=3))
    assert any(isinstance(message, Made) for message in work)
    work.close()
    [made] = outcomes(sampler, batch(tmp_path, batch_id=2))
    assert made.job.prompt.seed == 0


def test_a_track_that_cannot_be_written_is_not_the_engines_fault(sampler: Sampler, tmp_path: Path) -> None:
    [message] = outcomes(sampler, batch(tmp_path / "gone"))
    assert isinstance(message, NotWritten)
    assert "No such file or directory" in message.reason


def test_the_process_ends_with_the_service(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-m", "gridtone.stock.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        worker.stdin.write(encode(batch(tmp_path, behaviour="hang")))
        worker.stdin.flush()
        while Progressed(0.0, "track 1 of 1") != decode_from_sampler(worker.stdout.readline()):
            pass
        worker.stdin.close()
        assert worker.wait(PATIENCE_SECONDS) == 0


def test_a_closed_sampler_starts_no_more(sampler: Sampler, tmp_path: Path) -> None:
    sampler.close()
    with pytest.raises(SamplerDiedError, match="closed"):
        outcomes(sampler, batch(tmp_path))
    assert sampler.process_id is None
