"""What is taken from JAX is public; what is not stands in one place, for who asks."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "gradtx"

# The parts of JAX that promise nothing, and the only file that may name them.
PRIVATE = ("jax._src", "jaxlib", "jax.interpreters")
GUARDED = {
    "jax.experimental": "kernels/pallas.py",
    "jax.extend": "lowering/jaxprs.py",
}
# What needs kernels, and so may import them when it is itself imported.
OF_KERNELS = ("kernels", "quantization/pallas.py")

FILES = {str(path.relative_to(PACKAGE)): path for path in PACKAGE.rglob("*.py")}


def named(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports, and the dotted names that it writes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def is_in(name: str, module: str) -> bool:
    """Whether a dotted name is a module or something in it."""
    return name == module or name.startswith(f"{module}.")


def test_only_public_jax_is_used() -> None:
    """Nothing private, and what is experimental or an extension in its one file."""
    for file, path in FILES.items():
        closed = [*PRIVATE, *(name for name, home in GUARDED.items() if file != home)]
        names = set(named(ast.parse(path.read_text())))
        assert not [x for x in names if any(is_in(x, y) for y in closed)], file


def test_kernels_are_imported_when_they_are_asked_for() -> None:
    """No module but those of kernels imports them before one of its functions runs."""
    for file, path in FILES.items():
        if not file.startswith(OF_KERNELS):
            tops = ast.Module(ast.parse(path.read_text()).body, [])
            names = set(_when_imported(tops))
            assert not [x for x in names if is_in(x, "gradtx.kernels")], file


def _when_imported(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if not isinstance(node, ast.FunctionDef):
            yield from named(node)


PROGRAM = """
import sys
import jax.extend.core, jax.numpy as jnp  # which import what they like
before = set(sys.modules)
import gradtx
new = set(sys.modules) - before
assert not [x for x in new if "pallas" in x or x.startswith("jax.experimental")], new

sys.modules["jax.experimental.pallas"] = None  # a JAX that does not have it
params = {"w": jnp.ones((4, 256))}
def step(kernel):
    tx = gradtx.adamw8bit(1e-3, min_size=1, kernel=kernel)
    return jax.jit(tx.update)(params, tx.init(params), params)
step(False)
try:
    step("cuda")
except (ValueError, ImportError) as error:
    assert isinstance(error, ImportError)
    print(error)
"""


def test_pallas_is_missed_by_kernels_alone() -> None:
    """`import gradtx` loads none; without it, all works but what asks for kernels."""
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "kernel=True needs jax.experimental.pallas" in run.stdout
    assert "leave kernel=False" in run.stdout
