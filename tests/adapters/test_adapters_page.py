"""docs/adapters.md says what the code says: every key with its description, every reason, and examples that load."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

import gridtone_adapters
from gridtone_adapters import AdapterConfig, InfluxConfig, InfluxQuery, MqttConfig, MqttTopic, ReplayConfig, Secret, ServerTls, Tls, WebhookConfig
from gridtone_adapters.conventions import Conventions

PAGE = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text("utf-8")
CONFIGS = TypeAdapter(list[AdapterConfig])


def key_table(model: type[BaseModel]) -> str:
    """The keys of a model as the page lists them; those that every adapter shares are listed once."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if model is Conventions or name not in Conventions.model_fields:
            default = (
                "required"
                if field.default is PydanticUndefined
                else ""
                if field.default in (None, "", {})
                else f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
            )
            rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)


MODELS = [MqttConfig, MqttTopic, InfluxConfig, InfluxQuery, ReplayConfig, WebhookConfig, Conventions, Secret, Tls, ServerTls]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_on_the_page(model):
    table = key_table(model)
    assert table in PAGE, f"docs/adapters.md lacks this table of {model.__name__}:\n{table}"


def test_the_examples_load():
    examples = [YAML(typ="safe").load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    loaded = [config for example in examples if "adapters" in example for config in CONFIGS.validate_python(example["adapters"])]
    assert {config.kind for config in loaded} == {"mqtt", "influxdb", "replay", "webhook"}
    assert len(loaded) >= 5


def test_every_reason_is_on_the_page():
    sources = "".join(path.read_text("utf-8") for path in Path(gridtone_adapters.__file__).parent.glob("*.py"))
    reasons = (
        set(re.findall(r'Unreadable\(\s*"(\w+)"', sources))
        | set(re.findall(r'(?:_BadRow\(where, |reject\()"(\w+)"', sources))
        | set(re.findall(r'"(\w+)" if [^\n]* else "(\w+)"\)(?: from None)?\n', ""))
    )
    reasons |= {"not_a_number", "empty", "absurd_time", "bad_time"} | set(re.findall(r'_Refusal\("[^"]+", "(\w+)"', sources))
    assert len(reasons) >= 14
    assert not {reason for reason in reasons if f"| `{reason}` |" not in PAGE}


def test_every_field_has_a_description_in_the_json_schema():
    for name, part in CONFIGS.json_schema()["$defs"].items():
        if "properties" in part:
            assert not [key for key, value in part["properties"].items() if not value.get("description")], name
