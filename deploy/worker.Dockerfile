# One GPU worker: PyTorch, TRL and vLLM behind the gRPC server. Not yet run on hardware: see deploy/README.md.
FROM python:3.11.14-slim-bookworm AS build
# A CUDA build of torch comes from the default index on x86-64; another index is named here.
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY python-worker/requirements /requirements
RUN python -m venv /venv \
 && /venv/bin/pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0 \
 && /venv/bin/pip install -r /requirements/base.txt -r /requirements/gpu.txt
COPY python-worker/pyproject.toml /src/pyproject.toml
COPY python-worker/src /src/src
RUN /venv/bin/pip install --no-deps /src

FROM python:3.11.14-slim-bookworm
# gcc: Triton compiles kernels at run time.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc=4:12.2.0-3 libc6-dev=2.36-9+deb12u14 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 worker \
 && mkdir /store /worker \
 && chown worker:worker /store /worker
COPY --from=build /venv /venv
USER 1000
ENV PATH=/venv/bin:$PATH NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENTRYPOINT ["sgpo-worker"]
