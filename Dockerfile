# legseg-bids as a container. docs/containers.md says how to build and use it.
#
#   docker build -t legseg .
#   docker build -t legseg:cuda --build-arg LOCK=lock-image-cuda.txt .
#
# BASE may name a digest (python:3.11-slim-bookworm@sha256:...) or an image of your own with
# Python 3.11. Dependencies, networks and code are separate layers, in this order, so that a
# change of the code rebuilds in seconds.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# ---------------------------------------------------------------- dependencies
FROM ${BASE} AS dependencies
ARG LOCK=lock-image.txt
COPY scripts/install_in_image.sh requirements/${LOCK} /tmp/build/
RUN /bin/sh /tmp/build/install_in_image.sh "/tmp/build/${LOCK}" /opt/venv

# -------------------------------------------------- networks, readable by all
FROM ${BASE} AS networks
COPY models /opt/legseg/models
RUN chmod -R a+rX,go-w /opt/legseg

# ------------------------------------------------------- code, readable by all
FROM ${BASE} AS code
COPY LICENSE run.py /opt/legseg/
COPY legseg_bids /opt/legseg/legseg_bids
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/legseg/legseg_bids \
 && mkdir /opt/legseg/bin /opt/legseg/deno /opt/legseg/nipype \
 && ln -s ../run.py /opt/legseg/bin/legseg \
 && chmod -R a+rX,go-w /opt/legseg \
 && chmod a+x /opt/legseg/run.py \
 && python3 /opt/legseg/run.py --version | cut -d ' ' -f 2 > /version

# ------------------------------------------------------------------- the image
FROM ${BASE}
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=networks /opt/legseg /opt/legseg

# No library may phone home (NO_ET), take settings or modules from the home (NIPYPE_CONFIG_DIR,
# PYTHONNOUSERSITE), or write a cache (DENO_DIR is a folder that cannot be written, which the
# validator takes calmly). The networks are told their threads by --omp-nthreads; no other library
# needs more than one.
ENV PATH=/opt/legseg/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/legseg \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8 \
    HOME=/tmp \
    NO_ET=1 \
    NIPYPE_NO_ET=1 \
    NIPYPE_CONFIG_DIR=/opt/legseg/nipype \
    DENO_DIR=/opt/legseg/deno \
    DENO_NO_UPDATE_CHECK=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MKL_NUM_THREADS=1

ARG VERSION=0.7.0
ARG REVISION=unknown
ENV LEGSEG_CONTAINER_TYPE=docker \
    LEGSEG_CONTAINER_TAG=legseg-bids:${VERSION}
LABEL org.opencontainers.image.title="legseg-bids" \
      org.opencontainers.image.description="Leg-muscle segmentation of opposed-phase (Dixon) MRI, as a BIDS App" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-4.0" \
      org.opencontainers.image.documentation="docs/containers.md"

# With --read-only, Docker still gives this folder a volume that can be written.
VOLUME /tmp
WORKDIR /tmp
# Any other user will do as well (-u); none needs an entry in /etc/passwd.
USER 1000:1000
# No HEALTHCHECK: it runs and ends.
ENTRYPOINT ["/opt/venv/bin/python", "/opt/legseg/run.py"]
CMD ["--help"]

# Last, for it changes most often.
COPY --from=code /opt/legseg /opt/legseg
COPY --from=code /version /version
