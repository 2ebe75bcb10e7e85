"""Real data that is found on any machine: digits and source text, split three ways."""

import sysconfig
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.compare.needs import needed

ALPHABET = "\n" + "".join(chr(code) for code in range(32, 127))
SOURCES = (
    "argparse.py",
    "ast.py",
    "bisect.py",
    "calendar.py",
    "contextlib.py",
    "copy.py",
    "csv.py",
    "dataclasses.py",
    "difflib.py",
    "enum.py",
    "fractions.py",
    "functools.py",
    "heapq.py",
    "inspect.py",
    "random.py",
    "shutil.py",
    "statistics.py",
    "textwrap.py",
    "tokenize.py",
    "typing.py",
)

FEWEST = 5  # files, one in five to tune and one to judge


class Split(NamedTuple):
    """Examples and their labels."""

    inputs: jax.Array
    labels: jax.Array


class Data(NamedTuple):
    """What a model learns from, what tunes it, and what judges it."""

    train: Split
    validation: Split
    test: Split


def digits() -> Data:
    """Give scikit-learn's 1,797 handwritten digits: 1,097 to learn from, 300, 400."""
    with needed("the task of digits"):
        from sklearn.datasets import load_digits  # noqa: PLC0415 -- for one task only

    bunch: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    images = (bunch.images[order, :, :, None] / 16).astype(np.float32)
    labels = bunch.target[order].astype(np.int32)
    return Data(
        _split(images[:1097], labels[:1097]),
        _split(images[1097:1397], labels[1097:1397]),
        _split(images[1397:], labels[1397:]),
    )


def mislabelled(data: Data, part: float) -> Data:
    """Give a fixed part of the labels to learn from another value, drawn once.

    What tunes and what judges keeps the true ones, so learning the wrong ones shows.
    """
    labels = np.array(data.train.labels)
    random, classes = np.random.default_rng(1), labels.max() + 1
    wrong = random.permutation(len(labels))[: round(part * len(labels))]
    labels[wrong] = (labels[wrong] + random.integers(1, classes, len(wrong))) % classes
    return data._replace(train=_split(np.asarray(data.train.inputs), labels))


def ngrams(buckets: int, orders: int = 4, held: int = 2000) -> Data:
    """Give the last one, two, ... characters of text as numbers of hash buckets.

    What comes next is to be told from them. Most of the longer ones are rare, so a
    batch touches few of the buckets.

    Args:
      buckets: how many there are, shared by all lengths.
      orders: how many lengths, from one character on.
      held: how many examples tune, and how many judge.
    """
    data = text(context=orders, held=(held, held))
    return Data(*(_hashed(split, buckets) for split in data))


def _hashed(split: Split, buckets: int) -> Split:
    codes, mixed = np.asarray(split.inputs, np.uint32), []
    hashed = np.zeros(len(codes), np.uint32)
    for column in codes.T[::-1]:  # the nearest character first
        hashed = (hashed ^ (column + np.uint32(1))) * np.uint32(2654435761)
        mixed.append((hashed >> np.uint32(7)) % np.uint32(buckets))
    inputs = np.stack(mixed, axis=1).astype(np.int32)
    return _split(inputs, np.asarray(split.labels)[:, -1])


def text(
    context: int = 32, limit: int = 400_000, held: tuple[int, int] = (300, 400)
) -> Data:
    """Give characters of Python's standard library, each to be told from those before.

    Whole files go to one split only, so that nothing of a test file was seen before.

    Args:
      context: characters of an example.
      limit: the most characters to learn from.
      held: how many examples tune, and how many judge.
    """
    sources = read_sources(Path(sysconfig.get_path("stdlib")))
    learn = [source for place, source in enumerate(sources) if place % 5 not in (1, 3)]
    tune, judge = sources[1::5], sources[3::5]
    return Data(
        _windows(learn, context, limit),
        _windows(tune, context, held[0] * (context + 1)),
        _windows(judge, context, held[1] * (context + 1)),
    )


def read_sources(folder: Path) -> list[str]:
    """Read those of the chosen files that this Python has, at least five of them."""
    sources = [
        (folder / name).read_text(encoding="utf-8")
        for name in SOURCES
        if (folder / name).is_file()
    ]
    if len(sources) < FEWEST:
        raise FileNotFoundError(f"the standard library's source is not in {folder}")
    return sources


def encode(source: str) -> np.ndarray:
    """Number each character by its place in the alphabet; others count as ``?``."""
    places = {character: place for place, character in enumerate(ALPHABET)}
    unknown = places["?"]
    characters = source.expandtabs(4)
    return np.array([places.get(c, unknown) for c in characters], np.int32)


def _windows(sources: list[str], context: int, limit: int) -> Split:
    codes = encode("\n".join(sources))
    width = context + 1
    rows = codes[: len(codes) // width * width].reshape(-1, width)
    kept = np.random.default_rng(0).permutation(len(rows))[: limit // width]
    return _split(rows[kept, :-1], rows[kept, 1:])


def _split(inputs: np.ndarray, labels: np.ndarray) -> Split:
    return Split(jnp.asarray(inputs), jnp.asarray(labels))
