# Services that need no torch. LOCK=roles: teacher, assessor, augmentor and the scripted engine;
# LOCK=coordinator: coordinator, workers, and what starts and shows the demo.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG LOCK=roles
# an index of your own, where the public one is not to be used
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/comd
WORKDIR /app
COPY locks/${LOCK}.txt locks/build.txt locks/
# what the lock names and nothing else, every file by its hash; of Arrow goes what Parquet does not need
RUN /opt/comd/bin/python -m pip install --require-hashes --no-deps -r locks/${LOCK}.txt \
    && cd /opt/comd/lib/python3*/site-packages && if [ -d pyarrow ]; then cd pyarrow \
    && rm -rf include src tests *.pyx *.pxi *_flight* *_s3* && cd / && /opt/comd/bin/python -c 'import pyarrow.parquet'; fi
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
COPY comd comd
COPY configs configs
RUN /opt/comd/bin/python -m pip install --require-hashes -r locks/build.txt \
    && /opt/comd/bin/python -m pip install --no-deps --no-build-isolation --editable . \
    && /opt/comd/bin/python -m compileall -q shared services comd \
    && /opt/comd/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 comd && useradd --uid 10001 --gid comd --no-create-home --home-dir /tmp comd \
    # where volumes are mounted: a new one takes its owner from here
    && for place in /run/comd/keys /run/comd/postgres /run/comd/redis /run/comd/grafana \
        /images /demo /data /model-cache /var/lib/comd/tmp; do install -d -o comd -g comd -m 0750 $place; done \
    && chown comd:comd /var/lib/comd
COPY --from=build /opt/comd /opt/comd
COPY --from=build /app /app
ENV PATH=/opt/comd/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    COMD_HOME=/var/lib/comd COMD_IMAGE_STORE=/images
WORKDIR /app
USER comd
