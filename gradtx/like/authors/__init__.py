"""Optimizers as their authors published them.

``AdaBelief`` as adabelief-pytorch 0.2.1, ``Lion`` as google/automl and lion-pytorch,
``Lookahead`` as michaelrzhang/lookahead, ``Muon`` as KellerJordan/Muon,
``MoonlightMuon`` as MoonshotAI/Moonlight, ``DionMuon`` as microsoft/dion. The parameters are not given here but to
``tx.init(params)``.
"""

from gradtx.like.authors.adabelief import AdaBelief as AdaBelief
from gradtx.like.authors.lion import Lion as Lion
from gradtx.like.authors.lookahead import Lookahead as Lookahead
from gradtx.like.authors.muon import (
    DionMuon as DionMuon,
    MoonlightMuon as MoonlightMuon,
    Muon as Muon,
)
