import inspect

import pytest

import tfgen
from tfgen.errors import InputError
from tfgen.registry import get_class, get_entry
from tfgen.training.arguments import check_arguments, constructor, is_conditional, parse_settings


@pytest.mark.parametrize("entry", tfgen.list_models(), ids=lambda entry: entry.id)
def test_what_is_read_from_the_file_is_what_python_says(entry):
    parameters = dict(inspect.signature(get_class(entry.id).__init__).parameters)
    del parameters["self"]
    parameters.pop("kwargs", None)
    found = constructor(entry)
    assert list(found) == list(parameters)
    for name, parameter in parameters.items():
        if found[name].literal is not None:
            assert found[name].literal == parameter.default
        assert (found[name].default is None) == (parameter.default is inspect.Parameter.empty)


@pytest.mark.parametrize("entry", tfgen.list_models(), ids=lambda entry: entry.id)
def test_every_argument_is_explained(entry):
    assert [name for name, argument in constructor(entry).items() if not argument.text] == []


@pytest.mark.parametrize("entry", tfgen.list_models(), ids=lambda entry: entry.id)
def test_every_recipe_could_be_typed(entry):
    for recipe in entry.recipes.values():
        check_arguments(entry, recipe["model"])


def test_an_explanation_over_two_lines_is_one_text():
    text = constructor(get_entry("pixel_cnn"))["head_width"].text
    assert text == "features of the two layers before the softmax (the paper: 1024 on CIFAR-10, 32 on MNIST)."


def test_settings_are_literals_or_strings():
    settings = ["width=32", "rate=1e-3", "hidden=(64, 64)", "flag=True", "kind=relu", "min-scale=-7.0", "none=None"]
    assert parse_settings(settings) == {
        "width": 32, "rate": 1e-3, "hidden": (64, 64), "flag": True, "kind": "relu", "min_scale": -7.0, "none": None,
    }  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), [
    (["width"], "expected name=value"), (["=3"], "expected name=value"), (["a=1", "a=2"], "given twice"),
])  # fmt: skip
def test_settings_that_are_none_are_said(settings, message):
    with pytest.raises(InputError, match=message):
        parse_settings(settings)


@pytest.mark.parametrize(
    ("id", "arguments", "message"),
    [
        ("dcgan", {"widht": 3}, "dcgan: unknown argument 'widht'; did you mean width"),
        ("dcgan", {"width": "a"}, "width='a', expected something like 64"),
        ("dcgan", {"width": 2.5}, "width=2.5"),
        ("dcgan", {"width": True}, "width=True"),
        ("vae", {"hidden": 3}, "hidden=3"),
        ("vae", {"example": 3}, "the data say what an example is"),
        ("vae", {"seed": 3}, "use --seed"),
        ("vae", {"dtype": "float16"}, "use --precision"),
    ],
)
def test_arguments_that_do_not_fit_are_said(id, arguments, message):
    with pytest.raises(InputError, match=message):
        check_arguments(get_entry(id), arguments)


def test_lists_go_for_tuples_and_whole_numbers_for_floats():
    check_arguments(get_entry("vae"), {"hidden": [3, 4], "likelihood": None})


@pytest.mark.parametrize(("id", "conditional"), [("vae", False), ("dcgan", False), ("gated_pixel_cnn", None)])
def test_conditional_models_are_told_by_their_label(id, conditional):
    assert is_conditional(get_entry(id)) is conditional
