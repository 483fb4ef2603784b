"""From attributes to a score: form, then harmony, then voices, then the layers over them."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gridtone_engine.composer import form, melody, rhythm
from gridtone_engine.composer.harmony import Chord, Key, chord_members, phrase
from gridtone_engine.composer.orchestra import RANGES, Orchestra, beats_in_bar, complete, onsets_per_second, stream
from gridtone_engine.composer.score import Note, Part, Score, Section
from gridtone_engine.composer.voicing import lead_voices
from gridtone_engine.prompt import Attributes

FIGURE_SHAPES = ("wave", "wander", "broken", "rise")


def compose(asked: Attributes, seconds: float, seed: int, edges: bool = True) -> Score:
    """Write a piece of whole bars, as near to `seconds` as they come (at least two), under the attributes asked for; what they leave open is chosen from the
    seed. Without `edges` it has neither an intro nor an outro: a part of music that goes on."""
    attributes = complete(asked, seconds, seed)
    return _Composition(attributes, seconds, seed, edges).score()


class _Composition:
    """One piece while it is being written: what all layers look at."""

    def __init__(self, attributes: Attributes, seconds: float, seed: int, edges: bool) -> None:
        assert attributes.tempo_bpm is not None and attributes.key is not None and attributes.energy is not None
        assert attributes.density is not None and attributes.brightness is not None
        self.attributes, self.seed = attributes, seed
        self.tempo_bpm, self.energy, self.brightness = attributes.tempo_bpm, attributes.energy, attributes.brightness
        self.key = Key.parse(attributes.key)
        self.beats = beats_in_bar(self.energy, seed)
        self.beat_seconds = 60 / self.tempo_bpm
        self.bar_seconds = self.beats * self.beat_seconds
        self.bars = max(2, round(seconds / self.bar_seconds))
        self.rate = onsets_per_second(attributes.density)
        self.orchestra = Orchestra.of(attributes.instruments)
        self.sections = form.plan(self.bars, self.orchestra, self.energy, stream(seed, "form"), edges)
        self.chords = self._harmony(stream(seed, "harmony"))
        self.voices = lead_voices(self.key, self.chords, [self._centre(chord) for chord in self.chords], stream(seed, "voices"))
        self._starts = [chord.start for chord in self.chords]

    def score(self) -> Score:
        layers: dict[tuple[str, str], list[Note]] = {}

        def add(instrument: str, role: str, notes: list[Note]) -> None:
            layers.setdefault((instrument, role), []).extend(notes)

        pads, basses, tunes = self._pads(stream(self.seed, "pads")), self._bass(stream(self.seed, "bass")), list(self._melodies(stream(self.seed, "melody")))
        sung = [note for _, _, notes in tunes for note in notes]
        for name, notes in pads:
            add(name, "pad", notes)
        add(self.orchestra.bass or self.orchestra.figures[0], "bass", basses)
        for name, role, notes in tunes:
            add(name, role, notes)
        for name, notes in self._figures(basses + sung, stream(self.seed, "figures")):
            add(name, "figure", notes)
        if self.orchestra.percussion:
            add("soft percussion", "percussion", self._percussion(stream(self.seed, "percussion")))
        parts = tuple(Part(name, role, tuple(sorted(notes, key=lambda note: (note.start, note.pitch)))) for (name, role), notes in layers.items() if notes)
        return Score(self.seed, self.attributes, self.key, self.tempo_bpm, self.beats, self.bars, self.sections, tuple(self.chords), tuple(self.voices), parts)

    # What the layers ask about a place in the piece

    def section_at(self, bar: int) -> Section:
        return next(section for section in reversed(self.sections) if section.first_bar <= bar)

    def chord_index(self, beat: float) -> int:
        return bisect_right(self._starts, beat + 1e-9) - 1

    def chord_at(self, beat: float) -> Chord:
        return self.chords[self.chord_index(beat)]

    def _centre(self, chord: Chord) -> float:
        """Middle of the upper voices' register: darker music lies lower, sections lift it."""
        return 58 + 6 * self.brightness + self.section_at(int(chord.start / self.beats)).lift

    def _velocity(self, bar: int, rng: np.random.Generator) -> float:
        """How hard things are played: by energy, by the section, swelling to the middle of every four bars."""
        swell = 0.06 * np.sin(np.pi * (bar % 4 + 0.5) / 4)
        return float(0.38 + 0.3 * self.energy + 0.1 * self.section_at(bar).intensity + swell + rng.normal(0, 0.03))

    # The layers

    def _harmony(self, rng: np.random.Generator) -> list[Chord]:
        """Phrase by phrase: chords of one bar, of two or four where little happens, of half a bar where the music drives on to a cadence."""
        chords: list[Chord] = []
        colour = 0.5 - 0.25 * self.energy
        spans = [(first, bars) for section in self.sections for first, bars in form.phrases(section)]
        for index, (first, bars) in enumerate(spans):
            closes = index == len(spans) - 1 or (index % 2 == 1 and rng.random() < 0.8)
            length = self._chord_bars(bars, rng) * self.beats
            slots = [(float(first * self.beats + i * length), float(length)) for i in range(bars * self.beats // length)]
            if length == self.beats and self.energy > 0.35 and self.bar_seconds > 1.8 and len(slots) > 2 and rng.random() < 0.5:
                start, whole = slots.pop(-2)
                half = float(self.beats // 2)
                slots[-1:-1] = [(start, half), (start + half, whole - half)]
            for chord in phrase(self.key, slots, closes, colour, rng):
                if chord.beats > self.beats and self.rate > 2:  # there is room for a second colour of the same chord
                    members = chord.members if chord.raised else chord_members(self.key, chord.root, colour, rng)
                    half = chord.beats / 2
                    chords.append(replace(chord, beats=half))
                    on_pedal = chord.bass == (7 - chord.root) % 7
                    bass = chord.bass if chord.bass in members or on_pedal else 0
                    chords.append(replace(chord, start=chord.start + half, beats=half, members=members, bass=bass))
                else:
                    chords.append(chord)
        return chords

    def _chord_bars(self, bars: int, rng: np.random.Generator) -> int:
        """How many bars a chord of this phrase lasts: some 2.5 s in busy music, 6 s in sparse music."""
        wanted = 6.0 / np.sqrt(max(self.rate, 0.8)) * rng.uniform(0.8, 1.3)
        return max((length for length in (1, 2, 4) if bars % length == 0 and (length == 1 or length * self.bar_seconds <= wanted)), default=1)

    def _pads(self, rng: np.random.Generator) -> list[tuple[str, list[Note]]]:
        """The three upper voices, held. A voice that keeps its pitch is tied over or restated; a moving one may enter late, as a suspension does."""
        found: list[tuple[str, list[Note]]] = []
        busy = self.rate / 6
        tie, stagger = 0.95 - 0.6 * busy, 0.05 + 0.4 * busy
        for layer, name in enumerate(self.orchestra.pads):
            notes: list[Note] = []
            held: dict[int, int] = {}
            for index, (chord, voices) in enumerate(zip(self.chords, self.voices, strict=True)):
                bar = int(chord.start / self.beats)
                section = self.section_at(bar)
                if layer and section.intensity < 0.7:
                    held.clear()
                    continue
                for voice, pitch in enumerate(voices[1:]):
                    low, high, _ = RANGES[name]
                    while pitch < low:
                        pitch += 12
                    while pitch > high:
                        pitch -= 12
                    at = held.get(voice)
                    if at is not None and notes[at].pitch == pitch and index and notes[at].beats * self.beat_seconds < 10 and rng.random() < tie:
                        last = notes[at]
                        notes[at] = Note(last.start, chord.start + chord.beats - last.start, pitch, last.velocity)
                        continue
                    late = float(rng.choice((0.5, 1))) if chord.beats >= 2 and voice and rng.random() < stagger else 0.0
                    held[voice] = len(notes)
                    notes.append(Note(chord.start + late, chord.beats - late, pitch, float(np.clip(self._velocity(bar, rng), 0.1, 1))))
            found.append((name, notes))
        return found

    def _bass(self, rng: np.random.Generator) -> list[Note]:
        """The bass voice in a rhythm that grows with energy; it steps to the fifth or the octave, and approaches the next root from below."""
        notes: list[Note] = []
        limit = max(1.0, 0.6 * self.rate * self.bar_seconds)
        for chord, voices in zip(self.chords, self.voices, strict=True):
            bar = int(chord.start / self.beats)
            drive = int(np.clip(round(3.4 * self.energy * self.section_at(bar).intensity + rng.normal(0, 0.4)), 0, 3))
            choices = [cell for cell in rhythm.BASS_RHYTHMS[drive] if len(cell) <= limit] or rhythm.BASS_RHYTHMS[0]
            cell = choices[int(rng.integers(len(choices)))]
            if drive == 0:
                cell = tuple((onset, length * chord.beats / 4) for onset, length in cell)
            elif chord.beats > self.beats:
                cell = tuple((onset + bar * self.beats, length) for bar in range(int(chord.beats // self.beats)) for onset, length in cell)
            for onset, length in cell:
                if onset >= chord.beats:
                    continue
                pitch = voices[0]
                if onset and chord.bass == 0 and rng.random() < 0.35:
                    fifth = pitch + 7 if 4 in chord.members else pitch + 12
                    pitch = fifth if rng.random() < 0.6 else pitch + 12
                velocity = self._velocity(bar, rng) * (1 if onset == 0 else 0.85)
                notes.append(Note(chord.start + onset, min(length, chord.beats - onset) * rng.uniform(0.85, 1), pitch, float(np.clip(velocity, 0.1, 1))))
        return notes

    def _melodies(self, rng: np.random.Generator) -> Iterator[tuple[str, str, list[Note]]]:
        """Section by section the lead sings phrases made of the piece's two motifs, and the answering instrument fills its rests with fragments."""
        onsets = self.rate * self.bar_seconds
        motifs = [melody.invent(round(float(np.clip(0.55 * onsets, 2, 5))), rng) for _ in range(2)]
        heard: set[tuple[tuple[float, float, int], ...]] = set()
        for index, section in enumerate(self.sections):
            if section.lead is None:
                continue
            motif = motifs[index % 2]
            for number, (first, bars) in enumerate(form.phrases(section)):
                if number and rng.random() < 0.3 - 0.2 * section.intensity:
                    continue
                spans = [(float(bar * self.beats), float((bar + 1) * self.beats)) for bar in range(first, first + bars)]
                low, high, middle = RANGES[section.lead]
                anchor = middle + 0.5 * section.lift + 4 * (self.brightness - 0.5)
                bounds = (max(low, middle - 10), min(high, middle + 9))
                tones = melody.phrase_melody(self.key, motif, spans, number % 2 == 1, anchor, bounds, self.chord_at, heard, rng)
                yield section.lead, "melody", self._played(tones, 0.08, rng)
                if section.answer is not None:
                    low, high, middle = RANGES[section.answer]
                    for start, end in spans:
                        if not any(tone.start < end and tone.start + tone.beats > start + 0.5 for tone in tones) and rng.random() < 0.7:
                            reply = motif.inverted().fragment(2) if rng.random() < 0.5 else motif.fragment(3).varied(rng)
                            sung = melody.sing(self.key, reply, start + 1, end, middle + rng.normal(0, 3), (low, high), self.chord_at)
                            yield section.answer, "answer", self._played(sung, -0.04, rng)

    def _played(self, tones: list[melody.Tone], louder: float, rng: np.random.Generator) -> list[Note]:
        return [Note(tone.start, tone.beats, tone.pitch, float(np.clip(self._velocity(int(tone.start / self.beats), rng) + louder, 0.1, 1))) for tone in tones]

    def _figures(self, others: list[Note], rng: np.random.Generator) -> Iterator[tuple[str, list[Note]]]:
        """Broken chords that bring every bar to the density asked for, in a groove of the section's own that shifts from bar to bar."""
        for section in self.sections:
            rate = self.rate * (0.85 + 0.15 * section.intensity)
            points = rhythm.subdivision(rate, self.tempo_bpm)
            groove = rhythm.metric_weights(self.beats, points)
            groove = groove + rng.normal(0, 0.9, len(groove)) * (groove < 4)
            low, high, middle = RANGES[section.figure]
            centre = np.clip(middle - 10 + 8 * (self.brightness - 0.5) + section.lift, low + 8, high - 8)
            shape, step, recent = str(rng.choice(FIGURE_SHAPES)), 0, (0, 0)
            notes: list[Note] = []
            for bar in range(section.first_bar, section.first_bar + section.bars):
                if rng.random() < 0.35:  # else a long chord would turn the same way bar after bar, which pulses
                    shape, step = str(rng.choice(FIGURE_SHAPES)), step + int(rng.integers(1, 4))
                start = bar * self.beats
                taken = {round((note.start - start) * points) for note in others if start <= note.start < start + self.beats}
                onsets = rhythm.pick_onsets(groove, taken, rate * self.bar_seconds, rng)
                for position, point in enumerate(onsets):
                    beat = start + point / points
                    chord = self.chord_at(beat)
                    classes = chord.pitch_classes(self.key)
                    ladder = [pitch for pitch in range(int(centre) - 11, int(centre) + 13) if low <= pitch <= high and pitch % 12 in classes]
                    step = _next_step(shape, step % len(ladder), position, len(ladder), rng)
                    while len(ladder) > 3 and ladder[step] in recent:  # a note that comes back at once, and again, pulses
                        step = (step + 1) % len(ladder)
                    recent = (recent[1], ladder[step])
                    following = onsets[position + 1] if position + 1 < len(onsets) else self.beats * points
                    velocity = self._velocity(bar, rng) + 0.03 * min(groove[point], 4) - 0.06
                    length = min(max((following - point) / points, 0.5) * rng.uniform(0.8, 1.25), self.bars * self.beats - beat)
                    notes.append(Note(beat, length, ladder[step], float(np.clip(velocity, 0.1, 1))))
            yield section.figure, notes

    def _percussion(self, rng: np.random.Generator) -> list[Note]:
        notes: list[Note] = []
        for section in self.sections:
            if section.name in ("intro", "outro"):
                continue
            level = max(self.energy, 0.36) * (0.75 + 0.25 * section.intensity)
            for bar in range(section.first_bar, section.first_bar + section.bars):
                notes += rhythm.percussion_bar(bar * self.beats, self.beats, level, bar % 8 == 7 and level > 0.5, rng)
        return notes


def _next_step(shape: str, step: int, position: int, rungs: int, rng: np.random.Generator) -> int:
    """Where a broken chord goes next on its ladder of chord notes."""
    top = rungs - 1
    if shape == "broken":
        moved = step + (2, -1, 2, -2)[position % 4] + int(rng.random() < 0.2)
    elif shape == "rise":
        moved = step + 1 if rng.random() < 0.9 else step - 2
    elif shape == "wave":
        moved = step + (1 if position // max(top, 1) % 2 == 0 else -1) * (2 if rng.random() < 0.15 else 1)
    else:
        moved = step + int(rng.choice((-2, -1, 1, 2)))
    if moved > top:
        moved = moved - 3 if shape == "rise" else 2 * top - moved
    return int(np.clip(abs(moved), 0, top))
