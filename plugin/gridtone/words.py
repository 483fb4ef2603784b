"""Texts that people read, in the languages that a site offers."""

from collections.abc import Mapping
from typing import TypeAlias

Words: TypeAlias = Mapping[str, str]
"""Language tag -> text, always with `en`; `zh` wherever gridtone itself speaks."""
