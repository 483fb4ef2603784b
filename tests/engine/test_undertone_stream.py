"""`gridtone generate --stream`: sound while it is sampled."""

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from undertone_miniature import miniature

from gridtone.cli.tracks import generate
from gridtone_engine.undertone.export import export_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    list(export_model(*miniature(), "tiny", folder))
    return folder


def said(weights, *more):
    return ["calm, 60 bpm", "--engine", "undertone", "--option", f"weights={weights}", "--seconds", "2", "--stream", *more]


def test_a_stream_goes_to_a_file_and_to_a_pipe(weights, tmp_path):
    result = CliRunner().invoke(generate, said(weights, "-o", str(tmp_path / "calm.wav")), catch_exceptions=False)
    assert result.exit_code == 0 and "first sound after" in result.output
    samples, rate = soundfile.read(tmp_path / "calm.wav")
    assert samples.shape == (2 * 32_000, 2) and rate == 32_000 and samples.any()
    command = [sys.executable, "-m", "gridtone", "generate", *said(weights, "-o", "-")]
    piped = subprocess.run(command, capture_output=True, timeout=120, check=True)
    again, _ = soundfile.read(io.BytesIO(piped.stdout))
    assert np.array_equal(again, samples)


def test_who_stops_listening_stops_the_sampling(weights):
    command = [sys.executable, "-m", "gridtone", "generate", *said(weights, "-o", "-", "--seconds", "3600")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read(100_000)) == 100_000, "sound comes long before the hour is sampled"
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert b"stopped" in process.stderr.read()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--engine", "composer", "-o", "x.wav"], "makes a track as a whole"),
        (["--engine", "undertone", "-o", "x.ogg"], "a stream is written as WAV"),
    ],
)
def test_what_cannot_be_streamed_is_said(more, message):
    result = CliRunner().invoke(generate, ["calm", "--stream", *more])
    assert result.exit_code != 0 and message in result.output
