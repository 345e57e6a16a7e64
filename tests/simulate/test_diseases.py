"""Any disease behind one protocol: the registry, one from outside, what is refused, and who knows whose words."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from progression_cases import DELAYED, plain, text

from equipoise.errors import ScenarioError
from equipoise.simulate import DiseasePackage, Mechanism, Scenario, Simulator, disease, disease_names, load_scenario
from equipoise.simulate import diseases as registry
from equipoise.simulate.scenario import parse_scenario
from equipoise.simulate.simulator import typical_course

TREMOR = '''
"""A disease of another package: a normal score that worsens by a point a month."""
import numpy as np
from typing import Literal
from equipoise.files import Frozen
from equipoise.simulate import DiseasePackage, Mechanism
from equipoise.simulate.simulator import Simulator
from equipoise.trial import EventTimes, Trials

class Group(Frozen):
    mean: float
class Disease(Frozen):
    sd: float
class Effect(Frozen):
    mechanism: Literal[Mechanism.NONE, Mechanism.SLOWING]
    share: float = 0.0
class Admission(Frozen):
    pass

class TremorSimulator(Simulator):
    @classmethod
    def prepared(cls, scenario, mechanism, *, imbalance, **options):
        return cls(scenario, mechanism, imbalance)

    def block(self, seed, first, n_trials):
        protocol = self.scenario.protocol
        groups, disease, effect = self.scenario.under(self.mechanism)
        weeks, n = np.array(protocol.visits, dtype=float), protocol.n
        arm = np.tile(np.arange(n) % 2, (n_trials, 1)).astype(np.int8)
        y = np.empty((n_trials, n, len(weeks)))
        for i in range(n_trials):
            draw = np.random.Generator(np.random.Philox(key=[seed, 1], counter=[0, 0, 0, first + i]))
            y[i] = disease.sd * draw.standard_normal((n, len(weeks)))
        mean = next(iter(groups.values())).mean
        y += mean + weeks / 4 * (1 - effect.share * arm[:, :, None])
        alive = np.full(arm.shape, weeks[-1])
        none = np.zeros(arm.shape, bool)
        return Trials(arms=protocol.arms, sets=tuple(protocol.groups), weeks=weeks, seed=seed, first_replicate=first,
            arm=arm, group=np.zeros_like(arm), covariates={}, outcomes={"TREMOR": y},
            events={"death": EventTimes(alive, none, parameter="DEATH")}, last_week=alive, entered_extension=none,
            adverse_events={}, main_outcome="TREMOR")

PACKAGE = DiseasePackage(
    name="tremor", title="a score", group=Group, disease=Disease, effect=Effect, admission=Admission,
    mechanisms=frozenset({Mechanism.NONE, Mechanism.SLOWING}), channels={"SCORE": "the score"},
    strata=lambda groups: (), covariates=lambda groups, run_in: (), better=lambda scenario, channel: -1,
    check=lambda scenario: None, simulator="tremor_disease:TremorSimulator",
)
'''

SCENARIO = """
name: outside
default_mechanism: slowing
protocol:
  arms: [placebo, drug]
  ratio: [1, 1]
  groups: {ALL: 40}
  strata: []
  visits: [0, 12, 24]
  period_end: 24
  dosing: {regimen: daily, randomised: [drug]}
outcomes: {TREMOR: SCORE}
groups: {ALL: {mean: 20}}
disease: {model: tremor, sd: 2}
mechanisms:
  slowing: {effect: {mechanism: slowing, share: 0.5}}
plan:
  analyses:
  - id: w24
    population: ITT
    dataset: ADEFF
    parameter: TREMOR
    where: {AVISITN: 24}
    sections: [{method: ancova, formula: CHG ~ TRT01P + BASE}]
  order: [w24.ancova]
"""

USE = """
from pathlib import Path
from equipoise.run import operating_characteristics
from equipoise.simulate import disease_names, load_scenario, scenario_text
from equipoise.simulate.scenario import parse_scenario
if REGISTERED:
    import tremor_disease
    from equipoise import register_disease
    register_disease(tremor_disease.PACKAGE)
    register_disease(tremor_disease.PACKAGE)
