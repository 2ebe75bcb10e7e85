"""How tests compile: what is kept for later runs, and what is not tried."""

from pathlib import Path

import jax


def compile_quickly() -> None:
    """Leave most optimizations out.

    Most programs of the tests run a few times on a few numbers: compiling them takes
    longer.
    """
    jax.config.update("jax_disable_most_optimizations", True)  # noqa: FBT003


def keep_programs(folder: Path) -> None:
    """Keep every compiled program, also the small ones, of which there are thousands.

    Args:
      folder: where.
    """
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
