"""The audit of traffic: it counts what a compiled program moves, and says so."""

import fnmatch
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from rich.console import Console

import gradtx

ADDS = """
HloModule adds, is_scheduled=true

%both (p.0: f32[100], p.1: f32[100]) -> (f32[100], bf16[100]) {
  %p.0 = f32[100]{0} parameter(0)
  %p.1 = f32[100]{0} parameter(1)
  %sum = f32[100]{0} add(f32[100]{0} %p.0, f32[100]{0} %p.1), metadata={op_name="a(b)"}
  %less = bf16[100]{0} convert(%sum)
  ROOT %t = (f32[100]{0}, bf16[100]{0}) tuple(%sum, %less)
}

ENTRY %main (a: f32[100], b: f32[100]) -> (f32[100], /*index=1*/bf16[100]) {
  %a = f32[100]{0} parameter(0)
  %b = f32[100]{0} parameter(1)
  ROOT %f = (f32[100]{0}, /*index=1*/bf16[100]{0}) fusion(%a, %b), calls=%both
}
"""

BRANCHES = """
HloModule branches

%idle (x.0: (f32[100])) -> f32[100] {
  %x.0 = (f32[100]{0}) parameter(0)
  ROOT %out.0 = f32[100]{0} get-tuple-element(%x.0), index=0
}

%busy (x.1: (f32[100])) -> f32[100] {
  %x.1 = (f32[100]{0}) parameter(0)
  %in.1 = f32[100]{0} get-tuple-element(%x.1), index=0
  ROOT %out.1 = f32[100]{0} negate(%in.1)
}

ENTRY %main (q: pred[], a: f32[100]) -> f32[100] {
  %q = pred[] parameter(0)
  %a = f32[100]{0} parameter(1)
  %given = (f32[100]{0}) tuple(%a)
  %first = f32[100]{0} conditional(%q, %given, %given), HOW
  %again = (f32[100]{0}) tuple(%first)
  %second = f32[100]{0} conditional(%q, %again, %again), HOW
  ROOT %c = f32[100]{0} copy(%second)
}
"""

LOOP = """
HloModule loop

%body (s: (s32[], f32[10,100])) -> (s32[], f32[10,100]) {
  %s = (s32[], f32[10,100]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %m = f32[10,100]{1,0} get-tuple-element(%s), index=1
  %zero = s32[] constant(0)
  %row = f32[1,100]{1,0} dynamic-slice(%m, %i, %zero), dynamic_slice_sizes={1,100}
  %new = f32[10,100]{1,0} dynamic-update-slice(%m, %row, %i, %zero)
  ROOT %t = (s32[], f32[10,100]{1,0}) tuple(%i, %new)
}

%more (s: (s32[], f32[10,100])) -> pred[] {
  %s = (s32[], f32[10,100]{1,0}) parameter(0)
  ROOT %yes = pred[] constant(true)
}

ENTRY %main (s: (s32[], f32[10,100])) -> (s32[], f32[10,100]) {
  %s = (s32[], f32[10,100]{1,0}) parameter(0)
  ROOT %w = (s32[], f32[10,100]{1,0}) while(%s), condition=%more, body=%body, TRIPS
}
"""

SLICES = """
HloModule slices

%row (m: f32[10,100], new: f32[100], i: s32[]) -> f32[10,100] {
  %m = f32[10,100]{1,0} parameter(0)
  %new = f32[100]{0} parameter(1)
  %i = s32[] parameter(2)
  %zero = s32[] constant(0)
  %old = f32[1,100]{1,0} dynamic-slice(%m, %i, %zero), dynamic_slice_sizes={1,100}
  %flat = f32[100]{0} bitcast(%old)
  %sum = f32[100]{0} add(%flat, %new)
  %back = f32[1,100]{1,0} bitcast(%sum)
  ROOT %put = f32[10,100]{1,0} dynamic-update-slice(%m, %back, %i, %zero)
}

ENTRY %main (m: f32[10,100], new: f32[100], i: s32[]) -> f32[10,100] {
  %m = f32[10,100]{1,0} parameter(0)
  %new = f32[100]{0} parameter(1)
  %i = s32[] parameter(2)
  ROOT %f = f32[10,100]{1,0} fusion(%m, %new, %i), kind=kLoop, calls=%row
}
"""

NEAR = """
HloModule near

ENTRY %main (a: f32[1024]) -> f32[1024] {
  %a = f32[1024]{0:T(1024)} parameter(0)
  %go = (f32[1024]{0:T(1024)S(1)}, f32[1024]{0:T(1024)}, u32[]{:S(2)}) copy-start(%a)
  %near = f32[1024]{0:T(1024)S(1)} copy-done(%go)
  %n = f32[1024]{0:T(1024)S(1)} negate(%near)
  %e = f32[1024]{0:T(1024)S(1)} exponential(%n)
  ROOT %out = f32[1024]{0:T(1024)} add(%e, %near)
}
"""


