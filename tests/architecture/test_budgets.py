"""The house's size budgets and its docstring rule, measured on the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("cluster", "devicelab", "fer_core", "search")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
    return node.end_lineno - node.lineno + 1 - docstring


def public_definitions(body: list[ast.stmt], prefix: str = "") -> list[tuple[str, Definition]]:
    found = []
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            found.append((prefix + node.name, node))
            if isinstance(node, ast.ClassDef):
                found += public_definitions(node.body, f"{prefix}{node.name}.")
    return found


def is_overload_or_override(node: Definition) -> bool:
    return any("overload" in ast.dump(d) or "override" in ast.dump(d) for d in node.decorator_list)


def test_there_are_modules_to_measure():
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_fits_its_budget(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_fit_their_budget(path):
    functions = [n for n in ast.walk(parse(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert {n.name: function_lines(n) for n in functions if function_lines(n) > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_everything_public_has_a_docstring(path):
    module = parse(path)
    missing = [
        name
        for name, node in public_definitions(module.body)
        if not ast.get_docstring(node) and not is_overload_or_override(node)
    ]
    if path.name != "__init__.py" or module.body:
        assert ast.get_docstring(module), "module docstring"
    assert missing == []
