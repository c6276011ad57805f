# Every target sets up what it needs, in .venv, from requirements.lock.
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check
BIN = .venv/bin

.PHONY: help install demo test reference test-browser test-slow test-chaos bench-recipes bench-fidelity bench-fidelity-speed weights bench-injection bench-hints bench-train bench-muon bench-utility bench-throughput bench-scheduler bench-memory bench-report lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: .venv/.installed ## create .venv with everything, for CPUs

# The lock is complete, so pip need not resolve; and --no-deps leaves out what does not work beside the CPU build of
# torch (see pyproject.toml). The CPU build of torch is not on PyPI: where pip finds none, uv knows PyTorch's own index.
.venv/.installed: requirements.lock pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) install -q --no-deps torch==2.13.0+cpu \
		|| { $(PIP) install -q uv && $(BIN)/uv pip install -q --python .venv/bin/python --no-deps --torch-backend=cpu torch==2.13.0; }
	$(PIP) install -q --no-deps -r requirements.lock
	$(PIP) install -q --no-deps -e .
	touch $@

demo: install ## rewrite real documents with real models; minutes on two cores
	$(BIN)/palimpsest demo

test: install ## lint, types, layers and all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q

reference: install ## renew docs/reference.md from the code
	$(BIN)/python docs/make_reference.py

test-browser: install ## Prefect's UI and reports in a real browser (Chromium); SCREENSHOTS=folder keeps pictures
	$(BIN)/pytest -q -m browser --timeout 600

test-slow: install ## the real model behind a real server; ten minutes
	$(BIN)/pytest -q -m slow --timeout 1200

test-chaos: install ## kill it, fill its disk, break its servers; fifteen minutes
	$(BIN)/pytest -q -m chaos --timeout 900

# The benchmarks on real text take a folder of JSON Lines with a `text` field: make bench-train DATA=folder
bench-recipes: install ## every recipe on real text of its kind; DATA=folder
	$(BIN)/python tests/benchmarks/bench_recipes.py $(DATA)

bench-fidelity: install ## does the verdict tell faithful rewrites from others; DATA=folder
	$(BIN)/python tests/benchmarks/bench_fidelity.py $(DATA) $(ARGS)

bench-fidelity-speed: install ## what each tier of the verdict costs; DATA=folder
	$(BIN)/python tests/benchmarks/bench_fidelity_speed.py $(DATA)

weights: install ## fit the calibration that ships; DATA=folder
	$(BIN)/python -m fidelity.fitting.train_calibration $(DATA) $(ARGS) \
		--likelihood-model "$$($(BIN)/python -c 'from rephrase.models.resolve import packaged_model; print(packaged_model())')"

bench-injection: install ## are orders in documents obeyed; DATA=folder
	$(BIN)/python tests/benchmarks/bench_injection.py $(DATA)

bench-hints: install ## what a hint is worth to a second try; DATA=folder
	$(BIN)/python tests/benchmarks/bench_hints.py $(DATA)

bench-train: install ## training speed, loader speed; DATA=folder with documents/*.jsonl
	$(BIN)/python tests/benchmarks/bench_train.py
	$(BIN)/python tests/benchmarks/bench_loader.py $(DATA)

bench-muon: install ## Muon against AdamW, and what QK-Clip does; DATA=folder OUT=folder
	$(BIN)/python tests/benchmarks/bench_muon.py $(DATA)
	$(BIN)/python tests/benchmarks/bench_muon_clip.py $(DATA) $(OUT)

bench-utility: install ## does token utility rank planted text rightly; DATA=folder
	$(BIN)/python tests/benchmarks/bench_utility.py $(DATA)

bench-throughput: install ## the flow against bare vLLM and datatrove; DATA=folder
	$(BIN)/python tests/benchmarks/bench_throughput.py $(DATA)

bench-scheduler: install ## the scheduler on a simulated engine, against what no schedule can beat; DATA=folder
	$(BIN)/python tests/benchmarks/bench_scheduler.py $(DATA)

bench-memory: install ## peak memory at ten times the documents
	$(BIN)/python tests/benchmarks/bench_memory.py

bench-report: install ## time, memory and size of a report on made-up runs of up to 100,000 rewrites
	$(BIN)/python tests/benchmarks/bench_report.py

lock: ## renew requirements.lock from pyproject.toml
	$(PIP) install -q uv
	$(BIN)/uv pip compile pyproject.toml --extra cpu --extra models --extra s3 --extra ray --extra dev --universal \
		--no-annotate --no-header --upgrade -q -o requirements.lock

clean: ## remove the environment and what the demo wrote
	rm -rf .venv demo-output
