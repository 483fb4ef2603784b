"""A whole (miniature) Jukebox from Python: ancestral, primed, upsampling, drafts, interruption, memory, progress."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jukebox_miniature import miniature

from gridtone_engine import EngineError, Progress
from gridtone_engine.jukebox.configs import MODELS, tiny
from gridtone_engine.jukebox.labels import Labels
from gridtone_engine.jukebox.model import JukeboxModel, Track, batch_that_fits
from gridtone_engine.jukebox.prior import Conditions, DecodeState, Prior
from gridtone_engine.jukebox.seams import seams


@pytest.fixture(scope="module")
def model() -> JukeboxModel:
    return miniature()


TRACKS = [Track(0.12, Labels("Kraftwerk", "ambient"), seed=1), Track(0.1, Labels("nobody", "electronic", "hum"), seed=2)]


def test_codes_of_all_levels_cover_the_same_time(model: JukeboxModel) -> None:
    [first, second] = model.sample(TRACKS) or []
    assert {level: len(codes) for level, codes in first.items()} == {2: 42, 1: 168, 0: 672}  # 0.12 s in whole top codes of 128 samples
    assert {level: len(codes) for level, codes in second.items()} == {2: 35, 1: 140, 0: 560}
    audio = model.decode(first[0])
    assert audio.shape == (42 * 128,)
    assert audio.abs().max() <= 1


def test_a_draft_stops_at_the_top_and_may_be_upsampled_later(model: JukeboxModel) -> None:
    [whole] = model.sample(TRACKS[:1]) or []
    [draft] = model.sample(TRACKS[:1], lowest_level=2) or []
    assert set(draft) == {2}
    assert torch.equal(draft[2], whole[2])
    assert len(model.decode(draft[2], level=2)) == 42 * 128
    track = model.upsample(draft[2], 2, TRACKS[0].labels, TRACKS[0].seed)
    [upsampled] = model.sample([track], start_level=1) or []
    assert torch.equal(upsampled[0], whole[0])
    [from_level_1] = model.sample([model.upsample(whole[1], 1, TRACKS[0].labels, TRACKS[0].seed)], start_level=0) or []
    assert torch.equal(from_level_1[0], whole[0])


def test_a_fragment_is_continued(model: JukeboxModel) -> None:
    fragment = torch.sin(torch.arange(2000) / 5) * 0.5
    track = model.continue_from(fragment, 0.12, seed=5)
    [codes] = model.sample([track]) or []
    known = model.encode(fragment)
    assert [len(known[level]) for level in range(3)] == [240, 60, 15]
    assert all(torch.equal(codes[level][: len(known[level])], known[level]) for level in range(3))
    assert len(codes[0]) == 672


def test_an_interrupted_run_goes_on_and_gives_the_same(model: JukeboxModel, tmp_path: Path) -> None:
    expected = model.sample(TRACKS) or []
    calls, reports = 0, []
    codes = None
    while codes is None:
        calls += 1
        assert calls < 100
        answers: Iterator[bool] = iter([False] * 3 + [True] * 10_000)
        codes = model.sample(TRACKS, folder=tmp_path, cancelled=lambda answers=answers: next(answers), progress=reports.append)
    assert calls > 3
    assert all(torch.equal(ours[level], theirs[level]) for ours, theirs in zip(codes, expected, strict=True) for level in range(3))
    assert reports[-1].fraction == 1
    with pytest.raises(EngineError, match="holds another run: temperature differ"):
        model.sample(TRACKS, folder=tmp_path, temperature=0.5)
    (tmp_path / "track_0_level_2.npy").write_bytes(b"half a file")
    with pytest.raises(EngineError, match=r"track_0_level_2\.npy is damaged"):
        model.sample(TRACKS, folder=tmp_path)


def test_progress_rises_and_says_what_is_left(model: JukeboxModel) -> None:
    reports: list[Progress] = []
    model.sample(TRACKS, progress=reports.append)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert reports[0].step == "level 2: 0 of 77 codes"
    assert any("left for this level, about" in report.step for report in reports)


class SmallMemory(Prior):
    """A prior on a device with room for two tracks."""

    batches: list[int]

    def setup_caches(self, batch: int) -> DecodeState:
        self.batches.append(batch)
        if batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().setup_caches(batch)


def test_out_of_memory_makes_the_batch_smaller(model: JukeboxModel) -> None:
    config = model.config
    small = SmallMemory(config.top).eval()
    small.load_state_dict(model.prior(2).state_dict())
    small.batches = []
    tracks = [Track(0.1, seed=seed) for seed in range(5)]
    cramped = JukeboxModel(config, model.vqvae, lambda _: small, model.label_sets)
    codes, expected = cramped.sample(tracks, lowest_level=2, batch=5), model.sample(tracks, lowest_level=2)
    assert small.batches == [5, 2]
    assert codes and expected
    assert all(torch.equal(ours[2], theirs[2]) for ours, theirs in zip(codes, expected, strict=True))


@pytest.mark.parametrize(("free_gb", "expected"), [(20, 16), (3, 1), (1, 1), (140, 64)])
def test_as_many_tracks_as_the_memory_takes(monkeypatch: pytest.MonkeyPatch, free_gb: int, expected: int) -> None:
    """On a device of 24 GB, for tracks of 1.05 GB, a tenth of it left alone."""
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free_gb * 10**9, 24 * 10**9))
    prior = SimpleNamespace(positions=SimpleNamespace(device=torch.device("cuda")), state_bytes=lambda: 1_050_000_000)
    assert batch_that_fits(prior) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(MODELS))
def test_memory_of_a_track_is_what_it_is_said_to_be(name: str) -> None:
    for config in tiny(MODELS[name]).priors:
        prior = Prior(config)
        state = prior.setup_caches(2)
        tensors = [*state.caches, state.start, state.along, state.tokens, state.position, state.running, state.noise]
        assert sum(tensor.nbytes for tensor in tensors) == 2 * prior.state_bytes()


def test_memory_that_runs_out_half_way_costs_no_finished_window(model: JukeboxModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of five tracks in flight, three at a time; the second window of one does not fit."""
    tracks, batches, codes_sampled = [Track(0.2, seed=seed) for seed in range(5)], [], 0
    expected = model.sample(tracks, lowest_level=2) or []
    setup_caches, prefill = Prior.setup_caches, Prior.prefill

    def recorded(prior: Prior, batch: int) -> DecodeState:
        batches.append(batch)
        return setup_caches(prior, batch)

    def cramped(prior: Prior, state: DecodeState, row: int, conditions: Conditions, codes: torch.Tensor, noise: torch.Tensor) -> None:
        if batches == [3] and len(codes[0]) > 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        prefill(prior, state, row, conditions, codes, noise)

    def count(report: Progress) -> None:
        nonlocal codes_sampled
        codes_sampled = int(report.step.split(": ")[1].split(" of")[0])

    monkeypatch.setattr(Prior, "setup_caches", recorded)
    monkeypatch.setattr(Prior, "prefill", cramped)
    codes = model.sample(tracks, lowest_level=2, batch=3, progress=count) or []
    assert batches == [3, 1]
    assert all(torch.equal(ours[2], theirs[2]) for ours, theirs in zip(codes, expected, strict=True))
    assert codes_sampled == sum(len(track[2]) for track in codes), "progress counts what was sampled, once"


