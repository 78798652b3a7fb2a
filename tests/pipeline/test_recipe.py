"""Wiring components into a recipe, and changing their parameters by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from components.artifacts import EXAMPLES, FEATURES, MODEL, RECORDINGS
from components.base import Channel, Component, UserError
from pipeline.recipe import Recipe, apply_settings, demand_fit
from pipeline.recipes import keyword_spotting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    epochs: int = 1
    rate: float = 0.5
    name: str = "plain"
    widths: tuple[int, ...] = (16, 32)
    options: tuple[str, ...] = ()
    front_end: Literal["log_mel", "micro"] = "log_mel"
    verbose: bool = False
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError("epochs must be 1 or more")


class Gen(Component):
    INPUTS: ClassVar = {"recordings": RECORDINGS}
    OUTPUTS: ClassVar = {"examples": EXAMPLES}
    PARAMETERS = Parameters
    EXECUTOR = "nowhere:execute"


class Train(Component):
    INPUTS: ClassVar = {"examples": EXAMPLES}
    OPTIONAL_INPUTS: ClassVar = {"teacher": MODEL}
    OUTPUTS: ClassVar = {"model": MODEL}
    PARAMETERS = Parameters
    EXECUTOR = "nowhere:execute"


OUTSIDE = Channel(RECORDINGS, path=Path("data"))


def test_a_circle_is_named(gen):
    one = Train(None, "One", examples=gen.outputs["examples"], teacher=channel("Two"))
    two = Train(None, "Two", examples=gen.outputs["examples"], teacher=channel("One"))
    with pytest.raises(UserError, match=r"recipe try: .* in a circle: (One -> Two|Two -> One) -> "):
        Recipe("try", (gen, one, two))
    alone = Train(None, "Self", examples=gen.outputs["examples"], teacher=channel("Self"))
    with pytest.raises(UserError, match="in a circle: Self -> Self"):
        Recipe("try", (gen, alone))


def channel(producer: str, output: str = "model") -> Channel:
    return Channel(MODEL, producer=producer, output=output)


@pytest.mark.parametrize("producer", ["Teacher", "Gen"])
def test_an_output_that_nobody_makes_is_named_with_one_that_is_made(gen, producer):
    teacher = Train(None, "Teachers", examples=gen.outputs["examples"])
    train = Train(examples=gen.outputs["examples"], teacher=channel(producer))
    with pytest.raises(UserError) as caught:
        Recipe("try", (gen, teacher, train))
    assert f"Train.teacher takes {producer}.model, which nobody makes" in str(caught.value)
    assert "did you mean Teachers.model?" in str(caught.value) or producer == "Gen"


@pytest.fixture
def gen() -> Gen:
    return Gen(recordings=OUTSIDE)


def after(*settings: str) -> Any:
    """The parameters of a Train that `settings` were applied to."""
    gen = Gen(recordings=OUTSIDE)
    train = Train(examples=gen.outputs["examples"])
    apply_settings(Recipe("try", (gen, train)), settings)
    assert gen.parameters == Parameters()
    return train.parameters


def test_settings_that_hold_for_each_other_are_taken_in_any_order():
    recipe = keyword_spotting.recipe(Path("root"), Path("data"), ())
    apply_settings(recipe, ["Pruner.initial_sparsity=0.5", "Pruner.final_sparsity=0.6"])
    pruner = next(c for c in recipe.components if c.id == "Pruner")
    assert (pruner.parameters.initial_sparsity, pruner.parameters.final_sparsity) == (0.5, 0.6)
    with pytest.raises(
        UserError, match=r"--set Pruner\.final_sparsity=0\.4: initial_sparsity must"
    ):
        apply_settings(recipe, ["Pruner.final_sparsity=0.4"])


def test_a_recipe_holds_components_in_an_order_that_works(gen):
    train = Train(examples=gen.outputs["examples"])
    again = Train(None, "Again", examples=gen.outputs["examples"], teacher=train.outputs["model"])
    assert [c.id for c in Recipe("try", (gen, train, again)).components] == [
        "Gen",
        "Train",
        "Again",
    ]


def test_two_components_of_one_name_are_refused(gen):
    twice = [Train(examples=gen.outputs["examples"]) for _ in range(2)]
    with pytest.raises(UserError, match="two components are called Train"):
        Recipe("try", (gen, *twice))


def test_a_component_before_what_it_needs_is_refused(gen):
    with pytest.raises(UserError, match="Train needs Gen before it"):
        Recipe("try", (Train(examples=gen.outputs["examples"]), gen))


def test_a_component_without_its_producer_is_refused(gen):
    with pytest.raises(UserError, match=r"Train.examples takes Gen.examples, which nobody makes"):
        Recipe("try", (Train(examples=gen.outputs["examples"]),))


def test_wrong_wires_are_refused_where_they_are_made(gen):
    with pytest.raises(TypeError, match=r"Train: not wired: \['examples'\]"):
        Train()
    with pytest.raises(TypeError, match="Train has no input 'sound'"):
        Train(examples=gen.outputs["examples"], sound=OUTSIDE)
    with pytest.raises(TypeError, match=r"Train\.examples takes Examples, not Features"):
        Train(examples=Channel(FEATURES, path=Path("features")))
    with pytest.raises(TypeError, match="parameters must be a Parameters"):
        Train({"epochs": 3}, examples=gen.outputs["examples"])


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("epochs=40", "epochs", 40),
        ("rate=1", "rate", 1.0),
        ("rate=1e-3", "rate", 0.001),
        ("name=12", "name", "12"),
        ("name=a=b", "name", "a=b"),
        ("name=", "name", ""),
        ("widths=8", "widths", (8,)),
        ("widths=[8, 16]", "widths", (8, 16)),
        ("widths=[]", "widths", ()),
        ("widths=8,16", "widths", (8, 16)),
        ("options=", "options", ()),
        ("options=5,true", "options", ("5", "true")),
        ("options=--a,--b=1", "options", ("--a", "--b=1")),
        ("options=[\"--a=1,2\"]", "options", ("--a=1,2",)),
        ("front_end=micro", "front_end", "micro"),
        ("verbose=true", "verbose", True),
        ("limit=null", "limit", None),
        ("limit=3", "limit", 3.0),
    ],
)  # fmt: skip
def test_a_value_is_read_as_the_parameter_is_declared(setting, name, value):
    found = getattr(after(f"Train.{setting}"), name)
    assert (found, type(found)) == (value, type(value))


def test_later_settings_win_and_the_others_stay():
    assert after("Train.epochs=2", "Train.rate=2", "Train.epochs=3") == Parameters(
        epochs=3, rate=2.0
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("Train.epochs", "write it as Component.parameter=value"),
        ("epochs=3", "write it as Component.parameter=value"),
        ("Trian.epochs=3", "no component Trian; did you mean Train?"),
        ("Zzz.epochs=3", "no component Zzz; there are Gen, Train"),
        ("Train.epoch=3", "Train has no parameter epoch; did you mean epochs?"),
        ("Train.zzz=3", "Train has no parameter zzz; there are"),
        ("Train.epochs=many", "'many' is not of type int"),
        ("Train.epochs=2.5", "2.5 is not of type int"),
        ("Train.epochs=true", "True is not of type int"),
        ("Train.epochs=0", "epochs must be 1 or more"),
        ("Train.rate=fast", "'fast' is not of type float"),
        ("Train.rate=NaN", "finite"),
        ("Train.rate=Infinity", "finite"),
        ("Train.widths=a,b", "'a' is not of type int"),
        ("Train.widths=8,", "'' is not of type int"),
        ("Train.widths=[8", "'[8' is not a list"),
        ("Train.front_end=mel", "must be one of log_mel, micro"),
        ("Train.front_end=[1]", "must be one of log_mel, micro"),
        ("Train.verbose=1", "1 is not of type bool"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(setting, said):
    with pytest.raises(UserError) as caught:
        after(setting)
    assert f"--set {setting}: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [None, Path("data")])
def test_the_keyword_recipe_is_wired_from_either_source(tmp_path, data):
    recipe = keyword_spotting.recipe(tmp_path, data, ("yes", "no"))
    ids = [component.id for component in recipe.components]
    assert ids[0] == ("SpeechSynthesizer" if data is None else "ExampleGen")
    assert ids[-1] == "Pusher"
    assert [c.id for c in recipe.components if c.GATED] == ["Pusher"]
    if data is None:
        assert recipe.components[0].parameters.keywords == ("yes", "no")


def test_a_gate_is_off_until_it_is_asked_for_and_then_measured_checked_and_packed(tmp_path):
    recipe = keyword_spotting.recipe(tmp_path, tmp_path, ("yes",))
    by_id = {component.id: component for component in recipe.components}
    assert by_id["GateTrainer"].parameters.widths == ()
    takers = {c.id for c in recipe.components if "gate" in c.inputs}
    assert takers == {"EarlyExit", "Evaluator", "Streamer", "InfraValidator", "Packager"}
    assert {by_id[taker].inputs["gate"].producer for taker in takers} == {"GateTrainer"}
    apply_settings(recipe, ["GateTrainer.widths=8,8"])
    assert by_id["GateTrainer"].parameters.widths == (8, 8)
    demand_fit(recipe)
    apply_settings(recipe, ["GateTrainer.widths=[]"])
    assert by_id["GateTrainer"].parameters.widths == ()


def test_an_early_exit_is_off_until_it_is_asked_for_and_not_beside_a_gate(tmp_path):
    recipe = keyword_spotting.recipe(tmp_path, tmp_path, ("yes",))
    by_id = {component.id: component for component in recipe.components}
    assert by_id["EarlyExit"].parameters.spend == 0.0
    takers = {c.id for c in recipe.components if "early_exit" in c.inputs}
    assert takers == {"Evaluator", "Streamer", "InfraValidator", "Packager"}
    apply_settings(recipe, ["EarlyExit.spend=0.4"])
    demand_fit(recipe)
    apply_settings(recipe, ["GateTrainer.widths=8,8"])
    with pytest.raises(UserError, match=r"not both: set EarlyExit.spend=0 or GateTrainer.widths"):
        demand_fit(recipe)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["EarlyExit.spend=0.4"], r"set EarlyExit.spend=0, or Streamer.form=sliding_window"),
        (["Evaluator.hop_frames=3"], r"hop_frames=3 frames, and .* multiples of 2: .*hop_frames=4"),
        (["Trainer.architecture=ds_cnn"], r"ds_cnn \(Trainer\) has no streaming form: .*resnet"),
        (["Evaluator.hop_frames=2", "GateTrainer.widths=8,8"], r"gate leaves windows out"),
    ],
)
def test_a_form_that_cannot_stream_is_refused_before_anything_is_trained(settings, said):
    recipe = keyword_spotting.recipe(Path("root"), Path("data"), ())
    apply_settings(recipe, ["Streamer.form=streaming", *settings])
    with pytest.raises(UserError, match=said):
        demand_fit(recipe)
    apply_settings(recipe, ["Trainer.architecture=streaming_resnet", "Evaluator.hop_frames=4"])
    apply_settings(recipe, ["GateTrainer.widths=[]", "EarlyExit.spend=0"])
    demand_fit(recipe)


_WIDE = "Converter.activations=int16"
_PLAIN = "Quantizer.method=post_training"
_REWOUND = ("Pruner.method=iterative", "Pruner.rewind=early")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([_WIDE], r"int16 takes a float model, and Quantizer.method=auto trains it"),
        ([_WIDE, "Quantizer.method=ternary"], r"Quantizer.method=ternary .*=post_training"),
        ([_WIDE, _PLAIN, "Trainer.members=2"], r"ends in a softmax.*set Trainer.members=1"),
        ([_WIDE, _PLAIN, "EarlyExit.spend=0.4"], r"EarlyExit.spend: an exit reads int8"),
        (
            ["EarlyExit.spend=0.4", "Trainer.members=2"],
            r"no single tensor .* 2 networks of Trainer",
        ),
        (["EarlyExit.spend=0.4", "Trainer.architecture=shufflenet"], r"shufflenet .* has no place"),
        ([*_REWOUND, "Trainer.members=2"], r"rewind=early: Trainer keeps no early .* 2 members"),
        ([*_REWOUND, "Trainer.rewind_epoch=14"], r"Trainer.rewind_epoch=14 is not before the end"),
        (["InfraValidator.targets=tfml"], r"InfraValidator.targets: .* 'tfml' \(did you mean tflm"),
        (
            ["TeacherTrainer.targets=gone.toml"],
            r"TeacherTrainer.targets: gone.toml: cannot be read",
        ),
        (
            ["InfraValidator.targets=edgetpu", "Trainer.architecture=mobilenet_v3"],
            r"Edge TPU is predicted not to take all of mobilenet_v3 \(Trainer\): .*one of bc_resnet",
        ),
    ],
)
def test_what_would_end_in_an_error_after_the_training_is_refused_before_it(settings, said):
    recipe = keyword_spotting.recipe(Path("root"), Path("data"), ())
    apply_settings(recipe, settings)
    with pytest.raises(UserError, match=said):
        demand_fit(recipe)


@pytest.mark.parametrize(
    "settings",
    [
        [_WIDE, _PLAIN],
        # The Quantizer hands that one on as it is.
        [_WIDE, "Trainer.architecture=mobilenet_v3"],
        [*_REWOUND, "Trainer.rewind_epoch=13"],
        ["EarlyExit.spend=0.4", "Trainer.architecture=squeezenet"],
        ["InfraValidator.targets=edgetpu"],
    ],
)
def test_what_fits_is_let_through(settings):
    recipe = keyword_spotting.recipe(Path("root"), Path("data"), ())
    apply_settings(recipe, settings)
    demand_fit(recipe)


def test_a_profile_of_ones_own_with_a_missing_key_is_refused_before_anything_runs(tmp_path):
    board = tmp_path / "board.toml"
    board.write_text('extends = "tflm"\nname = "board"\ntitle = "a board"\n')
    recipe = keyword_spotting.recipe(Path("root"), Path("data"), ())
    apply_settings(recipe, [f"InfraValidator.targets=tflm,{board}"])
    with pytest.raises(
        UserError, match=r"InfraValidator.targets: .*board.toml: source: is missing"
    ):
        demand_fit(recipe)


def test_widths_that_the_architecture_cannot_have_are_refused_before_its_teacher_is_trained():
    recipe = keyword_spotting.recipe(Path("root"), Path("data"), ())
    for architecture, widths, said in (
        ("squeezenet", "16,30", "multiples of 4"),
        ("shufflenet", "32,16", "rising multiples of 16"),
    ):
        settings = [f"{{}}.architecture={architecture}", f"{{}}.widths={widths}"]
        for step in ("Trainer", "GateTrainer"):
            with pytest.raises(UserError, match=said):
                apply_settings(recipe, [setting.format(step) for setting in settings])


@pytest.mark.parametrize(
    ("architecture", "method", "said"),
    [
        ("ds_cnn", "Pruner.method=heads", r"heads: ds_cnn has no attention heads: .*transformer"),
        ("keyword_transformer", "Pruner.method=filter", r"filter has no rule for keyword_trans"),
        ("mobilenet_v3", "Quantizer.method=ternary", r"ternary: some layers of mobilenet_v3 have"),
    ],
)
def test_a_method_that_does_not_fit_the_architecture_is_refused_by_name(
    architecture, method, said, tmp_path
):
    recipe = keyword_spotting.recipe(tmp_path, tmp_path, ("yes",))
    apply_settings(recipe, [f"Trainer.architecture={architecture}", method])
    with pytest.raises(UserError, match=method.partition("=")[0] + "=" + said):
        demand_fit(recipe)
    apply_settings(recipe, ["Trainer.architecture=streaming_resnet", "Pruner.method=magnitude"])
    demand_fit(recipe)
