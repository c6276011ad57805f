"""The command line and a configuration file give the same options, and the command line wins."""

import json

import pytest
import typer
from typer.testing import CliRunner

from flows.cli.run_options import run_options, with_run_options
from flows.config import RephraseConfig


@pytest.fixture
def read():
    """The values that a command receives for some arguments."""
    received = {}
    app = typer.Typer()

    @app.command()
    @with_run_options()
    def command(values: dict, own: int = 0) -> None:
        received.update(values)

    def run(*arguments, code=0):
        received.clear()
        result = CliRunner().invoke(app, [*map(str, arguments)])
        assert result.exit_code == code, result.output
        return dict(received) if code == 0 else " ".join(result.output.split())

    return run


def test_the_defaults_of_the_command_line_are_those_of_the_configuration():
    assert RephraseConfig.model_validate(run_options("in", "out")) == RephraseConfig(source="in", output="out")


def test_a_file_gives_defaults_and_the_command_line_wins(read, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'source = "in"\noutput = "out"\nn_retries = 5\n'
        '[engine]\nmodel = "a/b"\n[engine.options]\nblock_size = 64\nkv_cache_dtype = "fp8"\n'
    )
    values = read("--config", file)
    assert RephraseConfig.model_validate(values).engine.options == {"block_size": 64, "kv_cache_dtype": "fp8"}
    values = read("--config", file, "here", "--retries", 2, "--engine-option", "block_size=32", "--dtype", "float16")
    config = RephraseConfig.model_validate(values)
    assert (config.source, config.output, config.n_retries, config.engine.model) == ("here", "out", 2, "a/b")
    assert config.engine.vllm_options == {"dtype": "float16", "block_size": 32, "kv_cache_dtype": "fp8"}
    (tmp_path / "run.json").write_text(json.dumps({"source": "in", "output": "out"}))
    assert read("--config", tmp_path / "run.json") == {"source": "in", "output": "out"}


def test_the_server_is_given_the_arguments_of_the_chat_template(read):
    values = read("in", "out", "--chat-template-kwargs", '{"enable_thinking": false}')
    assert values == {"source": "in", "output": "out", "engine": {"chat_template_kwargs": {"enable_thinking": False}}}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "give SOURCE, or a --config that sets it"),
        (("in",), 2, "give OUTPUT, or a --config that sets it"),
        (("in", "out", "--engine-option", "block_size"), 2, "'block_size' is not an option: write name=value"),
        (("in", "out", "--chat-template-kwargs", "thinking"), 2, "'thinking' is not a JSON object"),
        (("in", "out", "--config", "none.toml"), 1, "No such file or directory: '"),
    ],
)
def test_what_is_missing_or_malformed_is_named(read, arguments, code, message):
    assert message in read(*arguments, code=code).replace("│ ", "").replace(" │", "")


def test_one_training_run_is_a_name_and_several_are_a_list(read):
    assert "utility" not in read("in", "out")
    one = RephraseConfig.model_validate(read("in", "out", "--utility", "a"))
    assert (one.utility, one.utility_runs) == ("a", ("a",))
    assert one.pinned("m", "1", {})["utility"] == "a"
    two = RephraseConfig.model_validate(read("in", "out", "--utility", "a", "--utility", "b"))
    assert two.utility_runs == ("a", "b")
    assert two.pinned("m", "1", {})["utility"] == ["a", "b"]
