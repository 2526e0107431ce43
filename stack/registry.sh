# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# A schema registry with Confluent's interface (Apicurio, in memory), and the Avro converter for Kafka Connect; optional.
# Sourced by `stack`.

REGISTRY_HEAP=256m
REGISTRY_FOLDER=$CACHE/registry-$REGISTRY_VERSION
REGISTRY_PLUGINS=$CACHE/connect-plugins-avro-$AVRO_CONVERTER_VERSION

registry_fetch() {
    need_jars "$REGISTRY_PLUGINS/avro" avro.pom.xml "the Avro converter $AVRO_CONVERTER_VERSION" \
        -Dconverter.version="$AVRO_CONVERTER_VERSION"
    [ ! -d "$REGISTRY_FOLDER" ] || return 0
    say "downloading the schema registry $REGISTRY_VERSION (Maven Central)"
    rm -rf "$REGISTRY_FOLDER.part"
    mkdir -p "$REGISTRY_FOLDER.part"
    mvn -q -B -Dstyle.color=never dependency:copy -DoutputDirectory="$REGISTRY_FOLDER.part" \
        -Dartifact="io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all"
    tar -xzf "$REGISTRY_FOLDER.part"/*.tar.gz -C "$REGISTRY_FOLDER.part"
    rm "$REGISTRY_FOLDER.part"/*.tar.gz
    mv "$REGISTRY_FOLDER.part" "$REGISTRY_FOLDER"
}

registry_plugins() { echo "$REGISTRY_PLUGINS"; }

registry_prepare() { :; }

registry_start() {
    local jar
    jar=$(find "$REGISTRY_FOLDER" -name "apicurio-registry-app-*-runner.jar" | head -n 1)
    [ -n "$jar" ] || fail "no registry in $REGISTRY_FOLDER"
    launch registry java "-Xmx$REGISTRY_HEAP" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$(port registry)" -Dquarkus.management.enabled=false -jar "$jar"
}

registry_ready() { curl -fsS -m 2 -o /dev/null "$BULLION_REGISTRY_URL/subjects" 2>/dev/null; }

registry_stop_signal() { echo TERM; }
