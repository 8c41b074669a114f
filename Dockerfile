FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY migrations migrations
COPY benches benches
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --bin enroll && cp target/dist/enroll /enroll

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data enroll \
    && install -d -o enroll -g enroll -m 700 /data
COPY --from=build /enroll /usr/local/bin/enroll
USER enroll
WORKDIR /data
ENV ENROLL__SERVER__ADDRESS=0.0.0.0:8000 ENROLL__ADMIN__ADDRESS=0.0.0.0:9000 ENROLL__DATA_DIR=/data ENROLL__LOG__FORMAT=json
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD \
    bash -c 'exec 3<>/dev/tcp/127.0.0.1/8000 && printf "GET /readyz HTTP/1.0\r\n\r\n" >&3 && head -n 1 <&3 | grep -q " 200 "'
ENTRYPOINT ["enroll"]
CMD ["serve"]
