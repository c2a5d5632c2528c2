"""The package: what pip installs is what README's command installs, and the model in the box comes along."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no reader of TOML")
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_pip_installs_what_requirements_txt_names():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(PROJECT["project"]["dependencies"]) == sorted(line for line in lines if not line.startswith("#"))


def test_files_of_the_model_in_the_box_are_in_the_wheel():
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    own = {str(path.relative_to(ROOT)) for path in (ROOT / "checkpoints").glob("fruits*.*")}
    assert own and own <= set(included)


def test_an_installed_package_brings_the_commands_and_the_model_in_the_box(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    where = (
        "from var.checkpoints.box import default_folder; from var.checkpoints.folder import list_checkpoints as found; "
    )
    code = where + "print(*(entry.label for entry in found(default_folder())))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True)
    assert done.stdout.split() == [path.name for path in (ROOT / "checkpoints").glob("fruits*.pth")]
    assert (tmp_path / "site" / "var" / "py.typed").is_file()
    commands = next((tmp_path / "site").glob("*.dist-info/entry_points.txt")).read_text(encoding="utf-8")
    assert "var = var.__main__:main" in commands and "var-demo = var.ui.app:main" in commands
