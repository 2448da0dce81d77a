"""The built wheel, as a user installs it."""

import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest

CHECKOUT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, CHECKOUT], check=True)
    return next(folder.glob("tfgen-*.whl"))


@pytest.mark.slow
def test_a_wheel_installs_into_a_fresh_environment_and_imports_outside_of_the_checkout(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    # The dependencies come from this environment; its own tfgen does not, since a .pth file inside it is not read.
    site = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    pathlib.Path(site.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    program = (
        "import tfgen, tfgen.zoo, tfgen.export\n"
        "model = tfgen.create('vae', image_shape=(8, 8, 1), levels=2, latent_size=2, hidden=(4,))\n"
        "print(tfgen.__file__, tfgen.zoo.__file__, model.sample(2).shape)"
    )
    answer = subprocess.check_output([python, "-c", program], text=True, cwd=tmp_path)
    assert str(tmp_path / "venv") in answer
    assert str(CHECKOUT) not in answer
    assert "(2, 8, 8, 1)" in answer


@pytest.mark.slow
def test_a_wheel_holds_one_import_root_with_every_module_of_the_three_folders(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    assert {name.split("/")[0] for name in held} == {"tfgen"}
    expected = {str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "tfgen").rglob("*.py")}
    for folder in ("zoo", "export"):
        expected |= {f"tfgen/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / folder).rglob("*.py")}
    assert held == expected
