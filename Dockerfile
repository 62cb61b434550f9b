# Images of the logger and the server: docker build --target logger -t gpu-charts-logger .   (or --target server)

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ARG REVISION=
# One build for both images: they share most of their crates.
RUN GPU_CHARTS_REVISION="$REVISION" cargo build --release --locked \
    --package logger --package ultra_low_latency_server_chunked_parallel

FROM debian:bookworm-slim AS runtime
# ca-certificates: the venues' wss:// feeds. curl: the health checks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin gpu-charts \
    && install -d -o gpu-charts -g gpu-charts /data
USER gpu-charts
VOLUME /data
STOPSIGNAL SIGTERM

FROM runtime AS logger
COPY --from=build /src/target/release/logger /usr/local/bin/
ENV LOGGER_DATA_PATH=/data METRICS_PORT=9090
EXPOSE 9090
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD curl -fsS -o /dev/null "http://127.0.0.1:$METRICS_PORT/health"
ENTRYPOINT ["logger"]

FROM runtime AS server
COPY --from=build /src/target/release/ultra_low_latency_server_chunked_parallel /usr/local/bin/
ENV DATA_PATH=/data PORT=8443 METRICS_PORT=9091
EXPOSE 8443 9091
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD curl -fsS -o /dev/null "http://127.0.0.1:$METRICS_PORT/health"
ENTRYPOINT ["ultra_low_latency_server_chunked_parallel"]
