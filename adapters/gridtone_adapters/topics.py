"""Topic patterns: `grid/{element}/{id}/{quantity}` finds the points in a broker's topics."""

import re
from dataclasses import dataclass

CAPTURE = re.compile(r"\{([^\W\d]\w*)\}")
REST = re.compile(r"\{([^\W\d]\w*)\.\.\.\}")


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """A pattern, ready to subscribe to and to match."""

    filter: str
    """The MQTT topic filter, with `+` and `#`."""
    regex: re.Pattern[str]
    """Matches a whole topic; a named group for every capture."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.regex.groupindex)


def parse_topic(pattern: str) -> TopicPattern:
    """Raises ValueError that says what is wrong with the pattern."""
    if not pattern or "\0" in pattern:
        raise ValueError("a topic cannot be empty")
    if pattern.startswith("$share/"):
        raise ValueError("write the topic without `$share/<group>/` and set `share_group` instead")
    levels = pattern.split("/")
    filters, regexes = [], []
    for index, level in enumerate(levels):
        last = index == len(levels) - 1
        if rest := REST.fullmatch(level):
            if not last:
                raise ValueError(f"{level} takes all that follows, so it must come last in {pattern!r}")
            filters.append("#")
            regexes.append(f"/(?P<{rest[1]}>.+)")
        elif level == "#":
            if not last:
                raise ValueError(f"# must come last in {pattern!r}")
            filters.append("#")
            regexes.append("(?:/.*)?")
        elif level == "+":
            filters.append("+")
            regexes.append("/[^/]*")
        else:
            literals = CAPTURE.split(level)[::2]
            if any(character in literal for literal in literals for character in "+#{}"):
                raise ValueError(f"cannot read {level!r} in {pattern!r}: a level is text with {{name}} captures, or +, or, as the last one, # or {{name...}}")
            names = CAPTURE.findall(level)
            filters.append("+" if names else level)
            regexes.append(
                "/" + "".join(f"{re.escape(literal)}(?P<{name}>[^/]+?)" for literal, name in zip(literals, names, strict=False)) + re.escape(literals[-1])
            )
    try:
        return TopicPattern("/".join(filters), re.compile(("".join(regexes).removeprefix("/") if pattern != "#" else ".*"), re.DOTALL))
    except re.error as error:
        raise ValueError(f"cannot read {pattern!r}: {error.msg}") from None


def check_point(template: str, names: tuple[str, ...]) -> None:
    """Raise ValueError unless `template` is a point's name with captures among `names` only."""
    if not template:
        raise ValueError("a point needs a name")
    for name in re.findall(r"\{([^{}]*)\}", template):
        if name not in names:
            raise ValueError(
                f"the point {template!r} uses {{{name}}}, which nothing captures; there is {', '.join(f'{{{known}}}' for known in names) or 'no capture'}"
            )
    if any(brace in re.sub(r"\{[^{}]*\}", "", template) for brace in "{}"):
        raise ValueError(f"the braces in the point {template!r} do not match")


def fill_point(template: str, captured: dict[str, str]) -> str:
    return re.sub(r"\{([^{}]*)\}", lambda match: captured[match[1]], template)
