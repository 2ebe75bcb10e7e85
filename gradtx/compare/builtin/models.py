"""Four small networks in Flax Linen, as a user would write them."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class PatchConvolution(nn.Module):
    """A 3x3 convolution, written as one dense layer over patches.

    A sweep gives every run its own weights. Grouped convolutions are slow on a CPU;
    a batched product of matrices is not.
    """

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Convolve ``images`` of shape (batch, height, width, channels)."""
        _, height, width, _ = images.shape
        padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        shifts = [
            padded[:, row : row + height : self.stride, col : col + width : self.stride]
            for row in range(3)
            for col in range(3)
        ]
        patches = jnp.concatenate(shifts, axis=-1)
        return nn.Dense(self.features, kernel_init=nn.initializers.he_normal())(patches)


class DigitNetwork(nn.Module):
    """Two convolutions and a linear layer: 8x8 images to ten digits."""

    features: int = 16

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Give one logit for each digit."""
        hidden = nn.relu(PatchConvolution(self.features)(images))
        hidden = nn.relu(PatchConvolution(2 * self.features, stride=2)(hidden))
        return nn.Dense(10)(hidden.reshape(len(hidden), -1))


class Block(nn.Module):
    """A pre-norm transformer block that sees only what came before."""

    heads: int

    @nn.compact
    def __call__(self, hidden: jax.Array) -> jax.Array:
        """Mix the places, then the features."""
        width = hidden.shape[-1]
        mask = nn.make_causal_mask(hidden[..., 0])
        attention = nn.MultiHeadDotProductAttention(self.heads)
        hidden = hidden + attention(nn.LayerNorm()(hidden), mask=mask)
        wide = nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(hidden)))
        return hidden + nn.Dense(width)(wide)


class TextNetwork(nn.Module):
    """A character transformer: what comes next, at every place at once."""

    characters: int
    width: int = 32
    blocks: int = 1
    heads: int = 2

    @nn.compact
    def __call__(self, codes: jax.Array) -> jax.Array:
        """Give one logit for each character of the alphabet at each place."""
        place = self.param(
            "place", nn.initializers.normal(0.02), (codes.shape[-1], self.width)
        )
        hidden = nn.Embed(self.characters, self.width)(codes) + place
        for _ in range(self.blocks):
            hidden = Block(self.heads)(hidden)
        return nn.Dense(self.characters)(nn.LayerNorm()(hidden))


class RecurrentNetwork(nn.Module):
    """An LSTM over characters: what comes next, one place after the other."""

    characters: int
    width: int = 32

    @nn.compact
    def __call__(self, codes: jax.Array) -> jax.Array:
        """Give one logit for each character of the alphabet at each place."""
        hidden = nn.Embed(self.characters, self.width)(codes)
        hidden = nn.RNN(nn.OptimizedLSTMCell(self.width))(hidden)
        return nn.Dense(self.characters)(hidden)


class BagNetwork(nn.Module):
    """A linear layer over a bag of features, of which an example has few."""

    buckets: int
    classes: int

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Give the logits of (batch, features) numbers of buckets: sums of rows."""
        rows = nn.Embed(
            self.buckets, self.classes, embedding_init=nn.initializers.zeros
        )
        return rows(features).sum(axis=-2)
