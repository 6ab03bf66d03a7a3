"""Rules of the house that no linter knows; each says where it is broken. Part of ``make check``.

- No file uses a ``_private`` name of another file.
- No folder's files import each other in a circle.
- No source file is over 450 lines, no class or function over 150.
- Each document that a command prints has a JSON Schema, and its kind is on docs/reference/documents.md.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
MAX_FILE, MAX_BLOCK = 450, 150
# What may be larger, and why.
LARGER = {"Connection": (215, "the state machine of one HTTP connection, whose states are read together")}


def main() -> int:
    trees = {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}
    found = [*private_names(trees), *circles(trees), *sizes(trees), *documents(trees)]
    for line in found:
        print(line)
    print(f"house: {len(found)} broken" if found else f"house: {len(trees)} files, every rule kept")
    return 1 if found else 0


def private_names(trees: dict[Path, ast.Module]) -> Iterator[str]:
    for path, tree in trees.items():
        modules = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rolecall")
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rolecall"):
                for alias in node.names:
                    if alias.name.startswith("_"):
                        yield f"{where(path, node)}: imports the private name {alias.name} of {node.module}"
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in modules
                and node.value.id.islower()
                and node.attr.startswith("_")
                and not node.attr.startswith("__")
            ):
                yield f"{where(path, node)}: uses the private name {node.value.id}.{node.attr}"


def circles(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Circles among the children of each package, a folder counting as one."""
    imports: dict[str, set[str]] = {module_of(path): set(imported(tree)) for path, tree in trees.items()}
    children: dict[str, set[str]] = defaultdict(set)
    for module in imports:
        parts = module.split(".")
        for depth in range(1, len(parts)):
            children[".".join(parts[:depth])].add(".".join(parts[: depth + 1]))
    for package, members in sorted(children.items()):
        edges: dict[str, set[str]] = defaultdict(set)
        for module, targets in imports.items():
            here = member_of(module, members)
            edges[here] |= {there for target in targets if (there := member_of(target, members)) and there != here}
        for one in sorted(members):
            if one in reached(edges, one):
                yield f"{package}: {one} imports itself through its neighbours"


def member_of(module: str, members: set[str]) -> str:
    parts = module.split(".")
    return next((name for depth in range(len(parts), 0, -1) if (name := ".".join(parts[:depth])) in members), "")


def reached(edges: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(edges[start]) if start else []
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += edges[one]
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rolecall"):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("rolecall"))


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sizes(trees: dict[Path, ast.Module]) -> Iterator[str]:
    for path, tree in trees.items():
        lines = len(path.read_text().splitlines())
        if lines > MAX_FILE:
            yield f"{path.relative_to(ROOT)}: {lines} lines; {MAX_FILE} at most"
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LARGER.get(node.name, (MAX_BLOCK, ""))[0]:
                    yield f"{where(path, node)}: {node.name} has {length} lines; {MAX_BLOCK} at most"


def documents(trees: dict[Path, ast.Module]) -> Iterator[str]:
    page = (ROOT / "docs" / "reference" / "documents.md").read_text()
    schemas = {path.stem for path in (SOURCE / "rolecall" / "cli" / "schemas").glob("*.json")}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id == "print_document" and node.args and isinstance(node.args[0], ast.Constant):
                kind = str(node.args[0].value)
                if kind not in schemas:
                    yield f"{where(path, node)}: the document {kind} has no src/rolecall/cli/schemas/{kind}.json"
    for kind in sorted(schemas):
        if f"`{kind}`" not in page:
            yield f"docs/reference/documents.md: does not describe the document `{kind}`"


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


if __name__ == "__main__":
    sys.exit(main())
