"""PyTorch's optimizers on the same tree: fused where it has that, else foreach."""

import inspect
from types import ModuleType
from typing import Any

import jax
import numpy as np

from benchmarks.methods import RATE, Method

SYNCHRONISED = {
    "cpu": "cpu",
    "gpu": "cuda",
}  # JAX's platform, and torch's device for it


def load() -> tuple[ModuleType | None, str]:
    """Return torch, or None and the reason why it is left out."""
    platform = jax.default_backend()
    if platform not in SYNCHRONISED:
        return None, f"PyTorch is left out: it has no {platform}"
    try:
        import torch  # noqa: PLC0415  (it may be missing)
    except ImportError:
        return None, "PyTorch is left out: it is not installed"
    if platform == "gpu" and not torch.cuda.is_available():
        return None, "PyTorch is left out: this one cannot use the GPU"
    return torch, ""


class TorchProgram:
    """One optimizer of PyTorch; called with a number, it makes so many steps."""

    def __init__(
        self, torch: ModuleType, method: Method, params: Any, grads: Any
    ) -> None:
        name, settings = method.torch or ("", {})
        device = SYNCHRONISED[jax.default_backend()]
        self._wait = torch.cuda.synchronize if device == "cuda" else _nothing
        self._params = []
        for key, value in params.items():
            p = _tensor(torch, value, device).requires_grad_()
            p.grad = _tensor(torch, grads[key], device)
            self._params.append(p)
        kind = getattr(torch.optim, name)
        fused = "fused" in inspect.signature(kind).parameters
        self.kernel = "fused" if fused else "foreach"
        self._optimizer = kind(self._params, lr=RATE, **settings, **{self.kernel: True})

    @property
    def state_bytes(self) -> float:
        """Return the bytes of state per parameter, once a step has been made."""
        kept = sum(
            x.numel() * x.element_size()
            for p in self._params
            for x in self._optimizer.state[p].values()
            if hasattr(x, "numel")
        )
        return kept / sum(p.numel() for p in self._params)

    def __call__(self, steps: int) -> None:
        """Make so many steps with the same gradients."""
        for _ in range(steps):
            self._optimizer.step()
        self._wait()


def _tensor(torch: ModuleType, value: Any, device: str) -> Any:
    return torch.from_numpy(np.array(value)).to(device)


def _nothing() -> None:
    """Wait for nothing: on a CPU the step is done when it returns."""
