"""Which points an adapter can deliver, as far as its configuration says."""

import re

from gridtone_adapters import AdapterConfig, InfluxConfig, InfluxQuery, MqttConfig, MqttTopic, WebhookConfig

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_REST = re.compile(r"\{([^{}]+)\.\.\.\}")
_SLASHES = "\0"
"""Stands in a template for text that may hold any number of slashes."""


def may_deliver(adapter: AdapterConfig, pattern: str) -> bool:
    """Can the adapter deliver a point that the pattern of a signal takes? True where its configuration does not tell, as for a recording."""
    match adapter:
        case MqttConfig():
            templates = [template for topic in adapter.topics for template in _of_topic(topic)]
        case InfluxConfig():
            templates = [template for query in adapter.queries for template in _of_query(query)]
        case WebhookConfig():
            alert = _PLACEHOLDER.sub("{}", adapter.point)
            templates = [f"{alert}/active", f"{alert}/priority", adapter.heartbeat]
        case _:
            return True
    return any(_meet(pattern.split("/"), template.split("/")) for template in templates)


def _of_topic(topic: MqttTopic) -> list[str]:
    rest = set(_REST.findall(topic.topic))
    template = _PLACEHOLDER.sub(lambda name: _SLASHES if name[1] in rest else "{}", topic.point)
    return [f"{template}/{suffix}" for suffix in topic.values.values()] or [template]


def _of_query(query: InfluxQuery) -> list[str]:
    def fill(field: str) -> str:
        known = {"field": field} | {f"tag:{tag}": value for tag, value in query.where.items()}
        return _PLACEHOLDER.sub(lambda name: known.get(name[1], _SLASHES), query.point)

    return [fill(field) for field in query.fields]


def _meet(pattern: list[str], template: list[str]) -> bool:
    """Is there a point that both mean? Parts of a template are text in which `{}` stands for at least one character."""
    if not pattern or not template:
        return not pattern and not template
    if _SLASHES in template[0] or pattern[0] == "**":
        return True
    part = "[^/]+".join(map(re.escape, template[0].split("{}")))
    return (pattern[0] == "*" or re.fullmatch(part, pattern[0]) is not None) and _meet(pattern[1:], template[1:])
