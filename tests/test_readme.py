"""What the README says is so."""

import pathlib
import re

from tfgen.registry import markdown_table

CHECKOUT = pathlib.Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_models_is_the_registry():
    table = re.search(r"<!-- models:[^\n]*-->\n(.*?)\n<!-- /models -->", README, re.DOTALL).group(1)
    assert table == markdown_table(), "write the output of `tfgen list --markdown` between the marks"


def test_every_file_that_is_linked_exists():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", prose)
    assert links
    assert [link for link in links if not (CHECKOUT / link).exists()] == []


def test_the_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second, third = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    # As printed, but for the width and the number of epochs.
    shorter = first.replace("epochs=12", "epochs=1").replace("width=32, blocks=3", "width=4, blocks=1")
    assert shorter != first
    names = {}
    exec(shorter, names)
    assert names["images"].shape == (16, 8, 8, 1)
    exec(second, names)
    exec(third, names)
