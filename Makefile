# Two commands on a fresh machine with Python 3.11 or newer and make:
#
#   make demo    set up .venv, encode and decode two clips, leave the results in demo/
#   make test    the same set-up, then ruff, mypy and pytest on the built and installed wheel
#
# Another Python:        make demo PYTHON=python3.12
# Another build of torch: make venv TORCH=torch==2.13.0
# By default torch is the build for CUDA where an NVIDIA GPU is found, elsewhere the much smaller one for CPUs if pip's
# indexes have it (PIP_EXTRA_INDEX_URL may name PyTorch's index of CPU builds).

PYTHON ?= $(firstword $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name; done) python3)
TORCH_PIN := $(shell sed -n '/^torch==/p' constraints.txt)
TORCH ?= $(shell if command -v nvidia-smi >/dev/null || [ "$$(uname)" = Darwin ]; \
	then echo $(TORCH_PIN); else echo $(TORCH_PIN)+cpu; fi)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --constraint constraints.txt

.PHONY: demo test venv wheel install check clean

demo: install
	$(BIN)/lrmcodec demo --output demo --force

# As root in a container it also installs Debian's DICOM tools and Orthanc server for the tests that use them; see the
# script. Without them those tests are skipped; `make test SERVICES=no` leaves it out.
test: install
	@SERVICES=$(SERVICES) sh tests/services.sh
	@$(INSTALL) "$$(echo dist/*.whl)[dicom,dev]"
	@$(MAKE) --no-print-directory check

# The installed package is checked: from a folder, or with a path, where the checkout's own folders do not hide it.
# One thread a process: with a test process on every core, more of them only wait for each other, busily.
check:
	$(BIN)/ruff check .
	cd $(VENV) && bin/mypy --config-file ../setup.cfg --package lrmcodec
	PYTHONSAFEPATH=1 OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

venv: $(VENV)/.ready

# The marker says that the environment holds what the constraints ask for.
$(VENV)/.ready: constraints.txt
	@echo "setting up $(VENV), which takes a few minutes once"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lrmcodec needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) '$(TORCH)' 2>/dev/null || $(INSTALL) '$(TORCH_PIN)'
	@$(INSTALL) setuptools
	@touch $@

# Built from scratch: setuptools would carry files that are long gone from an old build/ into the wheel.
wheel: $(VENV)/.ready
	@echo "building and installing lrmcodec"
	@rm -rf build dist lrmcodec.egg-info
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

install: wheel
	@$(INSTALL) "$$(echo dist/*.whl)[dicom]"
	@$(INSTALL) --no-deps --force-reinstall dist/*.whl

clean:
	rm -rf $(VENV) build dist demo lrmcodec.egg-info
