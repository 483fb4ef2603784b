"""The prior and sampling from it, of toy size."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from undertone_miniature import TINY, miniature

from gridtone_engine.prompt import INSTRUMENTS, Attributes, Prompt
from gridtone_engine.undertone import torch_model
from gridtone_engine.undertone.conditions import SIZES, ask, conditions, stack
from gridtone_engine.undertone.generate import Sampling, Stage, choose, decode_stretch, guided, sample_codes
from gridtone_engine.undertone.lead_sheet import SHEET_WIDTH, beginning
from gridtone_engine.undertone.prior import Prior, delay, prior_loss
from gridtone_engine.undertone.torch_model import TorchModel

DEVICE = os.environ.get("GRIDTONE_TEST_DEVICE", "cpu")
MORE = len(TINY.prior.around) - 1
"""Frames of a lead sheet around its steps."""
CALM, DRIVEN = ask(Prompt("calm, in D minor")), ask(Prompt("140 bpm, piano"))


@pytest.fixture(scope="module")
def model() -> TorchModel:
    codec, prior = miniature()
    return TorchModel(codec.to(DEVICE), prior.to(DEVICE))


def test_what_is_asked_becomes_steps():
    asked = stack(
        [conditions(Attributes()), conditions(Attributes(30, "C major", 0, 0, 0)), conditions(Attributes(200, "B locrian", 1, 1, 1, ("piano",), ("bass",)))]
    )
    assert not asked.steps[0].any() and not asked.instruments[0].any()
    assert (asked.steps[1] == 1).all()
    assert tuple(asked.steps[2] + 1) == SIZES
    assert asked.instruments[2].sum() == 2
    with pytest.raises(ValueError, match="theremin"):
        conditions(Attributes(instruments=("theremin",)))
    with pytest.raises(ValueError, match="not a key"):
        conditions(Attributes(key="H mol"))


def test_what_a_prompt_leaves_open_is_filled_in():
    asked = ask(Prompt("calm, with harp, no bells", 20.0, 3))
    assert (asked.conditions.steps > 0).all() and asked.conditions.sentence.any()
    wanted, unwanted = ({INSTRUMENTS[place] for place in np.flatnonzero(half)} for half in np.split(asked.conditions.instruments[0], 2))
    assert "harp" in wanted and len(wanted) > 1 and wanted == set(asked.sheet.instruments), "those that play from the sheet are told"
    assert unwanted == {"bells"}
    assert (ask(Prompt("calm, with harp", 20.0, 4)).conditions.steps != asked.conditions.steps).any(), "another seed, another choice"
    assert ask(Prompt("90 bpm")).sheet.tempo_bpm == 90


def test_a_changed_prompt_goes_on_in_its_bar_at_its_own_tempo(model, monkeypatch):
    stage, read = Stage(model, 1, Sampling()), []
    step_of = stage._steps.step
    monkeypatch.setattr(stage._steps, "step", lambda *told: read.append(told[2][0]) or step_of(*told))
    stage.seat(0, ask(Prompt("energetic, 150 bpm")), 1, np.zeros((TINY.prior.codebooks, 10), np.int64))
    beats = []
    for step in range(80):
        if step == 65:
            stage.ask(0, ask(Prompt("energetic, 75 bpm")))
        seat = stage._seats[0]
        beats.append(seat.beats)
        around = seat.sheet.at(seat.beats + np.array(TINY.prior.around) * seat.sheet.tempo_bpm / 60 / 25)
        stage.advance()
        assert np.allclose(read[-1], around, atol=1e-4), "the model reads what stands around this beat"
    assert abs(beats[10]) < 1e-9, "a bar begins where the given music ends"
    assert np.allclose(np.diff(beats)[:64], 0.1) and np.allclose(np.diff(beats)[65:], 0.05)
    assert abs(beats[64] - 5.4) < 1e-9 and abs(beats[66] - 1.55) < 1e-9, "in the middle of the first bar of another sheet"


def test_the_delay_pattern():
    config = replace(TINY.prior, codebooks=3, codes=9, together=2)
    assert delay(torch.arange(9).view(1, 3, 3), config).tolist() == [[[0, 1, 2, 9], [3, 4, 5, 9], [9, 6, 7, 8]]]


def test_stepping_gives_what_the_whole_sequence_gives(model):
    prior = model.prior
    steps = prior.config.window + 1
    codes = torch.randint(prior.config.codes, (2, prior.config.codebooks, steps))
    condition, sheets = torch.randn(2, prior.config.depth * prior.config.width), torch.randn(2, steps + MORE, SHEET_WIDTH)
    with torch.inference_mode():
        told = [part.to(DEVICE) for part in (F.pad(codes, (1, -1), value=prior.nothing), condition, sheets)]
        whole = torch.stack([*prior(*told, range(prior.config.codebooks))]).unflatten(1, (2, steps)).cpu()
    memory = model.steps(2)
    before = np.full((2, prior.config.codebooks), prior.nothing)
    for step in range(steps):
        logits = memory.step(before, condition.numpy(), sheets[:, step : step + MORE + 1].numpy(), np.array([step, step]))
        assert np.abs(logits.cpu().numpy() - whole[:, :, step].transpose(0, 1).numpy()).max() < 1e-3, step
        before = codes[:, :, step].numpy()


def test_a_seed_gives_the_same_track_alone_and_in_company(model):
    sampling = Sampling()
    [alone] = sample_codes(model, [CALM], [7], 12, sampling)
    company = sample_codes(model, [DRIVEN, CALM, CALM], [7, 7, 8], 12, sampling)
    assert np.array_equal(alone, company[1])
    assert not np.array_equal(company[1], company[2]) and not np.array_equal(company[0], company[1])
    assert alone.shape == (TINY.prior.codebooks, 12) and alone.max() < TINY.prior.codes


def test_tracks_come_and_go_while_others_play_on(model):
    [expected] = sample_codes(model, [CALM], [5], 20, Sampling())
    stage = Stage(model, 2, Sampling())
    stage.seat(0, DRIVEN, 1)
    for _ in range(9):
        stage.advance()
    stage.seat(1, CALM, 5)
    found = []
    for step in range(40):
        if step == 6:
            stage.seat(0, DRIVEN, 2)
        frame = stage.advance()[1]
        found += [] if frame is None else [frame]
    assert np.array_equal(np.stack(found[:20], axis=-1), expected)


def test_what_is_given_is_continued(model):
    prime = np.random.default_rng(0).integers(TINY.prior.codes, size=(TINY.prior.codebooks, 6))
    stage = Stage(model, 1, Sampling())
    stage.seat(0, CALM, 5, prime)
    frames = [frame for frame in (stage.advance()[0] for _ in range(16)) if frame is not None]
    assert np.array_equal(np.stack(frames[:6], axis=-1), prime)
    assert len(frames) == 16 - max(TINY.prior.delays)


def test_a_prompt_that_changes_bends_the_music_from_then_on(model):
    [plain] = sample_codes(model, [CALM], [5], 30, Sampling(guidance=4))
    stage = Stage(model, 1, Sampling(guidance=4))
    stage.seat(0, CALM, 5)
    found = []
    while len(found) < 30:
        if len(found) == 10:
            stage.ask(0, DRIVEN)
        frame = stage.advance()[0]
        found += [] if frame is None else [frame]
    bent = np.stack(found, axis=-1)
    assert np.array_equal(bent[:, :10], plain[:, :10]) and not np.array_equal(bent, plain)


def test_guidance_pushes_where_notes_begin_and_hardly_where_they_are_held(model, monkeypatch):
    pushes = []

    class Certain:
        """Told something, a code is e times as likely; told nothing, all are alike."""

        def step(self, codes, condition, sheets, positions):
            logits = np.zeros((*codes.shape, TINY.prior.codes), np.float32)
            logits[0, :, 0] = 1
            return logits

        def choose(self, logits, pushes_now, temperatures, draws, top_p):
            pushed = guided(logits, pushes_now, temperatures)
            pushes.append(pushed[0, :, 0])
            return choose(pushed, draws, top_p)

    monkeypatch.setattr(model, "steps", lambda rows: Certain())
    stage, sheet = Stage(model, 1, Sampling(guidance=5, temperature=0.9)), ask(Prompt("calm, in D minor")).sheet
    stage.seat(0, CALM, 1)
    for _ in range(100):
        stage.advance()
    begins = beginning(sheet.at(np.arange(101) / 25 * sheet.tempo_bpm / 60))
    assert 10 < begins.sum() < 60
    for book, steps in enumerate(TINY.prior.delays):
        expected = np.where(begins, 5 / 0.9, 1.5 / 0.6)[: 100 - steps]
        assert np.allclose([push[book] for push in pushes[steps:]], expected), "each codebook by the frame that its code is of"


def test_choice_follows_chances_and_leaves_out_the_unlikely():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    draws = (np.arange(1000) + 0.5) / 1000
    found = choose(np.tile(logits, (1000, 1)), draws, 0.9)
    assert np.allclose(np.bincount(found, minlength=4) / 1000, np.array([0.5, 0.3, 0.15, 0]) / 0.95, atol=0.002)
    cold = choose(np.tile(logits / 0.01, (1000, 1)), draws)
    assert (cold == 0).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.33, 0.9, 1.0]), st.booleans())
def test_torch_chooses_what_numpy_chooses(seed, top_p, alike):
    rng = np.random.default_rng(seed)
    logits = np.repeat(rng.normal(0, 4, (4, 3, 10)), 1 + 9 * alike, axis=-1).astype(np.float32)
    pushes, temperatures, draws = rng.uniform(0, 5, (2, 3, 1)), rng.uniform(0.3, 1, (2, 3, 1)), rng.random((2, 3))
    expected = choose(guided(logits, pushes, temperatures), draws, top_p)
    parts = (torch.from_numpy(part) for part in (logits, pushes, temperatures))
    assert np.array_equal(torch_model.choose(guided(*parts), torch.from_numpy(draws), top_p).numpy(), expected)


def test_a_stretch_decoded_alone_is_the_stretch_of_the_whole(model):
    codes = np.random.default_rng(0).integers(TINY.codec.codes, size=(TINY.codec.codebooks, 60))
    whole = model.decode(codes[None])[0]
    pieces = [decode_stretch(model, codes[None], start, start + 20)[0] for start in (0, 20, 40)]
    assert np.abs(np.concatenate(pieces) - whole).max() < 1e-4


def test_hidden_codes_are_learned_but_not_seen():
    prior = miniature()[1]
    codes, told = torch.randint(8, (1, TINY.prior.codebooks, 12)), (torch.zeros(1, TINY.prior.depth * TINY.prior.width), torch.zeros(1, 14 + MORE, SHEET_WIDTH))
    other = (codes + 1) % 8
    late = [TINY.prior.codebooks - 1]

    def loss(past):
        joined = torch.cat([past[:, :, :6], codes[:, :, 6:]], dim=2)
        seen = joined.clone()
        seen[:, :, :6] = prior.nothing
        with torch.inference_mode():
            [logits] = prior(F.pad(delay(seen, TINY.prior), (1, -1), value=prior.nothing), *told, late)
            return prior_loss(prior, joined, *told, late, seen), logits

    (ours, seen), (theirs, also_seen) = loss(codes), loss(other)
    assert torch.equal(seen, also_seen) and ours != theirs


def test_before_training_what_sounds_goes_on_and_what_is_hidden_is_any_code():
    prior = Prior(TINY.prior)
    vectors = torch.randn(TINY.prior.codebooks, TINY.prior.codes, TINY.codec.latent_width, generator=torch.Generator().manual_seed(1))
    prior.codes.begin(vectors)
    codes = torch.arange(TINY.prior.codes).expand(1, TINY.prior.codebooks, -1)[:, :, :24]
    told, sheets = torch.zeros(1, TINY.prior.depth * TINY.prior.width), torch.zeros(1, 24 + MORE, SHEET_WIDTH)
    with torch.inference_mode():
        books = range(TINY.prior.codebooks)
        assert torch.equal(torch.stack([*prior(codes, told, sheets, books)]).argmax(-1), codes[0])
        assert torch.stack([*prior(torch.full_like(codes, prior.nothing), told, sheets, books)]).std(-1).max() < 1e-6


def test_the_prior_learns():
    torch.manual_seed(0)
    prior = Prior(TINY.prior)
    optimiser = torch.optim.AdamW(prior.parameters(), lr=3e-3)
    codes = torch.randint(8, (4, TINY.prior.codebooks, 12))
    told = torch.zeros(4, TINY.prior.depth * TINY.prior.width), torch.zeros(4, 12 + max(TINY.prior.delays) + MORE, SHEET_WIDTH)
    first = prior_loss(prior, codes, *told).item()
    assert abs(first - np.log(TINY.prior.codes)) < 0.5, "before training every code is as likely as any"
    for _ in range(150):
        optimiser.zero_grad()
        loss = prior_loss(prior, codes, *told)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.3 * first
