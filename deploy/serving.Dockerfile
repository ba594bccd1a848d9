# syntax=docker/dockerfile:1
# The server. Build it from the repository's root:
#   docker build --file deploy/serving.Dockerfile --target cpu --tag commentwise-serving:cpu .
#   docker build --file deploy/serving.Dockerfile --target cuda --tag commentwise-serving:cuda .
# EXTRAS=serve,registry,log,postgresql adds the MLflow registry and the prediction log in PostgreSQL.
ARG PYTHON=python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

FROM ${PYTHON} AS install
ARG EXTRAS=serve
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/commentwise \
    && pip --python /opt/commentwise/bin/python install --constraint requirements.lock ".[${EXTRAS}]"

FROM install AS install-cuda
ARG ONNXRUNTIME_GPU=1.31.1
# ONNX Runtime for CUDA replaces the one for CPUs; CUDA comes as packages, the driver from the host.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/commentwise/bin/python uninstall --yes onnxruntime \
    && pip --python /opt/commentwise/bin/python install --constraint requirements.lock "onnxruntime-gpu[cuda,cudnn]==${ONNXRUNTIME_GPU}"

FROM ${PYTHON} AS base
# No package can be installed in the running container.
RUN python -m pip uninstall --yes wheel setuptools pip
ENV PATH=/opt/commentwise/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    COMMENTWISE_HOST=0.0.0.0 \
    COMMENTWISE_MODEL=/bundle
# The root file system may be read-only; /tmp must be writable.
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["commentwise", "serve"]

FROM base AS cuda
COPY --from=install-cuda /opt/commentwise /opt/commentwise
RUN find /opt/commentwise -type d -path '*/nvidia/*/lib' > /etc/ld.so.conf.d/nvidia.conf && ldconfig
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001

# Last, so that it is the default target.
FROM base AS cpu
COPY --from=install /opt/commentwise /opt/commentwise
USER 10001:10001
