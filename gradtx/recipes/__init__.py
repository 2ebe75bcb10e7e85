"""Recipes: routing, schedule, decay and averaging in one, ready to train with."""

from gradtx.recipes.muon_adamw import muon_adamw as muon_adamw
