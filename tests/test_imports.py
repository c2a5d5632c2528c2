"""Who imports whom: folders follow the data, bottom to top; the engine knows no page, and the page no tensors."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Nothing imports what comes after it.
ORDER = (
    "text errors processor formats pictures model device sampling hub checkpoints pipeline outputs comparing training "
    "evaluation engine cli ui __main__"
).split()


def imported(path: Path) -> Iterator[str]:
    """The names of the modules that a file imports, in full, also within functions."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, node.module or "")).rstrip(".")
            yield from (f"{module}.{name.name}" for name in node.names)


def files(folder: str = "") -> list[Path]:
    found = sorted((ROOT / "var" / folder).rglob("*.py"))
    assert found
    return found


def test_nothing_imports_upwards():
    wrong = []
    for path in files():
        layer = path.relative_to(ROOT / "var").with_suffix("").parts[0]
        if layer == "__init__":
            continue
        others = {name.split(".")[1] for name in imported(path) if name.startswith("var.")} - {"__version__"}
        wrong += [(str(path), other) for other in others if ORDER.index(other) > ORDER.index(layer)]
    assert wrong == []


@pytest.mark.parametrize(("folder", "stranger"), [("engine", "gradio"), ("ui", "torch"), ("cli", "gradio")])
def test_each_knows_its_own_alone(folder, stranger):
    wrong = [str(path) for path in files(folder) if any(name.split(".")[0] == stranger for name in imported(path))]
    assert wrong == []


def test_the_engine_knows_no_page():
    assert [str(path) for path in files("engine") if any(name.startswith("var.ui") for name in imported(path))] == []