assert disease_names() == ("als", "progression", "tremor"), disease_names()
scenario = load_scenario("outside.yaml")
assert parse_scenario(scenario_text(scenario), "again") == scenario
made = operating_characteristics(scenario, replicates=4)
print(round(made.of("difference", arm="drug").mean))
print(scenario.favours("w24.ancova"))
"""


@pytest.mark.parametrize("registered", [True, False], ids=["register", "entry point"])
def test_independent_a_package_of_its_own_adds_a_disease(registered: bool, tmp_path: Path) -> None:
    """A scenario of a disease that we know nothing of is read, written, simulated and analysed by a plan."""
    (tmp_path / "tremor_disease.py").write_text(TREMOR, encoding="utf-8")
    (tmp_path / "outside.yaml").write_text(SCENARIO, encoding="utf-8")
    if not registered:
        about = tmp_path / "tremor-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tremor\nVersion: 1.0\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(
            "[equipoise.diseases]\ntremor = tremor_disease:PACKAGE\n", encoding="utf-8"
        )
    code = f"import sys; sys.path.insert(0, '.'); REGISTERED = {registered}\n{USE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["-3", "-1"]


def test_property_an_unknown_disease_is_refused_with_the_list() -> None:
    with pytest.raises(ScenarioError, match="no disease 'gout'; there are als, progression"):
        disease("gout")
    with pytest.raises(ScenarioError) as told:
        parse_scenario(text(disease__model="gout"), "mine.yaml")
    said = str(told.value)
    assert "mine.yaml" in said
    assert "disease.model: there is no disease 'gout'; there are als, progression" in said
    line = 1 + text(disease__model="gout").splitlines().index("  model: gout")
    assert f"line {line}, column 3" in said


def test_property_a_scenario_without_a_model_is_of_als() -> None:
    assert load_scenario("valor").package is disease("als")
    assert load_scenario("clarity_ad").package is disease("progression")
    assert {"als", "progression"} <= set(disease_names())
    # by its bare name, and by name among its parts
    with pytest.raises(ScenarioError, match="no 'ke0'"):
        parse_scenario(text(disease="als"), "mine.yaml")
    with pytest.raises(ScenarioError, match="no 'outcome'"):
        parse_scenario(text(disease="progression"), "mine.yaml")


def test_property_names_of_diseases_are_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    als = disease("als")
    with pytest.raises(ScenarioError, match="there is a disease 'als' already"):
        registry.register_disease(als)
    parts = {name: getattr(als, name) for name in DiseasePackage.__dataclass_fields__}
    with pytest.raises(ValueError, match="'none' must be among"):
        DiseasePackage(**{**parts, "mechanisms": frozenset({Mechanism.SLOWING})})
    monkeypatch.setattr(registry, "_REGISTERED", {})
    one = DiseasePackage(**{**parts, "name": "one"})
    registry.register_disease(one)
    with pytest.raises(ScenarioError, match="belongs to the disease 'one'"):
        registry.register_disease(DiseasePackage(**{**parts, "name": "two"}))
    with pytest.raises(ScenarioError, match="draws no typical course"):
        DiseasePackage(**{**parts, "typical_course": None}).course()


def test_property_entry_points_that_are_no_disease_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def __init__(self, thing: Any) -> None:
            self.thing = thing

        def load(self) -> Any:
            if isinstance(self.thing, Exception):
                raise self.thing
            return self.thing

    found = {"broken": Entry(ImportError("no module named x")), "wrong": Entry(3)}
    monkeypatch.setattr(registry, "_installed", lambda: found)
    with pytest.raises(ScenarioError, match="'broken' cannot be loaded from its package: no module named x"):
        disease("broken")
    with pytest.raises(ScenarioError, match=r"entry point 'wrong' of .* is no disease of that name"):
        disease("wrong")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"groups__ALL__maen": 3}, r"groups.ALL.maen: found the unknown key 'maen'.*'mean'\?"),
    ({"groups__ALL__course": {"form": "quadratic"}}, "groups.ALL.course.form: found 'quadratic'; expected one of"),
    ({"groups__ALL__course": {"form": "spline", "weeks": [0, 5, 3], "points": [0, 1, 2]}}, "week 3 follows week 5"),
    ({"groups__ALL__course": {"form": "spline", "weeks": [0, 5], "points": [0, 1, 2]}}, "3 for 2 weeks"),
    ({"groups__ALL__course": {"form": "spline", "weeks": [1, 5], "points": [0, 1]}}, "the first knot is week 0"),
    ({"groups__ALL__course": {"form": "exponential", "rate": 1}}, "give half_life"),
    ({"groups__ALL__rate_corr": 1.2}, "groups.ALL.rate_corr: found 1.2"),
    ({"groups__ALL__factors": {"lower": {"share": 0.5}}}, "groups.ALL.factors"),
    ({"disease__residual__sd": -1}, "disease.residual.sd: found -1"),
    ({"disease__outcome__direction": "up"}, "disease.outcome.direction: found 'up'; expected one of"),
    ({"disease__outcome": {"direction": "lower_better", "low": 5, "high": 5}}, "disease.outcome.low: the lowest"),
    ({"disease__event": {"hazard": 0.1, "per_point": 1}}, "disease.event.per_point: .*say at which"),
    ({"disease__event": {"hazard": 0.1, "fatal": False}}, "disease.event.fatal: death is fatal"),
    ({"mechanisms__waning": {"effect": {"mechanism": "waning"}}}, "mechanisms.waning: .* it has none, symptomatic"),
    ({"mechanisms__slowing__effect": {"mechanism": "slowing", "lag": 4}}, "effect.lag: only the mechanism 'lagged'"),
    ({"mechanisms__slowing__effect": {"mechanism": "slowing", "slowing": -0.1}}, "effect.slowing: .*'harm'"),
    ({"mechanisms__lagged__effect": {"mechanism": "lagged", "slowing": 0.5}}, "needs a lag above 0 weeks"),
    ({"mechanisms__none__effect": {"mechanism": "none", "gain": 1}}, "effect.gain: only 'symptomatic' and 'harm'"),
    ({"mechanisms__harm__effect": {"mechanism": "harm", "gain": 1}}, "effect.gain: .*no gain above 0"),
    ({"mechanisms__none__effect": {"mechanism": "none", "hazard_ratio": 0.5}}, "hazard_ratio: .*leave it out"),
    (
        {"mechanisms__slowing__effect": {"mechanism": "slowing", "slowing": 0.3, "by_dose": {5: 1.0}}},
        "by_dose: an effect by dose needs the doses",
    ),
    ({"mechanisms__slowing__effect": {"mechanism": "slowing", "slowing": 0.3, "ed50": 5}}, "ed50: .*needs the doses"),
    (
        {
            "protocol__dosing": {"regimen": "daily", "randomised": ["drug"], "doses": {"drug": 7}},
            "mechanisms__slowing__effect": {"mechanism": "slowing", "slowing": 0.3, "by_dose": {5: 1.0}},
        },
        "by_dose: no effect at the dose 7 of the arm 'drug'",
    ),
    ({"mechanisms__none__groups": {"ALL": {"course": {"rat": 2}}}}, "mechanisms.none.groups.ALL.*rat"),
    ({"outcomes": {"SCORE": "ALSFRS"}}, r"outcomes.SCORE: 'ALSFRS' is none of OUTCOME, MARKER"),
    ({"outcomes": {"NFL": "MARKER"}}, "outcomes: say once what the outcome is called"),
    ({"outcomes": {"SCORE": "OUTCOME", "M": "MARKER"}}, "groups.ALL: the marker is measured but not described"),
    ({"protocol__strata": ["E4FL"]}, "protocol.strata.* can be stratified by nothing"),
    ({"protocol__run_in": {"weeks": 4, "least_fall": 6, "most_fall": 5}}, "least_fall 6 exceeds most_fall 5"),
    ({"protocol__dosing": {"dose": 3, "randomised": {"drug": [0]}}}, "protocol.dosing: .*as an intake"),
    ({"protocol__dosing": {"regimen": "x", "randomised": ["drug"], "doses": {}}}, "no dose for the arm 'drug'"),
    ({"protocol__arms": ["placebo", "low", "high"]}, "ratio: 1:1 for 3 arms"),
    ({"protocol__arms": ["drug", "drug"]}, "an arm is listed twice"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[m[:40] for _, m in BAD])
def test_property_bad_data_are_refused_with_their_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=rf"(?s)mine\.yaml.*line \d+.*{message}"):
        parse_scenario(text(**change), "mine.yaml")


def test_property_als_takes_no_doses_of_an_intake() -> None:
    data = load_scenario("centaur").model_dump()
    data["protocol"]["dosing"]["doses"] = {"amx0035": 3.0, "placebo": 3.0}
    with pytest.raises(ValueError, match="an intake has no doses here"):
        Scenario.model_validate(data)


def test_property_als_takes_several_arms_with_doses_of_their_own(valor: Scenario) -> None:
    """A third arm at half the dose: half the trough; the first two arms of the kernel are as they were."""
    protocol = valor.protocol.model_dump()
    weeks = protocol["dosing"]["randomised"]["tofersen"]
    more = {
        "arms": ("placebo", "tofersen", "half"),
        "ratio": (1, 2, 2),
        "dosing": {"dose": {"placebo": 100.0, "tofersen": 100.0, "half": 50.0}, "randomised": {"tofersen": weeks}},
        "extension": None,
        "visits": (0.0, 12.0, 28.0),
        "follow_up": None,
    }
    more["dosing"]["randomised"]["half"] = weeks
    plan = valor.plan.only("alsfrs_f_w28")
    data = {**dict(valor), "protocol": {**protocol, **more}, "plan": plan, "adverse_events": {}, "external": ()}
    wide = Scenario.model_validate(data)
    full, half = (typical_course(wide, "F", arm, mechanism="lagged") for arm in ("tofersen", "half"))
    assert half["CSF"][28] == pytest.approx(0.5 * full["CSF"][28], rel=1e-12)
    assert half["CSF"][28] > 0
    assert full["CSF"][:28] == pytest.approx(typical_course(valor, "F", "tofersen", mechanism="lagged")["CSF"][:28])


def test_property_scenarios_travel_to_other_processes(valor: Scenario) -> None:
    for scenario in (valor, plain(**DELAYED)):
        again = pickle.loads(pickle.dumps(scenario))
        assert again == scenario
        assert again.package is scenario.package
        simulator = pickle.loads(pickle.dumps(Simulator.of(scenario)))
        one, other = (s.block(2, 3, 1).function for s in (simulator, Simulator.of(scenario)))
        np.testing.assert_array_equal(one, other)


def test_property_a_difference_in_the_drug_s_favour_has_a_known_sign(valor: Scenario) -> None:
    assert valor.favours("alsfrs_f_w28.ancova") == 1
    assert valor.favours("nfl_f_w28.ancova") == -1
    assert valor.favours("dthpv_itt_w28.log_rank") == -1
    assert plain().favours("end.mmrm") == 1
    assert load_scenario("clarity_ad").favours("cdrsb_m18.mmrm") == -1


def test_property_a_plan_may_name_the_end_points_of_a_disease(tmp_path: Path) -> None:
    """In a fresh process: those of the default disease, and one that a scenario declares, before its plan is read."""
    (tmp_path / "fall.yaml").write_text(text(disease__event={"parameter": "FALL", "hazard": 0.02}), encoding="utf-8")
    code = "import equipoise.simulate\nfrom equipoise.plan.end_points import name_of\nprint(name_of('DTHPV'))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "death_or_ventilation\n"
    )
    (tmp_path / "plan.yaml").write_text(
        "analyses:\n- {id: f, population: ITT, dataset: ADTTE, parameter: FALL, "
        "sections: [{method: survival, up_to: 28}]}\n"
        "order: [f.log_rank]\n",
        encoding="utf-8",
    )
    run = [sys.executable, "-m", "equipoise", "replicate", "fall.yaml", "--plan", "plan.yaml", "-n", "2", "-q"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "hazard_ratio:f" in done.stdout
