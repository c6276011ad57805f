# Every target sets up what it needs in .venv, from requirements.lock.
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check
BIN = .venv/bin

.PHONY: help install demo test test-random reference docs docs-serve browser test-browser test-slow test-chaos test-infra test-fuzz bench-recipes bench-fidelity bench-fidelity-speed reader weights adapter bench-injection bench-judge bench-candidates bench-back-translation bench-hints bench-train bench-muon bench-clip bench-options bench-parallel bench-utility bench-cycle bench-facts bench-sparsity bench-engine bench-throughput bench-scheduler bench-memory bench-report lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

install: .venv/.installed ## create .venv with all dependencies, for CPUs

# The lock is complete, so pip need not resolve; --no-deps also leaves out packages that do not work with the CPU build
# of torch (see pyproject.toml). That build is not on PyPI: if pip does not find it, uv uses PyTorch's own index.
.venv/.installed: requirements.lock pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) install -q --no-deps torch==2.13.0+cpu \
		|| { $(PIP) install -q uv && $(BIN)/uv pip install -q --python .venv/bin/python --no-deps --torch-backend=cpu torch==2.13.0; }
	$(PIP) install -q --no-deps -r requirements.lock
	$(PIP) install -q --no-deps -e .
	touch $@

demo: install ## rewrite real documents with real models; takes minutes on two cores
	$(BIN)/palimpsest demo

test: install ## lint, and all tests, those of types and layers among them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pytest -q -n logical --dist loadscope --no-loadscope-reorder -p no:randomly

test-random: install ## all tests in random order; SEED=number repeats an order
	$(BIN)/pytest -q -n logical --dist loadscope --hypothesis-profile random $(if $(SEED),--randomly-seed=$(SEED))

reference: install ## regenerate docs/reference.md and docs/architecture.md from the code
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_architecture.py

docs: reference ## build the documentation site in site/
	$(BIN)/zensical build --strict --clean

docs-serve: install ## serve the documentation site at http://127.0.0.1:8000
	$(BIN)/zensical serve --dev-addr 127.0.0.1:8000

browser: install ## install a browser for the browser tests
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
		|| { command -v apt-get && test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium; } \
		|| $(BIN)/playwright install chromium

test-browser: install ## Prefect's UI and reports in a real browser (Chromium); SCREENSHOTS=folder saves screenshots
	$(BIN)/pytest -q -m browser --timeout 600

test-slow: install ## real models behind real servers, all layouts of processes; takes half an hour
	$(BIN)/pytest -q -m "slow and not (browser or chaos or infra)" --timeout 1200

test-chaos: install ## kills, full disks, broken servers; takes three quarters of an hour
	$(BIN)/pytest -q -m chaos --timeout 900

# PostgreSQL and Prometheus are Debian packages; what they are missing for is skipped with a line that says so.
test-infra: install ## databases, servers, pools, metrics, Ray and S3 for real; apt-get install postgresql prometheus; twenty minutes
	$(BIN)/pytest -v -m infra --timeout 900 tests/infra
	$(BIN)/pytest -v -m 'slow or not slow' --timeout 900 tests/flows/running/test_ray_runner.py tests/flows/test_s3.py

test-fuzz: install ## hostile texts for every function that reads a text, wrong calls of every command, 200 kills; two hours
	$(BIN)/python tests/fuzz/run_fuzz.py $(ARGS)
	$(BIN)/python tests/fuzz/run_calls.py
	$(BIN)/python tests/fuzz/run_kills.py

# The benchmarks on real text take a folder of JSON Lines with a `text` field: make bench-train DATA=folder
bench-recipes: install ## every recipe on real text of its domain; DATA=folder
	$(BIN)/python tests/benchmarks/bench_recipes.py $(DATA)

bench-fidelity: install ## how well the verdict separates faithful rewrites from others; DATA=folder
	$(BIN)/python tests/benchmarks/bench_fidelity.py $(DATA) $(ARGS)

bench-fidelity-speed: install ## the cost of each tier of the verdict; DATA=folder
	$(BIN)/python tests/benchmarks/bench_fidelity_speed.py $(DATA)

weights: install ## fit the shipped calibration; DATA=folder
	$(BIN)/python -m fidelity.fitting.train_calibration $(DATA) $(ARGS)

reader: install ## train the shipped reader, about an hour on two cores; DATA=folder
	$(BIN)/python -m fidelity.fitting.train_reader $(DATA) $(ARGS)

