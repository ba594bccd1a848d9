# syntax=docker/dockerfile:1
# MLflow's server with PostgreSQL, S3 and accounts. Build it from the repository's root:
#   docker build --file deploy/mlflow.Dockerfile --tag commentwise-mlflow .
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d
COPY requirements.lock /src/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint /src/requirements.lock "mlflow[auth]" boto3 "psycopg[binary]"
ENV PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /tmp
EXPOSE 5000
USER 10001:10001
ENTRYPOINT ["mlflow", "server", "--app-name", "basic-auth", "--host", "0.0.0.0", "--port", "5000"]
