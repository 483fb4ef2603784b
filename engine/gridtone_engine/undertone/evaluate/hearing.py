"""What evaluators from elsewhere hear in a track.

* basic-pitch 0.4 (Bittner et al. 2022): notes; from them onsets, and the key by Krumhansl and Kessler's profiles (1982)
* librosa: beats, spectral centroid; pyloudnorm: loudness
* musicnn 0.1 (Pons and Serra 2019), where tensorflow is installed: embeddings of 3 s each. Its own reading of files rounds to 16 bits, which breaks down on
  loud tonal music: its network is fed in 32 bits here
"""

import contextlib
import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from gridtone_engine.engine import EngineError

Samples = NDArray[np.float32]
RATE = 22_050
SURE = 0.4
"""basic-pitch's amplitude from which a note counts as an onset of its own: below it mostly hears held notes begin again."""
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


@dataclass(frozen=True, slots=True)
class Heard:
    tempo_bpm: float
    """0 where no beat was found."""
    tonic: int
    minor: bool
    onsets_per_second: float
    loudness_range_lu: float
    centroid_hz: float
    embeddings: list[list[float]]
    """One a 3 s window; empty without musicnn."""


def hear(samples: Samples, sample_rate: int) -> Heard:
    """Judge samples (2, frames)."""
    import librosa

    mono = _mono(samples, sample_rate, RATE)
    beats = librosa.beat.beat_track(y=mono, sr=RATE, hop_length=256, units="time")[1]
    tempo = 60 / float(np.polyfit(np.arange(len(beats)), beats, 1)[0]) if len(beats) > 3 else 0.0
    heard = notes(samples, sample_rate)
    weights = np.zeros(12)
    for start, end, pitch, loudness in heard:
        weights[pitch % 12] += (end - start) * loudness
    onsets = np.sort([start for start, _, _, loudness in heard if loudness >= SURE])
    distinct = 1 + int((np.diff(onsets) > 0.05).sum()) if len(onsets) else 0
    tonic, minor = key_of(weights)
    centroid = float(librosa.feature.spectral_centroid(y=mono, sr=RATE).mean())
    return Heard(tempo, tonic, minor, distinct / (len(mono) / RATE), _loudness_range(samples, sample_rate), centroid, embeddings(samples, sample_rate))


def key_of(weights: NDArray[np.float64]) -> tuple[int, bool]:
    """The key whose profile correlates best with the weights of twelve pitch classes: its tonic, and whether it is minor."""
    if not weights.any():
        return 0, False
    scores = {(tonic, minor): np.corrcoef(weights, np.roll(MINOR if minor else MAJOR, tonic))[0, 1] for tonic in range(12) for minor in (False, True)}
    return max(scores, key=lambda key: float(scores[key]))


def notes(samples: Samples, sample_rate: int) -> list[tuple[float, float, int, float]]:
    """(start, end, MIDI pitch, loudness) of every note that basic-pitch finds."""
    predict, model = _basic_pitch()
    with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "track.wav"
        soundfile.write(path, _mono(samples, sample_rate, RATE), RATE)
        return [(float(start), float(end), int(pitch), float(loudness)) for start, end, pitch, loudness, _ in predict(path, model)[2]]


def onset_f1(reference: list[tuple[float, float, int, float]], heard: list[tuple[float, float, int, float]], within_seconds: float = 0.05) -> float:
    """Harmonic mean of the shares of notes found and of notes right: pitch within half a semitone, onset in time (mir_eval)."""
    import mir_eval

    if not reference or not heard:
        return float(not reference and not heard)

    def plain(found: list[tuple[float, float, int, float]]) -> tuple[NDArray[Any], NDArray[Any]]:
        spans = np.array([(start, max(end, start + 0.01)) for start, end, _, _ in found])
        return spans, np.array([440 * 2 ** ((pitch - 69) / 12) for _, _, pitch, _ in found])

    scores = mir_eval.transcription.precision_recall_f1_overlap(*plain(reference), *plain(heard), onset_tolerance=within_seconds, offset_ratio=None)
    return float(scores[2])


def embeddings(samples: Samples, sample_rate: int) -> list[list[float]]:
    """musicnn's second last layer for every 3 s; empty where it cannot run."""
    network = _musicnn()
    if network is None:
        return []
    import librosa

    mono = _mono(samples, sample_rate, 16_000)
    mel = librosa.feature.melspectrogram(y=mono, sr=16_000, hop_length=256, n_fft=512, n_mels=96).T
    patches = [np.log10(10_000 * mel[start : start + 187] + 1) for start in range(0, len(mel) - 186, 187)]
    return [[round(float(value), 5) for value in row] for row in network(np.stack(patches))] if patches else []


@cache
def has_musicnn() -> bool:
    return _musicnn() is not None


@cache
def _musicnn() -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # musicnn was written for it
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
        from musicnn import models
    except ImportError:
        return None
    v1 = tf.compat.v1
    v1.disable_eager_execution()
    with v1.Graph().as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with tf.name_scope("model"):
            given, training = v1.placeholder(tf.float32, [None, 187, 96]), v1.placeholder(tf.bool)
            made = models.define_model(given, training, "MSD_musicnn", 50)[-1]
        session = v1.Session(config=v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1))
        v1.train.Saver().restore(session, str(Path(models.__file__).parent / "MSD_musicnn") + "/")
    return lambda patches: session.run(made, {given: patches, training: False})


@cache
def _basic_pitch() -> tuple[Any, Any]:
    import logging

    logging.disable(logging.WARNING)  # it warns of three runtimes that it does not need
    try:
        import basic_pitch
        from basic_pitch.inference import Model, predict
    except ImportError as error:
        raise EngineError(f"the evaluation hears notes with basic-pitch, which is not installed ({error}): see docs/undertone.md, Evaluate it") from error
    finally:
        logging.disable(logging.NOTSET)
    return predict, Model(Path(basic_pitch.__file__).parent / "saved_models" / "icassp_2022" / "nmp.onnx")


def _mono(samples: Samples, sample_rate: int, wanted: int) -> Samples:
    from librosa import resample

    return np.asarray(resample(samples.mean(axis=0), orig_sr=sample_rate, target_sr=wanted, res_type="polyphase"), np.float32)


def _loudness_range(samples: Samples, sample_rate: int) -> float:
    """Between the 10th and the 95th part of the loudness of 3 s, in LU."""
    import pyloudnorm

    meter, length = pyloudnorm.Meter(sample_rate), 3 * sample_rate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [meter.integrated_loudness(samples[:, start : start + length].T) for start in range(0, samples.shape[1] - length + 1, sample_rate)]
    audible = [value for value in found if value > -70]
    return float(np.percentile(audible, 95) - np.percentile(audible, 10)) if audible else 0.0