adapter: install ## train the packaged model's adapter, half an hour on two cores; DATA=folder
	$(BIN)/python -m rephrase.tuning.train_adapter $(DATA) $(ARGS)

bench-injection: install ## whether models obey instructions in documents; DATA=folder
	$(BIN)/python tests/benchmarks/bench_injection.py $(DATA)

bench-judge: install ## a language model as the judge, alone and with the verdict; DATA=folder MODEL=folder
	$(BIN)/python tests/benchmarks/bench_judge.py $(DATA) $(MODEL) $(ARGS)

bench-candidates: install ## which of several candidates is taken; DATA=folder
	$(BIN)/python tests/benchmarks/bench_candidates.py $(DATA)

bench-back-translation: install ## whether a translation back finds wrong translations; DATA=folder MODEL=folder ARGS=
	$(BIN)/python tests/benchmarks/bench_back_translation.py $(DATA) --model $(MODEL) $(ARGS)

bench-hints: install ## how much a hint helps a second attempt; DATA=folder
	$(BIN)/python tests/benchmarks/bench_hints.py $(DATA)

bench-train: install ## training and loader speed; DATA=folder with documents/*.jsonl
	$(BIN)/python tests/benchmarks/training/bench_train.py
	$(BIN)/python tests/benchmarks/training/bench_loader.py $(DATA)

bench-muon: install ## Muon against AdamW; DATA=folder
	$(BIN)/python tests/benchmarks/training/bench_muon.py $(DATA)

bench-clip: install ## attention logits with and without QK-Clip, as plots, resumable; DATA=folder OUT=folder ARGS=
	$(BIN)/python tests/benchmarks/training/bench_clip.py $(DATA) $(OUT) $(ARGS)

bench-options: install ## per-head Muon, quantile balancing and K3's cosine on a small model, resumable; DATA=folder OUT=folder ARGS=
	$(BIN)/python tests/benchmarks/training/bench_k3_options.py $(DATA) $(OUT) $(ARGS)

bench-parallel: install ## time, bytes sent and optimizer state of each layout of two processes
	$(BIN)/python tests/benchmarks/training/bench_parallel.py $(ARGS)

bench-utility: install ## whether token utility ranks planted text correctly; DATA=folder
	$(BIN)/python tests/benchmarks/training/bench_utility.py $(DATA)

bench-cycle: install ## whether the cycle pays on planted rewrites, resumable; DATA=folder OUT=folder ARGS=--tiny for seconds
	$(BIN)/python tests/benchmarks/training/bench_cycle.py $(DATA) $(OUT) $(ARGS)

bench-facts: install ## whether rewrites teach more than the same text again; DATA=folder OUT=folder ARGS=--tiny for a minute
	$(BIN)/python tests/benchmarks/training/bench_facts.py $(DATA) $(OUT) $(ARGS)

bench-sparsity: install ## loss against training FLOPs by sparsity, resumable; DATA=folder OUT=folder ARGS=
	$(BIN)/python tests/benchmarks/training/bench_sparsity.py $(DATA) $(OUT) $(ARGS)

bench-engine: install ## dtype, 8-bit weights and speculation side by side; DATA=folder
	$(BIN)/python tests/benchmarks/bench_engine.py $(DATA) $(ARGS)

bench-throughput: install ## the flow against bare vLLM and datatrove; DATA=folder ARGS=--quick for ten minutes
	$(BIN)/python tests/benchmarks/bench_throughput.py $(DATA) $(ARGS)

bench-scheduler: install ## the scheduler on a simulated engine, against a lower bound; DATA=folder
	$(BIN)/python tests/benchmarks/bench_scheduler.py $(DATA)

bench-memory: install ## peak memory at ten times the documents
	$(BIN)/python tests/benchmarks/bench_memory.py

bench-report: install ## time, memory and size of reports on synthetic runs of up to 100,000 rewrites
	$(BIN)/python tests/benchmarks/bench_report.py

lock: ## update requirements.lock from pyproject.toml
	$(PIP) install -q uv
	$(BIN)/uv pip compile pyproject.toml --extra cpu --extra models --extra s3 --extra ray --extra dev --universal \
		--no-annotate --no-header --upgrade -q -o requirements.lock

clean: ## remove the environment and the demo output
	rm -rf .venv demo-output site .cache
