from pathlib import Path

import pytest

from components.base import UserError
from components.targets.profile import load_profile

BOARD = """
name = "board"
title = "a board"
source = "its data sheet"
fallback = "tflm"
[operators]
CONV_2D = [1, 3]
[rules]
dtypes = ["int8"]
max_rank = 4
float_tensors = "error"
dynamic_shapes = "error"
[budget]
arena_bytes = 20000
"""


def test_a_user_adds_her_own_profile(tmp_path: Path) -> None:
    file = tmp_path / "board.toml"
    file.write_text(BOARD)
    profile = load_profile(str(file))
    assert profile.operators == {"CONV_2D": (1, 3)}
    assert profile.budget.arena_bytes == 20_000
    assert profile.budget.macs is None
    assert profile.fallback is not None
    assert profile.fallback.name == "tflm"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_rank = 4", "", "rules.max_rank: is missing"),
        ("CONV_2D", "CONV2D", "no operator CONV2D (did you mean CONV_2D?)"),
        ("[1, 3]", "[3, 1]", "operators.CONV_2D must be"),
        ("arena_bytes", "arena_byte", "budget.arena_byte is not a key (did you mean arena_bytes?)"),
        ('["int8"]', '["int9"]', "no data type int9"),
        ('"tflm"', '"tflx"', "fallback: there is no target 'tflx'"),
        ("[rules]", "[rules", "is not TOML"),
        ("[budget]", f"[budget]\nmacs = {'[' * 5000}{']' * 5000}", "is not TOML"),
        ("arena_bytes = 20000", "arena_bytes = -1", "budget: arena_bytes must be above 0"),
        (
            "arena_bytes = 20000",
            "macs_per_second = 1\ninferences_per_second = 0.0",
            "budget: inferences_per_second must be above 0",
        ),
        ('float_tensors = "error"', 'float_tensors = "no"', "rules.float_tensors"),
    ],
)
def test_a_wrong_profile_is_refused_by_file_and_key(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(BOARD.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        load_profile(str(file))
    assert str(file) in str(caught.value)
    assert said in str(caught.value)
    assert ": :" not in str(caught.value)


def test_a_profile_that_extends_another_says_only_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "board.toml"
    own = 'extends = "tflm"\nname = "board"\ntitle = "a board"\nsource = "its data sheet"\n'
    file.write_text(own + "[rules]\nmax_rank = 4\n[operators]\nCONV_2D = [1, 3]\n")
    board, tflm = load_profile(str(file)), load_profile("tflm")
    assert board.operators == tflm.operators | {"CONV_2D": (1, 3)}
    assert (board.rules.max_rank, board.rules.dtypes) == (4, tflm.rules.dtypes)
    assert (board.name, board.interpreter) == ("board", "tflm")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('extends = "tflm"\nname = "board"\ntitle = "a board"', "source: is missing"),
        ('extends = "tfml"', "extends: there is no target 'tfml' (did you mean tflm?)"),
        ("extends = 3", "extends: there is no target 3"),
        ('extend = "tflm"', "extend is not a key (did you mean extends?)"),
    ],
)
def test_a_wrong_extension_is_refused_by_key(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "board.toml"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        load_profile(str(file))
    assert said in str(caught.value)


def test_an_unknown_target_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"did you mean tflm\?"):
        load_profile("tfml")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UserError, match=r"nowhere/board\.toml: cannot be read"):
        load_profile("nowhere/board.toml")
