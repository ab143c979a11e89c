# make run · make check · make test: each makes what it needs; CONTRIBUTING.md says more.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# a cache for each target: they run beside each other
PYTEST = $(if $(CI),tools/once-more.sh )$(BIN)/pytest -o cache_dir=$(CURDIR)/build/pytest/$@
# of these tests each takes seconds, on a busy host a minute; tests/conftest.py has the bound of others
SOON := VLLMD_TESTS_ENDLESS_S=600
PIP := $(BIN)/pip --disable-pip-version-check --quiet
RUN := $(CURDIR)/.run
# the daemon finds its folders as it does under systemd
FOLDERS := RUNTIME_DIRECTORY=$(RUN)/run STATE_DIRECTORY=$(RUN)/state LOGS_DIRECTORY=$(RUN)/log
ENGINE ?= stand-in
# for tests: short, as sockets have short names; other users may look in, as tests are of their rights
SHORT := @folder=$$(mktemp -d /tmp/vllmd-XXXXXX); chmod 755 $$folder;

.PHONY: python-3.12 python-3.13 wheel several-hosts help run gpu browser system-cc build-tools container-tools check lint types unit long test page docs docs-check dashboards dashboards-seen integration engine system deb packaging container container-real container-image machine arm64 lock generate pictures reliability bench mutants failures chaos chaos-beside soak fuzz verdicts growth clean

help: ## show this
	@grep -E '^[a-z0-9.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9.-]+):.*## /  make \1\t/' | expand -t 22

$(VENV)/installed: requirements/runtime.txt pyproject.toml
	@PYTHON=$(PYTHON) tools/system.sh ensurepip=python3-venv
	@if [ ! -x $(BIN)/pip ]; then $(PYTHON) -m venv $(VENV); fi
	@echo "installing vllmd from its lock file …"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/runtime.txt
	@$(PIP) install 'setuptools>=78'
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/developed: $(VENV)/installed requirements/dev.txt
	@echo "installing the tools for development …"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/dev.txt
	@touch $@

run: $(VENV)/installed ## run vllmd with the stand-in engine, or ENGINE=vllm with a real one
ifeq ($(ENGINE),vllm)
	@$(BIN)/python -m vllmd.demo.real $(RUN)
	@exec $(BIN)/vllmd run --banner --config $(RUN)/vllmd.toml
else ifeq ($(ENGINE),stand-in)
	@$(FOLDERS) exec $(BIN)/vllmd run --demo
else
	$(error ENGINE is '$(ENGINE)'; use ENGINE=stand-in or ENGINE=vllm)
endif

check: lint types unit ## lint, types, unit tests

lint: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/developed
	$(BIN)/mypy

# four at a time on two cores, as they wait too; each collects and runs its share (tests/helpers/shares.py)
unit: $(VENV)/developed system-cc
	$(SHORT) $(SOON) VLLMD_TESTS_SHARES=1 $(PYTEST) -n 4 --dist each --max-worker-restart=0 -m "not long" \
			--basetemp=$$folder/t tests/unit && rm -rf $$folder

# not a part of `make test`: the Python of a release is Debian 12's, and there all is tested
python-3.13: $(VENV)/developed ## the unit tests with Debian 13's Python, in a root file system of its own (needs root)
	@tools/system.sh mmdebstrap=mmdebstrap unshare=util-linux
	PYTHONPATH=. $(BIN)/python tools/other_python.py trixie 3.13 $(NAMES)

python-3.12: $(VENV)/developed system-cc ## the same with this machine's python3.12; says so where there is none
	@if ! python3.12 -c '' 2> /dev/null; then echo "not run: there is no python3.12 here"; exit 0; fi; \
	other=$$PWD/build/python-3.12; [ -x $$other/bin/pip ] || python3.12 -m venv $$other; \
	mkdir -p build; cat requirements/runtime.txt requirements/dev.txt > build/python-3.12.txt; \
	$$other/bin/pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all: -r build/python-3.12.txt; \
	$$other/bin/pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .; \
	folder=$$(mktemp -d /tmp/vllmd-XXXXXX); chmod 755 $$folder; \
	$(SOON) $$other/bin/pytest -p no:cacheprovider -n 2 --dist worksteal -m "not long" --basetemp=$$folder/t \
		--deselect tests/unit/test_copyright.py::test_the_file_is_what_the_tool_writes $(or $(NAMES),tests/unit) \
		&& rm -rf $$folder

