"""From tokens to claims: which words are meant, how much, and which are negated."""

from dataclasses import dataclass, replace

from gridtone_engine.text.lexicon import Entry
from gridtone_engine.text.scan import Token

_NUMBERS = ("tempo", "at_most", "at_least", "key", "mode", "scale")


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a text says."""

    token: Token
    """Of a kind with a meaning, or `unknown` for a stretch that is not in the lexicon."""
    start: int
    """With its negation and degree, where they stand beside it."""
    end: int
    negated: bool = False
    degree: float = 1.0


def _entry(token: Token) -> Entry | None:
    return token.entry if token.entry and token.entry.has_meaning else None


def _commas_of_lists(tokens: list[Token]) -> list[Token]:
    """Commas of a list that ends in `or` become `or`: "no drums, bass or bells" is three noes, "no drums, piano" is one."""
    joined, in_list, after = list(tokens), False, None
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        before = _entry(tokens[index - 1]) if index else None
        if token.kind == "or":
            in_list = True
        elif token.kind == "comma" and in_list and before and after and before.is_noun == after.is_noun:
            joined[index] = replace(token, kind="or")
        elif entry := _entry(token):
            after = entry
        elif token.kind != "degree":
            in_list = False
    return joined


class _Reader:
    """Walks over the tokens of one text, holding what was said so far about the next word."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = _commas_of_lists(tokens)
        self.claims: list[Claim] = []
        self.stretch: list[Token] = []
        """Tokens of wording that is not in the lexicon, with the fillers among it."""
        self.forget()

    def forget(self) -> None:
        self.negations: list[Token] = []
        self.degrees: list[Token] = []
        self.carrier: Claim | None = None
        """The last negated word: its negation may go on to the next."""
        self.between: list[str] = []
        """Kinds of the tokens since the carrier."""
        self.negation_in_list = False
        """The negation is itself an item of a Chinese list (、), so it holds for that item alone."""

    def goes_on(self, token: Token) -> bool:
        """Whether the carrier's negation holds for this word too."""
        if not self.carrier or not self.carrier.token.entry or not token.entry:
            return False
        both_nouns = self.carrier.token.entry.is_noun and token.entry.is_noun
        if not self.between:  # "no loud drums" has no drums; "not too fast piano" has a piano
            return token.entry.is_noun and self.carrier.degree == 1.0
        if "or" in self.between:
            return set(self.between) <= {"or", "filler"}
        return both_nouns and (set(self.between) == {"and"} or (set(self.between) == {"list"} and not self.negation_in_list))

    def meaning(self, index: int, token: Token) -> None:
        self.end_stretch()
        own = len(self.negations) % 2 == 1
        goes_on = not self.negations and self.goes_on(token)
        after = index + 1 < len(self.tokens) and self.tokens[index + 1].kind == "after"
        degree = 1.0
        for word in self.degrees:
            degree *= word.values["degree"]
        claim = Claim(
            token,
            min((word.start for word in (*self.negations, *self.degrees)), default=token.start),
            self.tokens[index + 1].end if after else token.end,
            (own or goes_on) != (token.negated or after),
            degree,
        )
        self.claims.append(claim)
        in_list = self.negation_in_list
        self.forget()
        if own or goes_on:
            self.carrier, self.negation_in_list = claim, in_list

    def end_stretch(self) -> None:
        """Close the stretch of unknown wording, with the negations and degrees that stand before or in it."""
        unknown = [token for token in self.stretch if token.kind in ("unknown", "plain")]
        if unknown:
            end = unknown[-1].end
            negated = any(token.start < end for token in self.negations)
            start = min(token.start for token in (unknown[0], *self.negations, *self.degrees))
            self.claims.append(Claim(Token("unknown", start, end), start, end, negated))
            self.negations = [token for token in self.negations if token.start > end]
            self.degrees = [token for token in self.degrees if token.start > end]
        self.stretch = []

    def end_clause(self) -> None:
        self.end_stretch()
        if self.negations:  # "not." says nothing that could be followed
            start, end = self.negations[0].start, self.negations[-1].end
            self.claims.append(Claim(Token("unknown", start, end), start, end, negated=True))
        self.forget()

    def read(self) -> list[Claim]:
        for index, token in enumerate(self.tokens):
            if _entry(token) or token.kind in _NUMBERS:
                self.meaning(index, token)
            elif token.kind == "negation":
                if not self.negations and not self.stretch:
                    self.negation_in_list = index > 0 and self.tokens[index - 1].kind == "list"
                self.carrier = None
                self.negations.append(token)
            elif token.kind == "degree":
                self.degrees.append(token)
            elif token.kind in ("and", "or", "list") and self.carrier and not self.stretch:
                self.between.append(token.kind)
            elif token.kind in ("comma", "break", "but", "list") or (token.kind in ("and", "or") and not self.stretch):
                self.end_clause()
            elif token.kind == "duration":
                self.end_clause()
                self.claims.append(Claim(replace(token, kind="unfollowed"), token.start, token.end))
            elif token.kind != "after":
                self.between.append(token.kind)
                self.stretch.append(token)
        self.end_clause()
        return self.claims


def claims(tokens: list[Token]) -> list[Claim]:
    """What the tokens say, in their order."""
    return _Reader(tokens).read()
