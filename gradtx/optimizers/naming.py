"""What the path of a parameter says about it, in the words of the frameworks."""

import re
from typing import Any

import jax

from gradtx.tree import keys

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]")

EMBEDDINGS = {"unembed", "wte", "wpe"}  # besides words that begin with "embed"
HEADS = {"logits", "classifier", "unembedding"}  # besides "head"
BIASES = {"bias", "biases"}
NORMS = {"norm", "layernorm", "rmsnorm", "batchnorm", "groupnorm", "ln"}
SCALES = {"scale", "gamma", "beta", "offset"}
INPUTS = {"cls", "token", "pos", "position", "positional"}  # that are learned

TOWARDS = {"q", "k", "v", "wq", "wk", "wv", "query", "key", "value", "qkv", "kv"}
AWAY = {"o", "wo", "out", "output"}
PAIRS = ({"q", "k"}, {"wq", "wk"}, {"query", "key"})  # found in attention alone
ATTENTION = {"attn", "attention", "mha", "selfattention", "crossattention"}
OTHERWISE = {"moe", "expert", "experts", "mlp", "ffn"}


def names(path: Any) -> list[str]:
    """Return what a path is made of, without what wraps the array itself."""
    entries = list(path)
    wrapped = entries and isinstance(entries[-1], jax.tree_util.GetAttrKey)
    if wrapped and len(entries) > 1 and entries[-1].name in ("value", "raw_value"):
        entries.pop()
    return [str(keys.plain(entry)) for entry in entries]


def words(name: str) -> list[str]:
    """Return the words of a name: ``LayerNorm_0`` is layer and norm."""
    return [word.lower() for word in _WORD.findall(name)]


def says(path: list[str], owner: str = "") -> str | None:
    """Return what a path says that the parameter is, if it is no hidden matrix.

    Args:
      path: what :func:`names` returns.
      owner: the name of the class that holds the parameter, if it is known.
    """
    found = [words(name) for name in path]
    every = {word for one in found for word in one}
    if set(found[-1] if found else ()) & BIASES:
        return "bias"
    if any(word.startswith("embed") for word in (*every, *words(owner))):
        return "embedding"
    if every & EMBEDDINGS:
        return "embedding"
    return "head" if any(map(_names_a_head, found)) else None


def says_small(path: list[str], owner: str = "") -> str | None:
    """Return what else a path says, for those who let paths decide everything."""
    last = set(words(path[-1])) if path else set()
    holder = set(words(path[-2] if len(path) > 1 else "")) | set(words(owner))
    if last & (NORMS | SCALES) or holder & NORMS:
        return "norm"
    return "input" if last & INPUTS else None


def is_attention(path: list[str], beside: set[str]) -> str | None:
    """Return "in" for query, key and value of an attention, "out" for its output.

    Args:
      path: what :func:`names` returns.
      beside: the names of the projections beside it, itself included.
    """
    above = {word for name in path[:-1] for word in words(name)}
    near = [set(words(name)) for name in path[-2:]]
    kind = next((k for k in map(_projection, reversed(near)) if k), None)
    company = {word for name in beside for word in words(name)}
    known = above & ATTENTION or any(pair <= company for pair in PAIRS)
    elsewhere = above & OTHERWISE and not above & ATTENTION
    by_head = any("einsum" in one for one in near)  # (heads, in, width), of Gemma
    return kind if known and not elsewhere and not by_head else None


def query_or_key(name: str) -> str | None:
    """Return "query" or "key" if that is what a name says."""
    found = set(words(name))
    if found & {"q", "wq", "query"}:
        return "query"
    return "key" if found & {"k", "wk", "key"} else None


def is_convolution(path: list[str], owner: str) -> bool:
    """Whether a path, or the class that holds the array, says that it is one."""
    every = [word for name in (*path, owner) for word in words(name)]
    return any(word.startswith("conv") for word in every)


def is_output_first(path: list[str]) -> bool:
    """Whether the output axis comes first: so it does in Equinox and PyTorch."""
    return bool(path) and path[-1].lower().startswith("weight")


def _names_a_head(found: list[str]) -> bool:
    if set(found) & HEADS:
        return True
    pairs = zip(["", *found], found, strict=False)
    return any(word == "head" and before != "multi" for before, word in pairs)


def _projection(found: set[str]) -> str | None:
    if found & TOWARDS:
        return "in"
    return "out" if found & AWAY else None
