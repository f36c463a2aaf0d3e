# The Locust image: the stress test, its Python packages, and the real perf_analyzer.
FROM python:3.12-slim-bookworm

RUN useradd --create-home locust
WORKDIR /home/locust
ENV TRITON_USERS_CACHE=/opt/triton-users

# The package carries all there is, the model repository included.
COPY pyproject.toml README.md /tmp/triton-users/
COPY triton_users /tmp/triton-users/triton_users
RUN pip install --no-cache-dir /tmp/triton-users && rm -r /tmp/triton-users && python -m triton_users.server install

USER locust
EXPOSE 8089 5557
ENTRYPOINT ["triton-users"]
