"""Other libraries' names that docstrings mention, and the pages that describe them.

Sphinx's intersphinx would ask their sites for lists of all names; a build needs no
network, so the few that are mentioned stand here, in the form of such lists.
"""

import zlib
from pathlib import Path

_JAX = "_autosummary/{}.html"
_LAX = ("cond", "fori_loop", "scan", "switch", "while_loop")
_TRANSFORMS = ("eval_shape", "grad", "jit", "shard_map", "value_and_grad", "vmap")
_OPTIMIZERS = ("adan", "amsgrad", "lars", "polyak_sgd", "rprop")
_LINKS = ("GradientTransformation", "scale_by_adan", "scale_by_amsgrad")

# The address of each site, and the page there for a name.
SITES = {
    "jax": (
        "https://docs.jax.dev/en/latest/",
        {
            **{f"jax.{x}": _JAX for x in (*_TRANSFORMS, "ShapeDtypeStruct")},
            **{f"jax.lax.{x}": _JAX for x in _LAX},
            "jax.tree.map": _JAX,
            "jax.random": "{}.html",
            "jax.tree_util": "{}.html",
        },
    ),
    "flax": (
        "https://flax.readthedocs.io/en/latest/",
        {"flax.nnx.Optimizer": "api_reference/flax.nnx/training/optimizer.html"},
    ),
    "optax": (
        "https://optax.readthedocs.io/en/latest/",
        {
            **{f"optax.{x}": "api/optimizers.html" for x in _OPTIMIZERS},
            **{f"optax.{x}": "api/transformations.html" for x in _LINKS},
        },
    ),
}
KNOWN = {name for _, pages in SITES.values() for name in pages}


def mapping(folder: Path) -> dict[str, tuple[str, str]]:
    """Write the lists into a folder, and return what intersphinx is to be told."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {}
    for site, (address, pages) in SITES.items():
        path = folder / f"{site}.inv"
        path.write_bytes(_inventory(site, pages))
        told[site] = (address, str(path))
    return told


def _inventory(site: str, pages: dict[str, str]) -> bytes:
    """Return the list as Sphinx reads it: a head, and lines that are compressed."""
    head = (
        f"# Sphinx inventory version 2\n# Project: {site}\n# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    lines = (
        f"{name} py:function 1 {page.format(name)}#{name} -\n"
        for name, page in pages.items()
    )
    return head.encode() + zlib.compress("".join(lines).encode())