def test_windows_side_by_side(model: JukeboxModel) -> None:
    """The quality mode: top codes as ever, upsamplers' first windows too, all codes filled."""
    exact, parallel = (model.sample(TRACKS, window_parallel=mode) or [] for mode in (False, True))
    for ours, theirs in zip(parallel, exact, strict=True):
        assert torch.equal(ours[2], theirs[2])
        assert torch.equal(ours[1][:32], theirs[1][:32])
        assert not torch.equal(ours[1], theirs[1])
        assert {level: len(codes) for level, codes in ours.items()} == {level: len(codes) for level, codes in theirs.items()}


def test_windows_side_by_side_go_on_window_by_window(model: JukeboxModel, tmp_path: Path) -> None:
    expected = model.sample(TRACKS, window_parallel=True) or []
    codes, calls, reports = None, 0, []
    while codes is None:
        calls += 1
        assert calls < 100, "each call finishes a few windows more, or none would ever be finished"
        answers: Iterator[bool] = iter([False] * 2)
        codes = model.sample(
            TRACKS, batch=2, window_parallel=True, folder=tmp_path, cancelled=lambda answers=answers: next(answers, True), progress=reports.append
        )
    assert calls > 5
    assert all(torch.equal(ours[level], theirs[level]) for ours, theirs in zip(codes, expected, strict=True) for level in range(3))
    fractions = [report.fraction for report in reports]
    assert max(fractions) == fractions[-1] == 1
    [whole] = model.sample(TRACKS[:1], window_parallel=True, folder=tmp_path / "one") or []
    [below] = model.sample(TRACKS[:1], window_parallel=True, folder=tmp_path / "one", start_level=0) or []
    assert torch.equal(below[0], whole[0])


def test_what_cannot_be_sampled_is_said(model: JukeboxModel) -> None:
    with pytest.raises(EngineError, match=r"are 0\.01 s; upsampling needs"):
        model.upsample(torch.zeros(4, dtype=torch.long), 2)
    with pytest.raises(EngineError, match="level 1 is sampled from all 42 codes of level 2, and 0 are there"):
        model.sample(TRACKS, start_level=1)
    with pytest.raises(EngineError, match="from all 42 codes of level 2, and 15 are there"):
        model.sample([model.continue_from(torch.zeros(2000), 0.12)], start_level=1)
    with pytest.raises(EngineError, match="does not fit"):
        model.sample([Track(700.0)], lowest_level=2)


def test_seams_show_where_audio_jumps() -> None:
    rate, generator = 44_100, np.random.default_rng(0)
    smooth = torch.from_numpy(np.sin(np.arange(rate) * 0.05).astype(np.float32) * 0.3 + 0.01 * generator.standard_normal(rate).astype(np.float32))
    places = [10_000, 20_000, 30_000]
    broken = smooth.clone()
    for place in places:
        broken[place : place + 5000] *= -1
    assert 0.5 < seams(smooth, rate, places) < 1.5
    assert seams(broken, rate, places) > 2