long: $(VENV)/developed ## the unit tests of a quarter of a CPU second and more: whole daemons, simulated hours, thousands of examples
	$(SHORT) $(SOON) $(PYTEST) -n 2 --dist worksteal -m long --basetemp=$$folder/t \
			tests/unit && rm -rf $$folder

page: $(VENV)/developed browser ## the page in headless Chromium; pictures in build/page
	$(SHORT) $(SOON) $(PYTEST) --basetemp=$$folder/t tests/page && rm -rf $$folder

docs: $(VENV)/developed ## the documentation site, in build/docs/html: it can be read from there, without a network
	$(BIN)/python -m sphinx -W -n -q --keep-going -d build/docs/tree -b html docs build/docs/html

docs-check: $(VENV)/developed browser system ## the site, its links, code blocks and search; pictures in build/docs
	$(SHORT) $(SOON) $(PYTEST) --basetemp=$$folder/t tests/docs && rm -rf $$folder

dashboards: $(VENV)/developed browser system ## every dashboard of every scene, drawn: is there what should be? Pictures in build/dashboards
	$(SHORT) $(PYTEST) --basetemp=$$folder/t -m "not every_look" tests/dashboards && rm -rf $$folder

dashboards-seen: $(VENV)/developed browser system ## the same in two widths, dark and light
	$(SHORT) $(PYTEST) --basetemp=$$folder/t tests/dashboards && rm -rf $$folder

