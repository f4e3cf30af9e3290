PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PAGE := $(VENV)/.page
TIMM := $(VENV)/timm
ALL := torch,keras-tensorflow,keras-jax,train,parquet,dev
export TF_CPP_MIN_LOG_LEVEL := 3

.PHONY: help setup demo app test test-app test-attention test-ecosystem test-full test-gpu test-ray test-triton docs lint bench clean

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

app: $(PAGE)  ## The page in the browser, on port 7860
	$(BIN)/axialzoo app

# gradio's own word on Pillow's version is older than the one pinned; with that one the browser test runs, so each is installed as pinned
$(PAGE): $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt \
		gradio gradio_client brotli fastapi groovy hf-gradio httpcore httpx opentelemetry-api orjson pandas pydub python-multipart pytz \
		safehttpx semantic-version starlette tomlkit uvicorn \
		selenium attrs outcome PySocks sniffio trio trio-websocket websocket-client wsproto axe-playwright-python
	@touch $@

test-app: $(PAGE)  ## The page in a real browser
	@command -v chromium chromedriver || { echo "no browser; on Debian: apt-get install chromium chromium-driver"; exit 1; }
	$(BIN)/python -m pytest tests/app

test: $(READY)  ## The tests (about 15 minutes on 2 cores; the rest is `make test-full`)
	$(BIN)/ruff check axialzoo converters tests benchmarks
	$(BIN)/pyright
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-ecosystem: $(READY)  ## Exports, timm (its own tests of models too), PEFT, Lightning, thop, keras-hub and olah, which this installs
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat \
		--editable '.[export,keras-hub]' grain peft pytorch-lightning thop
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps timm torchvision
	$(PYTHON) -m venv $(VENV)/olah
	$(VENV)/olah/bin/python -m pip install --quiet --requirement tests/hub/olah.txt
	$(BIN)/python -m pip download --quiet --constraint constraints.txt --no-deps --no-binary timm --dest $(VENV)/timm timm
	tar -xzf $(VENV)/timm/timm-*.tar.gz --strip-components 1 --directory $(VENV)/timm
	$(BIN)/python -m pytest -n 2 --dist load tests/ecosystem tests/exports tests/timm tests/keras_hub \
		tests/hub/test_olah.py -m 'full or not full'
	$(BIN)/python tests/timm/run.py $(TIMM)

test-full: export AXIALZOO_EXAMPLES := search
test-full: $(READY)  ## All tests, the long ones too, on other random examples each time
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'full or not full'

test-ray: $(READY)  ## Batch prediction on Ray too, which this installs
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable '.[$(ALL),ray]'
	$(BIN)/python -m pytest tests/engine -m 'full or not full'

test-attention: $(READY)  ## Every form of attention against the reference: PyTorch, Keras on three back ends, kernels, cost
	$(BIN)/python -c 'import triton' 2>/dev/null || echo "Triton is not installed: its forms are left out (make test-triton installs it)"
	TRITON_INTERPRET=1 $(BIN)/python -m pytest tests/attention/test_forms.py

test-triton: $(READY)  ## The kernel for GPUs, through the interpreter of Triton, which this installs
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat --editable '.[$(ALL),triton]'
	TRITON_INTERPRET=1 $(BIN)/python -m pytest tests/kernels/gpu

test-gpu: $(READY)  ## All that a GPU makes meaningful, on a GPU; without one it skips and says why
	$(BIN)/python -m pytest tests/gpu tests/runtime/test_device.py -m 'full or not full' -rs

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
