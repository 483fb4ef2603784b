"""No adapter holds a code path that could write: proven on the source, besides the tests at real servers with read-only users."""

import ast
from pathlib import Path

import pytest

import gridtone_adapters

MODULES = sorted(Path(gridtone_adapters.__file__).parent.glob("*.py"))
WRITING = {"publish", "will_set", "write_api", "write_points", "delete_api", "write_text", "write_bytes", "POST", "PUT", "PATCH", "DELETE"}
LOCAL = {"gridtone", "gridtone_engine"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_no_module_refers_to_anything_that_writes(module):
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) | ast.keyword(arg=name):
                assert name not in WRITING, f"{module.name}:{getattr(node, 'lineno', '?')}: {name}"
            case ast.Constant(value=str(text)):
                assert text not in WRITING, f"{module.name}:{node.lineno}: {text}"
                assert " INTO " not in text.upper(), f"{module.name}:{node.lineno}: {text}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_no_module_knows_rules_or_music(module):
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {name.split(".")[0] for name in names} & LOCAL


def test_the_modules_are_found():
    assert {"mqtt", "payloads", "security"} <= {module.stem for module in MODULES}
