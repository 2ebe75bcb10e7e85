"""States of other libraries' optimizers, brought into states of this one."""