@pytest.fixture
def cost(part: Any) -> Any:
    """Return the cost of a program's text."""
    return lambda text: part("audit.moved").cost_of(part("audit.hlo").parse(text))


def test_a_fusion_moves_its_operands_and_results(cost: Any) -> None:
    """What happens inside a fusion stays out of memory, and it is one kernel."""
    assert cost(ADDS).least == (800, 400 + 200, 1)


@pytest.mark.parametrize(
    "how",
    [
        "branch_computations={%idle, %busy}",
        "true_computation=%busy, false_computation=%idle",
    ],
)
def test_branches_are_counted_apart(cost: Any, how: str) -> None:
    """Of a conditional each branch is a way of its own; the rest is always done."""
    found = cost(BRANCHES.replace("HOW", how))
    assert found.least == (400, 400, 1)
    assert found.most == (1200, 1200, 3)


def test_a_loop_counts_with_all_its_rounds(cost: Any) -> None:
    """A body's slices are read and written once a round."""
    known = 'backend_config={"known_trip_count":{"n":"7"}}'
    found = cost(LOOP.replace("TRIPS", known))
    # The indices are two numbers of 4 bytes in either instruction.
    assert found.least == (7 * (400 + 8 + 400 + 8), 7 * (400 + 400), 14)
    assert found.maybe == ()


def test_a_loop_of_unknown_rounds_may_be_left_out(cost: Any) -> None:
    """Such a loop runs once or not at all; of two, just one may be asked for."""
    once, row = (400 + 8 + 400 + 8, 400 + 400, 2), LOOP.replace(", TRIPS", "")
    found = cost(row)
    assert len(found.maybe) == 1
    assert (found.least, found.most) == ((0, 0, 0), once)
    small = "%two = (s32[], f32[10,100]) while(%s), condition=%more, body=%small\n"
    more = row.replace("  ROOT %w", f"  {small}  ROOT %w").replace(
        "%body (s",
        """%small (s: (s32[], f32[10,100])) -> (s32[], f32[10,100]) {
  %s = (s32[], f32[10,100]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%s), index=0
  %j = s32[] negate(%i)
  %m = f32[10,100]{1,0} get-tuple-element(%s), index=1
  ROOT %t = (s32[], f32[10,100]{1,0}) tuple(%j, %m)
}

%body (s""",
    )
    found = cost(more)
    assert found.one_loop(min) == (4, 4, 1)
    assert found.one_loop(max) == once
    assert found.most == tuple(x + y for x, y in zip(once, (4, 4, 1), strict=True))


def test_a_fusion_reads_only_the_slice_it_takes(cost: Any) -> None:
    """A row that is taken and put back in place moves a row, not the matrix."""
    assert cost(SLICES).least == (400 + 400 + 4, 400, 1)


def test_only_main_memory_counts(cost: Any) -> None:
    """What lies in a scratchpad costs nothing but the way there and back."""
    assert cost(NEAR).least == (4096, 4096, 4)


def test_a_text_without_an_entry_is_refused(part: Any) -> None:
    """What is not a compiled program is refused with a sentence."""
    with pytest.raises(ValueError, match="no ENTRY computation"):
        part("audit.hlo").parse("module @jit_f {}")


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("pred[8]", 8),
        ("bf16[2,4]{1,0}", 16),
        ("(f8e4m3fn[8], s4[4])", 10),
        ("c64[]", 8),
        ("token[]", 0),
    ],
)
def test_widths(part: Any, kind: str, size: float) -> None:
    """A type's name says how many bits its numbers take."""
    assert part("audit.hlo").nbytes(kind) == size


@pytest.mark.parametrize("wrap", [lambda tx: tx, gradtx.apply_if_finite])
def test_the_count_is_the_compilers_own(cost: Any, wrap: Any) -> None:
    """The way that moves most is what XLA's own analysis counts."""
    inner = gradtx.adam(1e-3)
    tx = wrap(inner) if wrap is not gradtx.apply_if_finite else wrap(inner, 3)
    p = jax.ShapeDtypeStruct((1000,), jnp.float32)

    def step(g: Any, p: Any, state: Any) -> Any:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    jitted = jax.jit(step, donate_argnums=(1, 2))
    compiled = jitted.lower(p, p, jax.eval_shape(tx.init, p)).compile()
    theirs = compiled.cost_analysis()["bytes accessed"]
    assert cost(compiled.as_text()).most.moved == pytest.approx(theirs, rel=0.02)


