"""Linear algebra: iterations on matrices."""

from gradtx.linalg.eigen import power_iteration as power_iteration
from gradtx.linalg.nonnegative import nnls as nnls
from gradtx.linalg.orthogonal import newton_schulz as newton_schulz
from gradtx.linalg.roots import matrix_inverse_pth_root as matrix_inverse_pth_root
