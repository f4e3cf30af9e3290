PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ALL := torch,keras-tensorflow,keras-jax,train,dev
export TF_CPP_MIN_LOG_LEVEL := 3

.PHONY: help setup demo test test-full docs lint bench clean

help:  ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## The environment in .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable '.[$(ALL)]'
	@touch $@

demo: $(READY)  ## Classes, segments and boxes of real pictures in PyTorch and in Keras, with the weights in the repository
	$(BIN)/axialzoo list 'axial_resnet*'
	$(BIN)/axialzoo predict docs/photos/chelsea.jpg --model axial_resnet_cifar10 --framework torch,keras --out runs/demo.png --force
	$(BIN)/axialzoo predict docs/photos/nuclei.png --model axial_deeplab_nuclei --framework torch,keras --top 5 --out runs/nuclei.png --force
	$(BIN)/axialzoo predict docs/photos/blood_cells.jpg --model axial_fcos_blood_cells --framework torch,keras --top 5 \
		--out runs/blood_cells.png --force
	@echo "The pictures are runs/demo.png, runs/nuclei.png and runs/blood_cells.png"

test: $(READY)  ## The tests (under 25 minutes on 2 cores)
	$(BIN)/ruff check axialzoo converters tests benchmarks
	$(BIN)/pyright
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore=tests/parity
	$(BIN)/python -m pytest tests/parity

test-full: export AXIALZOO_EXAMPLES := search
test-full: $(READY)  ## All tests, the long ones too, on other random examples each time
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore=tests/parity -m 'full or not full'
	$(BIN)/python -m pytest tests/parity -m 'full or not full'

docs: $(READY)  ## The documentation site in site/: every tutorial run, built and checked
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable '.[docs]'
	$(BIN)/python tools/tutorials.py
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet
	@echo "The site is site/index.html; '$(BIN)/python -m http.server --directory site' serves it"

lint: $(READY)  ## Style and types
	$(BIN)/ruff check axialzoo converters tests benchmarks
	$(BIN)/ruff format --check axialzoo converters tests benchmarks
	$(BIN)/pyright

clean:  ## Remove the environment and what was built
	rm -rf $(VENV) build dist site *.egg-info runs/demo.png
