"""How fast prompts are understood, and how well moods are told apart, one core: python tests/benchmarks/bench_text.py"""

import resource
import time
from collections.abc import Callable

import numpy as np

from gridtone_engine import Prompt
from gridtone_engine.text import understand
from gridtone_engine.text.moods import RIDGE, THRESHOLD, encoder, nearest_mood, phrasings, targets

IN_LEXICON = "专注、沉稳、有节奏, not too fast, warm pads without drums, 72 bpm in D minor"
UNKNOWN = "snow on the roofs of a sleeping village"


def milliseconds(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times * 1000


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def left_out() -> tuple[float, float, float]:
    """Every phrasing judged by a regression that has not seen it: shares of the moods accepted, of those right, and of the moodless accepted."""
    labels, texts = map(list, zip(*phrasings(), strict=True))
    classes, wanted = targets(labels)
    vectors = encoder()(texts)
    hat = vectors @ np.linalg.inv(vectors.T @ vectors + RIDGE * np.eye(vectors.shape[1])) @ vectors.T
    own = np.diag(hat)[:, None]
    scores = (hat @ wanted - own * wanted) / (1 - own)
    named = np.array([classes[best] if score >= THRESHOLD else "" for best, score in zip(scores.argmax(axis=1), scores.max(axis=1), strict=True)])
    mood = np.array(labels) != ""
    return float((named[mood] != "").mean()), float((named == labels)[mood & (named != "")].mean()), float((named[~mood] != "").mean())


def main() -> None:
    first = milliseconds(lambda: understand(Prompt(IN_LEXICON)), 1)
    print(f"{'what':<48}{'measured':>12}{'target':>12}")
    print(f"{'prompt within the lexicon, first, ms':<48}{first:>12.2f}")
    within = milliseconds(lambda: understand(Prompt(IN_LEXICON)), 200)
    print(f"{'prompt within the lexicon, ms':<48}{within:>12.2f}{'<= 5':>12}")
    before = megabytes()
    print(f"{'unknown wording, first (loads the encoder), ms':<48}{milliseconds(lambda: nearest_mood(UNKNOWN), 1):>12.0f}{'<= 3000':>12}")
    print(f"{'memory that the encoder takes, MB':<48}{megabytes() - before:>12.0f}")
    print(f"{'unknown wording, ms':<48}{milliseconds(lambda: understand(Prompt(UNKNOWN)), 100):>12.2f}{'<= 10':>12}")
    print(f"{'100 kB of text within the lexicon, ms':<48}{milliseconds(lambda: understand(Prompt('slow bright piano, ' * 5263)), 3):>12.1f}{'<= 100':>12}")
    accepted, right, moodless = left_out()
    print(f"{'phrasings left out: moods accepted':<48}{accepted:>12.0%}")
    print(f"{'    of those, the right one of 17':<48}{right:>12.0%}")
    print(f"{'    moodless accepted':<48}{moodless:>12.0%}")


if __name__ == "__main__":
    main()
