# The image: Locust with the stress test, its Python packages, and the real perf_analyzer, for a Triton that runs elsewhere.
#
#     docker build --tag triton-users .
#     docker run --rm --read-only --tmpfs /tmp --volume reports:/reports triton-users -H grpc://… --headless -t 10m
#
# `--target embedded` makes a larger one, which has the embedded Triton too: it runs without a host, and it writes the
# model repository with the image model's network built into it.

FROM python:3.12-slim-bookworm AS packages
WORKDIR /src
# The package carries all there is, the model repository included.
COPY pyproject.toml README.md ./
COPY triton_users triton_users
# What is installed is this project, whose pyproject.toml bounds the versions.
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/venv && pip --python /opt/venv/bin/python install --no-cache-dir '.[otel]'

FROM python:3.12-slim-bookworm AS base
LABEL org.opencontainers.image.title="triton-users" \
      org.opencontainers.image.description="Load and soak tests of NVIDIA Triton over gRPC, as Locust users"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TRITON_USERS_CACHE=/opt/triton-users \
    LOCUST_REPORT_DIR=/reports
# What is written goes to /reports and /tmp, and the model repository to /repository; the rest can be read-only.
RUN groupadd --gid 10001 locust && useradd --uid 10001 --gid 10001 --create-home locust \
    && install --directory --owner=10001 --group=10001 /reports /repository
WORKDIR /home/locust
COPY --from=packages /opt/venv /opt/venv
EXPOSE 8089 5557 9646
ENTRYPOINT ["triton-users"]

FROM base AS embedded
RUN python -m ensurepip && python -m triton_users.server install \
    && mkdir /opt/perf_analyzer && cp --archive /opt/triton-users/perf_analyzer-* /opt/perf_analyzer/
USER 10001:10001

FROM base
COPY --from=embedded /opt/perf_analyzer /opt/triton-users
USER 10001:10001
