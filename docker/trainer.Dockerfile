# The trainer with torch and DeepSpeed, and the student's embedded engine; without a GPU.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG TORCH=torch==2.13.0
# without it torch comes with gigabytes of CUDA; README, "Where torch comes from"
ARG TORCH_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/comd
WORKDIR /app
COPY locks/build.txt locks/
# torch before DeepSpeed, which is built here and looks at it; what torch itself needs is in the lock
RUN /opt/comd/bin/python -m pip install --require-hashes -r locks/build.txt \
    && /opt/comd/bin/python -m pip install ${TORCH_INDEX_URL:+--no-deps --index-url ${TORCH_INDEX_URL}} ${TORCH}
COPY locks/trainer.txt locks/
RUN DS_ACCELERATOR=cpu /opt/comd/bin/python -m pip install --require-hashes --no-deps --no-build-isolation \
        -r locks/trainer.txt
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
COPY comd comd
COPY configs configs
RUN /opt/comd/bin/python -m pip install --no-deps --no-build-isolation --editable . \
    && /opt/comd/bin/python -m compileall -q shared services comd \
    && /opt/comd/bin/python -m pip uninstall --quiet --yes pip

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 comd && useradd --uid 10001 --gid comd --no-create-home --home-dir /tmp comd \
    # where volumes are mounted: a new one takes its owner from here
    && for place in /images /demo /models /var/lib/comd/tmp; do install -d -o comd -g comd -m 0750 $place; done \
    && chown comd:comd /var/lib/comd
COPY --from=build /opt/comd /opt/comd
COPY --from=build /app /app
ENV PATH=/opt/comd/bin:$PATH HOME=/tmp TMPDIR=/var/lib/comd/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    COMD_HOME=/var/lib/comd COMD_IMAGE_STORE=/images HF_HUB_OFFLINE=1 DS_ACCELERATOR=cpu
WORKDIR /app
USER comd
CMD ["python", "-m", "services.trainer"]
