"""Every recorded trajectory of an official program is followed to 1e-9."""

import frontier_cases
import numpy as np
import pytest

BOUND = 1e-9
KNOWN = frontier_cases.known_methods()
CASES = [
    pytest.param(case, id=f"{i}-{case['method']}")
    for i, case in enumerate(frontier_cases.recorded()["cases"])
    if case["method"] in KNOWN
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.one_in(26)
def test_recorded_trajectory(case: dict) -> None:
    """The parameters after every step are those of the program, to 1e-9."""
    file = frontier_cases.recorded()
    found = frontier_cases.follow(case, case.get("p0", file["p0"]), file["grads"])
    expected = case["traj"]
    for name, steps in expected.items():
        for t, theta in enumerate(steps):
            np.testing.assert_allclose(
                found[name][t],
                theta,
                rtol=0,
                atol=BOUND,
                err_msg=f"{name}, step {t + 1}",
            )
    for kind in ("eval_params", "look_ahead"):
        for name, steps in case.get(kind, {}).items():
            np.testing.assert_allclose(
                np.stack(found[kind][name]), np.asarray(steps), rtol=0, atol=BOUND
            )
