"""All that exists for a compiler: eager programs, jit_step, conditionals, fusion."""
