"""What must not be imported before it is needed."""

import subprocess
import sys

HEAVY = ("tensorflow", "keras", "numpy", "sklearn", "tensorflow_datasets", "PIL", "rich")


def imported_by(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    answer = subprocess.check_output([sys.executable, "-c", program], text=True)
    return {name.split(".")[0] for name in answer.split()}


def test_the_package_imports_nothing_heavy():
    assert not imported_by("import tfgen") & set(HEAVY)


def test_listing_the_zoo_imports_nothing_heavy():
    assert not imported_by("import tfgen; assert tfgen.list_models()") & set(HEAVY)


def test_the_command_line_imports_nothing_heavy_before_it_knows_what_to_do():
    assert not imported_by("import tfgen.cli") & set(HEAVY)
