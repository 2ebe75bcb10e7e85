"""Saving: transformations as plain data and by name, states carried to another one."""

from gradtx.saving.config import from_config as from_config, to_config as to_config
from gradtx.saving.migrate import Changes as Changes, migrate as migrate
from gradtx.saving.names import get as get, list_optimizers as list_optimizers