# side by side, as they wait more than they compute, the longest first
integration: $(VENV)/developed system ## the stand-in engine, a real Prometheus and promtool
	$(SHORT) $(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder --basetemp=$$folder/t \
			tests/integration/test_timelines.py tests/integration/test_soak.py tests/integration && rm -rf $$folder

engine: $(VENV)/developed system ## a real vLLM (CPU build)
	$(PYTEST) tests/engine

deb: $(VENV)/developed build-tools ## build/vllmd_VERSION_amd64.deb, with ARCH=arm64 the one for that
	@PYTHON=$(CURDIR)/$(BIN)/python packaging/build-deb.sh build

wheel: $(VENV)/developed ## build/vllmd-VERSION-py3-none-any.whl, for pip, pipx and uv
	@PYTHON=$(CURDIR)/$(BIN)/python packaging/build-wheel.sh build

packaging: $(VENV)/developed build-tools system-cc ## the package in a booted Debian 12 and 13 (needs root)
	$(PYTEST) -n 2 --dist worksteal -m "not machine and not arm64" tests/packaging

container: $(VENV)/developed container-tools ## vllmd as PID 1 of an image made of packaging/container, in namespaces (needs root)
	$(SHORT) $(PYTEST) -n 2 -m "not machine and not real_engine" --basetemp=$$folder/t tests/container && rm -rf $$folder

# not a part of `make test`: three loads of a real vLLM, each of half a minute or more
container-real: $(VENV)/developed container-tools ## a real vLLM (CPU build) in that image (needs root)
	$(SHORT) $(BIN)/pytest -m real_engine --basetemp=$$folder/t tests/container && rm -rf $$folder

# not a part of `make test`: buildah brings much with it
container-image: $(VENV)/developed container-tools ## the image without vLLM, built by buildah without a registry (needs root)
	@tools/system.sh buildah=buildah
	PYTHONPATH=. tools/container_image.sh $(CURDIR)/$(BIN)/python build/container-image

# not a part of `make test`: every start takes a minute there
machine: $(VENV)/developed build-tools container-tools system-cc ## the package on a kernel of its own (cgroup v2), emulated (needs root)
	$(BIN)/pytest -m machine tests/container tests/packaging

browser:
	@tools/system.sh chromium=chromium

# not a part of `make test`: its Debian is made, and run, by a processor that is emulated
arm64: $(VENV)/developed build-tools ## the package for arm64 in a Debian that is emulated (needs root)
	@tools/system.sh qemu-aarch64-static=qemu-user-static update-binfmts=binfmt-support arch-test=arch-test
	@arch-test arm64 > /dev/null || update-binfmts --enable qemu-aarch64
	$(BIN)/pytest -m arm64 tests/packaging

system-cc:
	@tools/system.sh cc=build-essential

container-tools:
	@tools/system.sh mmdebstrap=mmdebstrap curl=curl nsenter=util-linux cpio=cpio

build-tools:
	@tools/system.sh dh=debhelper dpkg-buildpackage=dpkg-dev mmdebstrap=mmdebstrap \
		qemu-system-x86_64=qemu-system-x86 mke2fs=e2fsprogs debugfs=e2fsprogs \
		apt-ftparchive=apt-utils gpg=gnupg lintian=lintian piuparts=piuparts zsh=zsh fish=fish

system:
	@tools/system.sh prometheus=prometheus promtool=prometheus \
		prometheus-alertmanager=prometheus-alertmanager curl=curl pgrep=procps logrotate=logrotate \
		cc=build-essential openssl=openssl tmux=tmux haproxy=haproxy

gpu: $(VENV)/developed ## a real GPU: the reader and a whole vllmd; ENGINE=vllm: a real vLLM too, half an hour
ifeq ($(ENGINE),vllm)
	$(BIN)/pytest tests/gpu
else
	$(BIN)/pytest tests/gpu --ignore-glob='*/test_vllm*'
	@echo "not run: a real vLLM on the GPU (make gpu ENGINE=vllm)"
endif

# a real vLLM leaves more than half of two cores idle: the other tiers run beside it
test: check long system build-tools container-tools browser ## everything but what needs a GPU or very long
	@echo "engine, integration, packaging, container, dashboards, page and docs, two at a time: each is printed when it has ended"
	@+$(MAKE) --no-print-directory -k -j2 --output-sync=target engine integration packaging container dashboards page docs-check
	@echo "not run: tests/gpu, which need an NVIDIA GPU and PyTorch (make gpu); the package in an emulated"
	@echo "machine (make machine); the one for arm64 (make arm64); failures provoked on a real vLLM (make failures);"
	@echo "each fault in each state (make chaos, make soak); a real vLLM in a container (make container-real); dashboards in every width and theme (make dashboards-seen)"

# not a part of `make test`: rolling restarts behind each balancer, and one model over several hosts; more than an hour
several-hosts: $(VENV)/developed build/vllm-router/bin/vllm-router ## several hosts on one machine: replicas behind balancers, and groups; NAMES='-k stops' some of it
	@tools/system.sh haproxy=haproxy nginx=nginx-light
	$(SHORT) $(BIN)/pytest -rP --basetemp=$$folder/t $(NAMES) tests/several_hosts && rm -rf $$folder

build/vllm-router/bin/vllm-router:
	@echo "installing vllm-router …"
	@$(PYTHON) -m venv build/vllm-router
	@build/vllm-router/bin/pip install --disable-pip-version-check --quiet vllm-router==0.1.17

lock: $(VENV)/developed ## renew the lock files, or with ONLY='h11 …' the pins of these
	@$(PIP) install uv
	tools/lock.sh $(BIN)/uv $(ONLY)

generate: $(VENV)/developed ## renew what is made of the code: etc/vllmd.toml, docs/reference, docs/reliability.md, dashboards …
	$(BIN)/python -m vllmd.config.reference > etc/vllmd.toml
	PYTHONPATH=. $(BIN)/python -m tools.reference
	PYTHONPATH=. $(BIN)/python tools/reliability.py
	PYTHONPATH=. $(BIN)/python tools/monitoring.py
	PYTHONPATH=. $(BIN)/python tools/copyright.py
	$(BIN)/python -m bench.growth --write

# not a part of `make test`: they are committed, and differ in their figures each time
pictures: $(VENV)/developed browser system ## renew docs/pictures by running what they show; NAMES='why page' these alone
	PYTHONPATH=. $(BIN)/python -m tools.pictures $(NAMES)

timelines: $(VENV)/developed ## play the timelines of all alerts by promtool, for docs/reference/timelines.md; NAMES= those alone
	PYTHONPATH=. $(BIN)/python -m tools.timelines $(NAMES)

reliability: integration engine ## renew docs/reliability.md from what these tests find
	PYTHONPATH=. $(BIN)/python tools/reliability.py --take

# not a part of `make test`: it takes as long as all of that
mutants: $(VENV)/developed ## small mistakes in the riskiest files: does a test see each? COUNT=100 SEED=…
	@PYTHONPATH=. $(BIN)/python tools/mutants.py --count $(or $(COUNT),100) $(if $(SEED),--seed $(SEED))

# not a part of `make test`: it is a share, and no limit
failures: $(VENV)/developed ## failures that people have, provoked on a real vLLM: does `vllmd why` name them? (needs root)
	$(SHORT) $(BIN)/pytest -rP --basetemp=$$folder/t tests/failures && rm -rf $$folder

# not a part of `make test`, which has a slice of it: tests/integration/test_chaos.py
chaos: $(VENV)/developed system ## each fault in each state, twice, in pairs: what came of it, seen from outside. SEED= PAIRS= JOBS= ONLY=
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) --pairs $(or $(PAIRS),30) --jobs $(or $(JOBS),3) \
		$(if $(ONLY),--only '$(ONLY)')

