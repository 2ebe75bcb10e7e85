"""Experimental: names are optax's, and move when optax's do."""

from gradtx.experimental import aggregating as aggregating
