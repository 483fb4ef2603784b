"""The sampler process: `python -m gridtone.stock.worker`, started and fed by `sampler.py`, ends when its standard input closes.

It may crash, run out of memory or hang: nobody hears it.
"""

import hashlib
import logging
import os
import queue
import resource
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, BinaryIO

from gridtone.gate.check import Failure, GateReport, check
from gridtone.gate.finish import finish
from gridtone.gate.limits import GateLimits
from gridtone.library.audio import encode_flac, encode_opus
from gridtone.library.store import write_synced
from gridtone.library.track import Track
from gridtone.stock.messages import (
    Alive,
    Batch,
    Broken,
    Cancel,
    Done,
    FromSampler,
    Job,
    Made,
    NotWritten,
    Progressed,
    Refused,
    Rejected,
    decode_to_sampler,
    encode,
)
from gridtone_engine import Engine, EngineError, PromptError, Rendition, open_engine

log = logging.getLogger("gridtone.stock.worker")

NICENESS = 10
HEARTBEAT_SECONDS = 1.0


class Worker:
    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._output_lock = threading.Lock()
        self._cancelled_id: int | None = None
        self._batches: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._opened: tuple[str, dict[str, Any], Engine] | None = None

    def run(self, orders: BinaryIO) -> None:
        threading.Thread(target=self._listen, args=(orders,), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        while True:
            self._sample(self._batches.get())

    def _listen(self, orders: BinaryIO) -> None:
        for line in orders:
            message = decode_to_sampler(line)
            if isinstance(message, Cancel):
                self._cancelled_id = message.batch_id
            else:
                self._batches.put(message)
        os._exit(0)  # the service is gone; whatever the engine is doing, nobody waits for it

    def _beat(self) -> None:
        while True:
            self._send(Alive())
            time.sleep(HEARTBEAT_SECONDS)

    def _send(self, message: FromSampler) -> None:
        with self._output_lock:
            self._output.write(encode(message))
            self._output.flush()

    def _sample(self, batch: Batch) -> None:
        def cancelled() -> bool:
            return self._cancelled_id == batch.id

        try:
            engine = self._open(batch)
            renditions = engine.sample(
                [job.prompt for job in batch.jobs],
                progress=lambda progress: self._send(Progressed(progress.fraction, progress.step)),
                cancelled=cancelled,
            )
            finished = 0
            for job, rendition in zip(batch.jobs, renditions, strict=False):
                self._deliver(job, rendition, batch)
                finished += 1
            if finished < len(batch.jobs) and not cancelled():
                raise EngineError(f"made {finished} of {len(batch.jobs)} tracks")
        except PromptError as error:
            self._send(Refused(batch.jobs[error.number], str(error)))
        except Exception as error:
            log.exception("engine %s failed", batch.engine)
            self._send(Broken(_text(error)))
        self._send(Done())

    def _open(self, batch: Batch) -> Engine:
        """The engine stays open from batch to batch."""
        if not self._opened or self._opened[:2] != (batch.engine, batch.options):
            self._opened = None
            self._send(Progressed(0.0, f"opening engine {batch.engine}"))
            self._opened = (batch.engine, batch.options, open_engine(batch.engine, **batch.options))
        return self._opened[2]

    def _deliver(self, job: Job, rendition: Rendition, batch: Batch) -> None:
        """Finish, check and write one track."""
        limits = GateLimits(**job.limits)
        samples = finish(rendition.samples, rendition.sample_rate, limits)
        report = check(samples, rendition.sample_rate, limits)
        if not report.passed:
            self._send(Rejected(job, [_reason(failure) for failure in report.failures]))
            return
        tags = {
            "title": job.prompt.text or job.state,
            "artist": rendition.model,
            "license": rendition.licence,
            "comment": f"state {job.state}, seed {job.prompt.seed}",
            "software": "gridtone",
        }
        flac = encode_flac(samples, rendition.sample_rate, batch.flac_bits, tags)
        opus = encode_opus(samples, rendition.sample_rate, tags)
        stem = Path(batch.incoming) / uuid.uuid4().hex
        paths = stem.with_suffix(".flac"), stem.with_suffix(".opus")
        try:
            for path, content in zip(paths, (flac, opus), strict=True):
                write_synced(path, content)
        except OSError as error:
            self._send(NotWritten(str(error)))
            return
        seconds = samples.shape[1] / rendition.sample_rate
        track = _track(hashlib.sha256(flac).hexdigest(), seconds, job, rendition, report)
        self._send(Made(job, track, str(paths[0]), str(paths[1])))


def _track(track_id: str, seconds: float, job: Job, rendition: Rendition, report: GateReport) -> Track:
    return Track(
        id=track_id,
        state=job.state,
        text=job.prompt.text,
        seconds=seconds,
        sample_rate=rendition.sample_rate,
        tempo_bpm=rendition.attributes.tempo_bpm,
        key=rendition.attributes.key,
        energy=rendition.attributes.energy,
        bar_seconds=rendition.bar_seconds,
        first_bar_seconds=rendition.first_bar_seconds,
        loudness_lufs=report.loudness_lufs,
        true_peak_dbtp=report.true_peak_dbtp,
        engine=rendition.engine,
        model=rendition.model,
        seed=job.prompt.seed,
        licence=rendition.licence,
        created=time.time(),
    )


def _reason(failure: Failure) -> str:
    where = "" if failure.at_seconds is None else f" (at {failure.at_seconds:.1f} s)"
    return f"{failure.check}: {failure.message}{where}"


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"


def main() -> None:
    """`sys.argv[1]`, where given: the limit of address space in MiB."""
    os.nice(NICENESS)
    if len(sys.argv) > 1:
        limit = int(sys.argv[1]) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes to the log, not between our messages
    Worker(output).run(sys.stdin.buffer)


if __name__ == "__main__":
    main()
