"""The composer: music from rules of music, rendered on one CPU core.

It composes a score and plays it. Composition goes from the large to the small; each step reads like the theory it follows:

    attributes -> orchestra.py  what the prompt left open; who plays which role
               -> form.py       sections: density, register and orchestration over minutes
               -> harmony.py    key, mode, chords, phrases with cadences
               -> voicing.py    bass and three upper voices, led smoothly (Viterbi)
               -> melody.py     motifs, developed
               -> rhythm.py     figuration, bass rhythms, soft percussion
               -> score.py      all of it as notes
    score      -> instruments.py  who makes which tones, with tones.py (synthesis) and recordings.py (sampled notes, MIT)
               -> render.py       mixing, with reverb.py and master.py

    from gridtone_engine.composer import compose, render

    score = compose(Attributes(tempo_bpm=72, key="D dorian"), seconds=120, seed=7)
    samples = render(score, 48_000)   # float32 (2, frames)

A track is a whole number of bars, as near as they come to the length asked for, in one tempo, its first downbeat at 0 s; it begins and ends thinly and faded
over a bar, so that two tracks can be crossfaded on a bar. The same prompt and seed give the same bytes. Nothing here uses torch, the network, or anything
outside numpy, scipy and soundfile. Modules say `scipy.signal`, which is imported when it is first used and takes most of a second: writing a score needs none.
"""

from gridtone_engine.composer.compose import compose
from gridtone_engine.composer.engine import Composer
from gridtone_engine.composer.render import render

__all__ = ["Composer", "compose", "render"]