# beside what one would run instead; it is no part of the lock files, as nothing of vllmd needs it
chaos-beside: $(VENV)/developed system ## the main faults of `make chaos` to an engine under supervisord, and under units of systemd (needs root)
	@[ -x build/supervisor/bin/supervisord ] || $(PYTHON) -m venv build/supervisor
	@build/supervisor/bin/pip --disable-pip-version-check --quiet install supervisor==4.3.0
	$(BIN)/python -m tests.chaos.beside --supervisord build/supervisor/bin/supervisord

soak: $(VENV)/developed system ## an hour of eight engines with a fault every ten seconds: what grows, what is lost. MINUTES= SEED=
	$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

# not a part of `make test`: it has no end; what it found has a test
fuzz: $(VENV)/developed ## damaged input for all that reads what others wrote, twelve minutes in all. SECONDS= (each) SEED= ONLY= REPLAY=
	@$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(ONLY),--only $(ONLY)) $(if $(REPLAY),--replay $(REPLAY))
ifeq ($(ONLY)$(REPLAY),)
	@$(BIN)/python -m tests.fuzz.control_api $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))
endif

verdicts: $(VENV)/developed ## is `vllmd why` right, of a file and live? The share by subject
	@PYTHONPATH=. $(BIN)/python tools/verdicts.py

bench: $(VENV)/developed ## what the daemon costs, beside what one would run instead
	$(BIN)/python bench/idle_cost.py
	$(BIN)/python bench/history.py
	$(BIN)/python bench/gpu.py
	$(BIN)/python bench/traces.py
	$(BIN)/python bench/commands.py
	$(BIN)/python bench/scrape.py
	$(BIN)/python bench/page.py
	@tools/system.sh rotatelogs=apache2-utils
	$(BIN)/python bench/logs.py

# not a part of `make test`: a quarter of an hour, and it writes what is committed
growth: $(VENV)/developed system system-cc ## how cost grows, from one to many engines, GPUs, adapters, hosts, events. ONLY='gpus hosts'
	$(BIN)/python -m bench.growth $(if $(ONLY),--only $(ONLY))

clean: ## remove what make made here
	rm -rf $(VENV) .run build
