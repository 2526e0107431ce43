# Three images for docker-compose.yml: bullion, Kafka Connect with Debezium, Airflow with bullion inside.
# Not built where this was written (no Docker there): the versions are those that stack/ runs without Docker.

# Holds libssl-dev and pkg-config, which librdkafka's TLS needs.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist

FROM debian:12.11-slim AS bullion
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --home-dir /bullion bullion
COPY --from=build /src/target/dist/bullion /usr/local/bin/bullion
USER bullion
WORKDIR /bullion
ENTRYPOINT ["bullion"]

FROM maven:3.9.11-eclipse-temurin-17 AS plugins
ARG DEBEZIUM_VERSION=3.7.0.Final
COPY stack/debezium.pom.xml /
RUN mvn -q -B -f /debezium.pom.xml dependency:copy-dependencies \
    -DoutputDirectory=/plugins/debezium-postgres -Ddebezium.connector=postgres -Ddebezium.version=${DEBEZIUM_VERSION}

# Kafka's own image holds Connect; the worker's settings are those of the stack.
FROM apache/kafka:4.3.1 AS connect
COPY --from=plugins /plugins /plugins
COPY --chown=appuser stack/connect.properties.in /tmp/connect.properties
RUN sed -i -e 's|@BROKER@|kafka:9092|' -e 's|@REST@|0.0.0.0:8083|' -e 's|@PLUGINS@|/plugins|' /tmp/connect.properties
CMD ["/opt/kafka/bin/connect-distributed.sh", "/tmp/connect.properties"]

FROM apache/airflow:3.3.2 AS airflow
COPY --from=build /src/target/dist/bullion /usr/local/bin/bullion
