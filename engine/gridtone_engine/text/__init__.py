"""From words to musical attributes, in English and Chinese, with a report of what was understood.

* `lexicon.toml`      the table of words: edit it to teach new ones
* `lexicon.py`        the table, ready to be looked up
* `scan.py`           a text as tokens: numbers, keys, words
* `grammar.py`        tokens as claims: negation, degree, lists
* `moods.py`          the nearest mood of wording that is not in the table
* `understanding.py`  `understand`: claims as attributes, and the report
"""

from gridtone_engine.text.understanding import Phrase, Understanding, understand

__all__ = ["Phrase", "Understanding", "understand"]
