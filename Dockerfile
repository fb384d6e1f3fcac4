# The production image: the API server by default, the worker with `storefront worker`.

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/storefront
WORKDIR /src
# The lock alone first: this layer stays until a dependency changes.
COPY requirements/runtime.txt requirements/
RUN /opt/storefront/bin/pip install --require-hashes --no-deps -r requirements/runtime.txt
COPY pyproject.toml README.md ./
COPY app app
RUN /opt/storefront/bin/pip install --no-deps --no-build-isolation . \
    && /opt/storefront/bin/python -m compileall -q /opt/storefront/lib \
    && /opt/storefront/bin/pip uninstall --yes pip

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin storefront \
    && install -d -o storefront -g storefront -m 0750 /var/lib/storefront
COPY --from=build /opt/storefront /opt/storefront
COPY migrations /opt/storefront/share/migrations
ENV PATH=/opt/storefront/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STOREFRONT_ENV=production \
    STOREFRONT_HOST=0.0.0.0 \
    STOREFRONT_DATA_DIR=/var/lib/storefront \
    STOREFRONT_MIGRATIONS=/opt/storefront/share/migrations
USER storefront
WORKDIR /var/lib/storefront
VOLUME /var/lib/storefront
EXPOSE 8000
# SIGTERM lets requests in hand finish, 15 seconds at most.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/health', timeout=2)"]
CMD ["storefront", "serve"]
