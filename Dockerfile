# Two images from one file: `server`, which has no torch, and `training`. Both run as one user, so that both own the
# volume of models.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS base
# A virtual environment, because a Python packaged by Debian installs nothing outside of one.
RUN useradd --create-home --uid 10001 recur \
 && python3 -m venv /opt/venv \
 && install --directory --owner recur --group recur /models /app/runs
# ONNX Runtime would otherwise report its use over the network.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 RECUR_REPOSITORY=/models
COPY pyproject.toml constraints.txt /opt/recur/
WORKDIR /app

FROM base AS server
# What it is to have; `server,gpu` adds a graphics card's ONNX Runtime and CUDA's libraries, several GB.
ARG EXTRAS=server
RUN pip install --no-cache-dir --constraint /opt/recur/constraints.txt "/opt/recur[$EXTRAS]"
# Both builds of ONNX Runtime write the same files: the one for the CPU goes, and what went with it is written again.
RUN case "$EXTRAS" in *gpu*) pip uninstall --yes onnxruntime && pip install --no-cache-dir --force-reinstall --no-deps \
      --constraint /opt/recur/constraints.txt onnxruntime-gpu ;; esac
COPY deploy/health.py deploy/
COPY models models
COPY server server
USER recur
ENV RECUR_LISTEN=0.0.0.0:8001 RECUR_METRICS=0.0.0.0:8002
EXPOSE 8001 8002
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["python", "deploy/health.py"]
ENTRYPOINT ["python", "-m", "server"]

FROM base AS training
# The address of a package index with CPU builds of torch; empty: the public index, whose build for Linux brings CUDA.
ARG TORCH_INDEX=
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
      --constraint /opt/recur/constraints.txt '/opt/recur[training]'
COPY models models
COPY training training
USER recur
ENTRYPOINT ["python", "-m", "training"]
CMD ["train", "charlm"]
