# The Locust image: the stress test, its Python packages, and the real perf_analyzer.
FROM python:3.12-slim-bookworm

RUN useradd --create-home locust
WORKDIR /home/locust
ENV TRITON_USERS_CACHE=/opt/triton-users

# Installed as a link to this folder, so that models/ is found beside the package.
COPY --chown=locust pyproject.toml README.md locustfile.py ./
COPY --chown=locust triton_users triton_users
COPY --chown=locust models models
RUN pip install --no-cache-dir --editable . && python -m triton_users.server install

USER locust
EXPOSE 8089 5557
ENTRYPOINT ["locust"]
