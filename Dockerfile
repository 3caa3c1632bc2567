# syntax=docker/dockerfile:1
# The base image. Give a digest to build twice the same: --build-arg BASE=python:3.13-slim@sha256:...
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY .lock/run.txt .lock/build.txt .lock/
# The backend that builds the wheel is locked like everything else, and stays out of the image.
RUN python -m venv /backend \
 && /backend/bin/python -m pip install --no-cache-dir --no-compile --require-hashes --only-binary :all: -r .lock/build.txt
RUN python -m venv --without-pip /opt/keyferry \
 && /backend/bin/python -m pip --python /opt/keyferry/bin/python install --no-cache-dir \
      --require-hashes --only-binary :all: -r .lock/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /backend/bin/python -m hatchling build -t wheel -d /dist \
 && /backend/bin/python -m pip --python /opt/keyferry/bin/python install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="keyferry" \
      org.opencontainers.image.description="Keeps Kubernetes Secrets in step with external secret stores" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/keyferry /opt/keyferry
# Nothing is written at run time. The user has no entry in /etc/passwd, and libraries ask where its home is.
# gRPC's core would write to standard error past the log.
ENV HOME=/ \
    GRPC_VERBOSITY=NONE \
    PATH=/opt/keyferry/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
EXPOSE 8080 8082
ENTRYPOINT ["keyferry"]
CMD ["run"]
