"""From words to musical attributes, in English and Chinese, with a report of what was understood."""

from gridtone_engine.text.understanding import Phrase, Understanding

__all__ = ["Phrase", "Understanding"]
