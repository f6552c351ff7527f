"""The workflow files: they run the project's own commands, and name what they use by major version."""

import re

import pytest
import yaml

ACTION = re.compile(r"actions/[a-z-]+@v[0-9]+")


def workflows(root):
    return {
        path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in root.glob(".github/workflows/*.yml")
    }


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def targets(root):
    return set(re.search(r"^\.PHONY: (.*)$", (root / "Makefile").read_text(), re.MULTILINE).group(1).split())


def commands(workflow):
    return [line for step in steps(workflow) if "run" in step for line in step["run"].splitlines()]


def test_there_is_one_that_publishes_and_one_for_links(root):
    assert set(workflows(root)) == {"book.yml", "links.yml"}


@pytest.mark.parametrize("name", ["book.yml", "links.yml"])
def test_every_step_is_a_target_of_the_makefile_or_a_pinned_action(root, name):
    workflow = workflows(root)[name]
    for step in steps(workflow):
        assert ("run" in step) != ("uses" in step), step
        assert "uses" not in step or ACTION.fullmatch(step["uses"]), step
    for command in commands(workflow):
        made = re.fullmatch(r"make ([a-z]+)", command)
        assert made and made.group(1) in targets(root), command


@pytest.mark.parametrize("name", ["book.yml", "links.yml"])
def test_jobs_need_jobs_that_exist_and_end_sometime(root, name):
    workflow = workflows(root)[name]
    for job in workflow["jobs"].values():
        assert set(job.get("needs", [])) <= set(workflow["jobs"])
        assert job["runs-on"] == "ubuntu-latest"
        assert job.get("timeout-minutes", 0) <= 120
    assert workflow["permissions"] == {"contents": "read"}


def test_the_two_commands_come_before_the_pages_are_published(root):
    workflow = workflows(root)["book.yml"]
    assert commands(workflow)[:2] == ["make book", "make test"]
    used = [step.get("uses", "") for step in workflow["jobs"]["book"]["steps"]]
    assert (
        used[-1].startswith("actions/upload-pages-artifact")
        and workflow["jobs"]["book"]["steps"][-1]["with"]["path"] == "_build/html"
    )
    publish = workflow["jobs"]["publish"]
    assert set(publish["needs"]) == {"book", "colab"} and "main" in publish["if"]
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert workflow["jobs"]["book"]["env"]["REQUIRE_BROWSER"] == "1"


def test_links_are_asked_on_a_schedule(root):
    workflow = workflows(root)["links.yml"]
    when = workflow[True]["schedule"]  # YAML reads the key `on` as true
    assert len(when) == 1 and re.fullmatch(r"\d+ \d+ \* \* [0-6]", when[0]["cron"])
    assert commands(workflow) == ["make book", "make links"]
