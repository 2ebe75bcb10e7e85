"""The house: imports go down only, files and functions stay small, doors are plain."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "gradtx"

# The first part of a module's path tells its layer; what is not named here re-exports
# names under optax's paths, on the layer of the package's own `__init__`.
LAYERS = {
    1: "common",
    2: "lowering schedules losses projections codecs assignment perturbations "
    "microbatching",
    3: "tree linalg kernels",
    4: "core",
    5: "linesearch primitives",
    6: "quantization wrappers",
    7: "optimizers",
    8: "groups saving testing like experimental inspection sharding recipes",
    9: "compare",
}
LAYER = {name: layer for layer, names in LAYERS.items() for name in names.split()}
DOOR = 10

# This package also answers, by a function, four names that stand on a layer above.
ANSWERS_UPWARD = ("schedules",)
# And the door sees to what `dir()` shows.
PRIVATE_LINES = (ANSWERS_UPWARD, ())
PRIVATE = re.compile(r"_|def __getattr__\(|from \S+ import \w+ as _\w+$")

EXAMPLE = re.compile(r'\n\n *Example:\n.*?(?=\n *""")', re.DOTALL)
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    """Return what a file says, as Python reads it."""
    return ast.parse(path.read_text())


def parts(path: Path) -> tuple[str, ...]:
    """Return a module's path inside the package: `("optimizers", "adam")`."""
    names = path.relative_to(PACKAGE).with_suffix("").parts
    return names[:-1] if names[-1] == "__init__" else names


def layer(names: tuple[str, ...]) -> int:
    """Return the layer of a module."""
    return LAYER.get(names[0], DOOR) if names else DOOR


def imported(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the modules of this package that a file imports, wherever in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        else:
            continue
        for name in found:
            package, *names = name.split(".")
            if package == PACKAGE.name:
                yield _module(tuple(names))


def _module(names: tuple[str, ...]) -> tuple[str, ...]:
    """Cut off what is defined in a module, so that the module remains."""
    while names:
        file = PACKAGE.joinpath(*names)
        if file.is_dir() or file.with_suffix(".py").exists():
            break
        names = names[:-1]
    return names


def test_imports_go_down() -> None:
    """A module imports from its own layer and those below."""
    for path in FILES:
        here = layer(parts(path))
        above = [x for x in imported(path) if layer(x) > here]
        assert not above, path


def test_there_are_no_circles() -> None:
    """No module imports itself through others, nor a folder that re-exports it."""
    edges = {parts(path): set(imported(path)) - {parts(path)} for path in FILES}
    done: set[tuple[str, ...]] = set()
    while len(done) < len(edges):
        ready = {x for x, below in edges.items() if x not in done and below <= done}
        assert ready, f"a circle among {sorted(set(edges) - done)}"
        done |= ready


def test_files_are_short() -> None:
    """A file has at most 300 lines; the doors list as many names as there are.

    The examples that end docstrings are not counted.
    """
    for path in FILES:
        if path.name != "__init__.py":
            text = EXAMPLE.sub("", path.read_text())
            assert len(text.splitlines()) <= 300, path


def test_functions_are_short() -> None:
    """A function has at most 40 lines below its docstring."""
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef):
                assert own_lines(node) <= 40, f"{path}: {node.name}"


def own_lines(function: ast.FunctionDef) -> int:
    """Count the lines below a docstring, without the functions defined within."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    lines = (function.end_lineno or 0) - body[0].lineno + 1 if body else 0
    within = [x for x in body if isinstance(x, ast.FunctionDef)]
    return lines - sum((x.end_lineno or 0) - x.lineno + 1 for x in within)


def test_every_file_says_what_it_is() -> None:
    """A file starts with a docstring; a folder's door and the front door re-export."""
    for path in FILES:
        tree = parsed(path)
        assert ast.get_docstring(tree), path
        if path.name == "__init__.py":
            _re_exports(path, tree)
        elif layer(parts(path)) == DOOR:
            _forwards(path, tree)


def _re_exports(path: Path, tree: ast.Module) -> None:
    for node in tree.body[1:]:
        if parts(path) in PRIVATE_LINES and PRIVATE.match(ast.unparse(node)):
            continue
        where = f"{path}: {ast.unparse(node)}"
        assert isinstance(node, ast.ImportFrom | ast.Import), where
        for alias in node.names:
            assert alias.asname == alias.name, where


def _forwards(path: Path, tree: ast.Module) -> None:
    # What starts the command ends in a call, where it is no module.
    starts = path.name == "__main__.py"
    for node in tree.body[1:-1] if starts else tree.body[1:]:
        forwards = isinstance(node, ast.ImportFrom | ast.Import | ast.Assign)
        assert forwards, f"{path}: {ast.unparse(node)}"


def table() -> str:
    """Write the layers as CONTRIBUTING shows them, from the packages' docstrings."""
    rows = ["| layer | packages |", "|---|---|"]
    for number, names in LAYERS.items():
        rows += [f"| {number} | {'<br>'.join(map(_row, names.split()))} |"]
    return "\n".join(rows)


def _row(name: str) -> str:
    tree = ast.parse((PACKAGE / name / "__init__.py").read_text())
    first, *_ = (ast.get_docstring(tree) or "").splitlines()
    return f"`{name}/` {first}"


def test_contributing_shows_the_layers() -> None:
    """CONTRIBUTING's table of the layout is made from the packages themselves."""
    assert table() in (PACKAGE.parent / "CONTRIBUTING.md").read_text(), table()
