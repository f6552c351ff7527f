"""requirements.txt is an exact, complete and portable lock, and it satisfies pyproject.toml."""

import itertools
import re
import tomllib
from importlib.metadata import distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux"},
    {"sys_platform": "darwin", "platform_system": "Darwin"},
)
# The GPU libraries of torch, which it chooses itself.
TORCH_BRINGS = re.compile(r"nvidia-|cuda-|triton")


@pytest.fixture(scope="module")
def lines(root):
    text = (root / "requirements.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def lock(lines):
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def environments():
    for python, system in itertools.product(PYTHONS, SYSTEMS):
        yield {
            "python_version": python,
            "python_full_version": f"{python}.5",
            "os_name": "posix",
            "extra": "",
            **system,
        }


def test_every_line_is_a_name_and_one_public_version(lines):
    form = re.compile(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*(; (python_version|sys_platform) == \"[a-z0-9.]+\")?")
    assert [line for line in lines if not form.fullmatch(line)] == []


def test_nothing_is_listed_twice(lines, lock):
    assert len(lock) == len(lines)


def test_torch_chooses_its_own_gpu_libraries(lock):
    assert [name for name in lock if TORCH_BRINGS.match(name)] == []


def test_lock_satisfies_the_project(lock, project):
    wanted = map(Requirement, project["dependencies"] + project["optional-dependencies"]["book"])
    for requirement in wanted:
        locked = lock[canonicalize_name(requirement.name)]
        version = next(iter(locked.specifier)).version
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} is locked at {version}"


def test_project_pins_nothing_exactly(project):
    for requirement in map(Requirement, project["dependencies"]):
        assert {spec.operator for spec in requirement.specifier} == {">="}, requirement


@pytest.mark.parametrize(
    ("name", "version"),
    [("numpy", "2.0.2"), ("scipy", "1.16.3"), ("torch", "2.11"), ("ipywidgets", "7.7.1"), ("ipython", "7.34")],
)
def test_project_admits_what_colab_has(project, name, version):
    requirement = next(r for r in map(Requirement, project["dependencies"]) if r.name == name)
    assert requirement.specifier.contains(version)


def test_installed_environment_is_the_lock(lock):
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}
    differing = {
        name: (str(requirement.specifier), installed.get(name))
        for name, requirement in lock.items()
        if (requirement.marker is None or requirement.marker.evaluate())
        and (name not in installed or Version(installed[name]).public != next(iter(requirement.specifier)).version)
    }
    assert differing == {}


def test_lock_is_complete_for_every_supported_python(lock):
    missing = set()
    for distribution in distributions():
        if canonicalize_name(distribution.metadata["Name"]) not in lock:
            continue  # pip itself, the project, and whatever a reader added
        for requirement in map(Requirement, distribution.requires or []):
            for environment in environments():
                if requirement.marker and not requirement.marker.evaluate(environment):
                    continue
                name = canonicalize_name(requirement.name)
                locked = lock.get(name)
                present = locked and (locked.marker is None or locked.marker.evaluate(environment))
                if not present and not TORCH_BRINGS.match(name):
                    missing.add((distribution.metadata["Name"], str(requirement), environment["python_version"]))
    assert missing == set()
