# Python of the build and of the image. Where the digest comes from and how it is renewed: docs/image.md.
# From a mirror: --build-arg BASE=mirror.example.com/library/python:3.13-slim-trixie@sha256:...
ARG BASE=python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${BASE} AS build
# Every time in the image. `make image` gives the time of the commit.
ARG SOURCE_DATE_EPOCH=1580601600
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY .lock/run.txt .lock/build.txt .lock/
# What builds the wheel and writes the SBOM is locked like everything else, and stays out of the image.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf python -m venv /backend \
 && /backend/bin/python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r .lock/build.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf python -m venv --without-pip /opt/keyferry \
 && /backend/bin/python -m pip --python /opt/keyferry/bin/python install --no-cache-dir --no-compile \
      --require-hashes --only-binary :all: -r .lock/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /backend/bin/python -m hatchling build -t wheel -d /dist \
 && /backend/bin/python -m pip --python /opt/keyferry/bin/python install --no-cache-dir --no-compile --no-deps --no-index /dist/*.whl
RUN /backend/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
      --output-file /dist/environment.cdx.json /opt/keyferry/bin/python
COPY .image .image
RUN python .image/rootfs.py --sbom /dist/environment.cdx.json /rootfs /opt/keyferry

# Nothing comes along that was not put together above: no shell, no package manager, no pip.
FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="keyferry" \
      org.opencontainers.image.description="Keeps Kubernetes Secrets in step with external secret stores" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /rootfs /
# gRPC's core would write to standard error past the log. Libraries ask for home and name of the user, and one that
# OpenShift chooses is not in /etc/passwd.
ENV GRPC_VERBOSITY=NONE \
    HOME=/ \
    LANG=C.UTF-8 \
    PATH=/opt/keyferry/bin:/usr/local/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    USER=keyferry
USER 65532:65532
WORKDIR /
EXPOSE 8080 8082
ENTRYPOINT ["/opt/keyferry/bin/keyferry"]
CMD ["run"]
