# ferryman's daemons and command line, without the local stack.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
RUN python -m venv /opt/ferryman
COPY requirements-image.txt .
RUN /opt/ferryman/bin/pip install --no-cache-dir --require-hashes -r requirements-image.txt
COPY . .
RUN /opt/ferryman/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/ferryman/bin/pip uninstall --yes setuptools wheel pip

FROM python:${PYTHON}-slim
RUN useradd --system --uid 10001 --create-home --shell /usr/sbin/nologin ferryman
COPY --from=build /opt/ferryman /opt/ferryman
# Safe path: a folder of the user's called schemas or runtime must not stand before ours.
ENV PATH=/opt/ferryman/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /home/ferryman
ENTRYPOINT ["ferryman"]
CMD ["--help"]
