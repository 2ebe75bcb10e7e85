"""Testing: the laws that every transformation keeps, for those who write their own."""

from gradtx.testing.check import BrokenLaw as BrokenLaw, check as check
