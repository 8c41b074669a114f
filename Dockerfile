FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates gcc g++ libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY migrations migrations
COPY benches benches
COPY docs/errors.md docs/errors.md
COPY deploy/image deploy/image
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --bin enroll && deploy/image/root target/dist/enroll /root-of-image

FROM scratch
COPY --from=build /root-of-image /
USER 65532:65532
WORKDIR /data
VOLUME /data
ENV PATH=/usr/local/bin ENROLL__SERVER__ADDRESS=0.0.0.0:8000 ENROLL__ADMIN__ADDRESS=0.0.0.0:9000 \
    ENROLL__DATA_DIR=/data ENROLL__LOG__FORMAT=json
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["enroll", "health"]
ENTRYPOINT ["enroll"]
CMD ["serve"]
