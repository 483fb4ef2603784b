"""What the service and its sampler process say to each other: one JSON object a line."""

from pathlib import Path
from typing import Any

import msgspec

from gridtone.library.track import Track
from gridtone_engine import Prompt


class Job(msgspec.Struct, frozen=True):
    """One track to make."""

    state: str
    prompt: Prompt
    prompt_hash: str
    limits: dict[str, Any]
    """The gate's."""


class Batch(msgspec.Struct, tag=True, frozen=True):
    """To the sampler: make these, in this order."""

    id: int
    engine: str
    options: dict[str, Any]
    jobs: list[Job]
    incoming: str
    """Folder for finished files."""
    flac_bits: int


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """To the sampler: end that batch soon."""

    batch_id: int


class Alive(msgspec.Struct, tag=True, frozen=True):
    """The process runs. Says nothing about progress."""


class Progressed(msgspec.Struct, tag=True, frozen=True):
    fraction: float
    """Of the batch, 0 to 1."""
    step: str


class Made(msgspec.Struct, tag=True, frozen=True):
    """A track passed the gate; its files lie in the incoming folder."""

    job: Job
    track: Track
    flac: str
    opus: str


class Rejected(msgspec.Struct, tag=True, frozen=True):
    """A track failed the gate."""

    job: Job
    reasons: list[str]


class Broken(msgspec.Struct, tag=True, frozen=True):
    """The engine cannot be opened, or failed."""

    reason: str


class Refused(msgspec.Struct, tag=True, frozen=True):
    """The engine cannot make sense of this prompt."""

    job: Job
    reason: str


class NotWritten(msgspec.Struct, tag=True, frozen=True):
    """A finished track could not be written."""

    reason: str


class Done(msgspec.Struct, tag=True, frozen=True):
    """Nothing more will come of this batch."""


ToSampler = Batch | Cancel
FromSampler = Alive | Progressed | Made | Rejected | Broken | Refused | NotWritten | Done

_encoder = msgspec.json.Encoder(enc_hook=str)
_to_sampler: msgspec.json.Decoder[ToSampler] = msgspec.json.Decoder(ToSampler, dec_hook=lambda _, text: Path(text))
_from_sampler: msgspec.json.Decoder[FromSampler] = msgspec.json.Decoder(FromSampler, dec_hook=lambda _, text: Path(text))


def encode(message: ToSampler | FromSampler) -> bytes:
    return _encoder.encode(message) + b"\n"


def decode_to_sampler(line: bytes) -> ToSampler:
    """Raises msgspec.DecodeError."""
    return _to_sampler.decode(line)


def decode_from_sampler(line: bytes) -> FromSampler:
    """Raises msgspec.DecodeError."""
    return _from_sampler.decode(line)
