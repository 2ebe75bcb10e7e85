"""Benchmarks: step and compile time, memory traffic, small leaves, low precision.

Each is a script: ``python benchmarks/step_time.py --help``.
"""
