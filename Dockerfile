FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY migrations migrations
COPY benches benches
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --bin enroll && cp target/dist/enroll /enroll && mkdir /empty

# glibc, CA certificates and a user; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /enroll /usr/local/bin/enroll
COPY --from=build --chown=65532:65532 --chmod=700 /empty /data
WORKDIR /data
VOLUME /data
ENV ENROLL__SERVER__ADDRESS=0.0.0.0:8000 ENROLL__ADMIN__ADDRESS=0.0.0.0:9000 ENROLL__DATA_DIR=/data ENROLL__LOG__FORMAT=json
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["enroll", "health"]
ENTRYPOINT ["enroll"]
CMD ["serve"]