@pytest.mark.exhaustive
def test_lower_bounds_follow_from_the_arrays(part: Any) -> None:
    """Each array that is needed is read once, each that changes is written once."""
    cases, compiling = part("audit.cases"), part("audit.compiling")
    target, known = part("audit.targets").load("cpu"), cases.cases()
    expected = {
        "sgd": 12,
        "adamw": 28,
        "amsgrad": 36,
        "adan": 44,
        "lamb": 40,
        "novograd": 24,
        "dog": 24,  # the start is read and stays
        "clip_by_global_norm, adamw": 32,
        "cautious(adamw), rescale=None": 28,
        "mars without a bound, adamw": 36,
        "average(adamw)": 36,
        "ema_nesterov(adamw)": 36,
        "primal_averaging(adamw)": 36,
    }
    for name, bound in expected.items():
        leaf = known[name].leaf(1 << 12)
        (way,) = compiling.figures(known[name], gradtx, target, leaf)
        assert way["lower bound"] == pytest.approx(bound, abs=0.05), name
        assert way["B/param"] >= 0.99 * bound, name
    for name, bounds in {
        "MultiSteps(adamw, 4)": (12, 36),
        "lookahead(adam, 5)": (28, 36),
        "average(adamw), every 8": (28, 36),
        "average(adamw), every 8, single pass": (28, 36),
        "outer_nesterov(adamw)": (28, 44),
        "outer_nesterov(adamw), single pass": (28, 44),
    }.items():
        leaf = known[name].leaf(1 << 12)
        ways = compiling.figures(known[name], gradtx, target, leaf)
        found = [way["lower bound"] for way in ways]
        assert found == pytest.approx(bounds, abs=0.05)


def test_the_tables_of_ways_name_rows(part: Any) -> None:
    """A way belongs to a row that is audited."""
    cases = part("audit.cases")
    names = cases.cases()
    steps = [f"{x} {way}".strip() for x in names for way, *_ in names[x].ways()]
    for pattern in cases.TWO_WAYS:
        assert fnmatch.filter(names, pattern), pattern
    for pattern in cases.UNBOUNDED:
        assert fnmatch.filter(steps, pattern), pattern


def test_optax_is_audited_with_the_same_rows(part: Any) -> None:
    """A row is optax's function of the same name, and what it lacks refuses."""
    cases = part("audit.cases").cases()
    params = {"w": jnp.ones(3)}
    state = cases["adamw"].build(optax).init(params)
    assert type(state[0]) is optax.ScaleByAdamState
    ours = cases["adamw"].build(gradtx).init(params)
    assert type(ours[0]) is gradtx.ScaleByAdamState
    assert callable(cases["muon"].build(optax).update), "it is in optax.contrib"
    with pytest.raises(LookupError, match="made of several functions"):
        cases["accumulate"].build(optax)
    with pytest.raises(AttributeError, match="soap"):
        cases["soap"].build(optax)


def test_a_small_run_leaves_its_figures(tmp_path: Path, run: Any) -> None:
    """A run writes its tables, and figures that agree with each other."""
    done = run(
        "traffic.py",
        *("--target", "cpu", "--rows", "sgd", "lookahead, r*", "accumulate"),
        *("--size", "4096", "--out", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "ways within 2% of their lower bound" in done.stdout
    assert "| sgd" in (tmp_path / "tables.md").read_text()
    rows = json.loads((tmp_path / "traffic.json").read_text())["rows"]
    ours = [row for row in rows if row["by"] == "gradtx"]
    assert [(row["row"], row["way"]) for row in ours] == [
        ("sgd", ""),
        ("lookahead, reset", "exploring"),
        ("lookahead, reset", "synchronising"),
        ("accumulate", "adding"),
        ("accumulate", "stepping"),
    ]
    sgd = ours[0]
    assert sgd["read"] == pytest.approx(8, abs=0.05)
    assert sgd["written"] == pytest.approx(4, abs=0.05)
    assert sgd["ratio"] == pytest.approx(1, abs=0.02)
    assert min(sgd[f"{stage} s"] for stage in ("trace", "lower", "compile")) > 0
    theirs = [row for row in rows if row["by"] == "optax"]
    assert theirs[0]["lower bound"] == sgd["lower bound"]
    assert theirs[-1]["why"].startswith("LookupError: accumulate")


def test_a_compiler_that_is_not_there_is_told(
    part: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a target's compiler the script says how to install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    targets = part("audit.targets")
    for name, package in {"tpu": "libtpu", "cuda": r"jax\[cuda13\]"}.items():
        with pytest.raises(targets.Absent, match=f"pip install '{package}'"):
            targets.load(name)
    with pytest.raises(SystemExit) as stop:
        part("traffic")._loaded(["tpu"], Console())  # noqa: SLF001
    assert stop.value.code == 1
    assert "--target tpu" in capsys.readouterr().out
