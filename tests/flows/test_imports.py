"""What the flows import before they know what to do: `serve` starts a process for each run."""

import subprocess
import sys


def test_no_flow_imports_torch_or_an_engine_before_it_is_needed():
    slow = {"torch", "transformers", "vllm", "openai", "sklearn"}
    code = f"import flows.serving.serve, flows.cli.app, sys; print(*({slow} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
