# The trainer on GPUs: the official vLLM image serves the student, training has an environment of its own beside it.
ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0

FROM ${VLLM_IMAGE}
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG TORCH=torch==2.13.0
# empty: the index's own build, with CUDA
ARG TORCH_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
USER root
RUN python3 -m venv /opt/comd
WORKDIR /app
COPY locks/build.txt locks/
RUN /opt/comd/bin/python -m pip install --require-hashes -r locks/build.txt \
    && /opt/comd/bin/python -m pip install ${TORCH_INDEX_URL:+--index-url ${TORCH_INDEX_URL}} ${TORCH}
COPY locks/trainer.txt locks/
RUN /opt/comd/bin/python -m pip install --require-hashes --no-deps --no-build-isolation -r locks/trainer.txt
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
COPY comd comd
COPY configs configs
RUN /opt/comd/bin/python -m pip install --no-deps --no-build-isolation --editable . \
    && /opt/comd/bin/python -m compileall -q shared services comd
RUN groupadd --gid 10001 comd && useradd --uid 10001 --gid comd --no-create-home --home-dir /tmp comd \
    && for place in /images /models /model-cache /var/lib/comd/tmp; do install -d -o comd -g comd -m 0750 $place; done \
    && chown comd:comd /var/lib/comd
# /usr/bin/python3 is vLLM's: the trainer starts it by its path
ENV PATH=/opt/comd/bin:$PATH HOME=/tmp TMPDIR=/var/lib/comd/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    COMD_HOME=/var/lib/comd COMD_IMAGE_STORE=/images COMD_TRAINER_ENGINE=vllm COMD_TRAINER_VLLM__PYTHON=/usr/bin/python3 \
    HF_HOME=/model-cache
USER comd
ENTRYPOINT []
CMD ["python", "-m", "services.trainer"]
