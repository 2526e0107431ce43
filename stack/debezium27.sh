# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# Debezium 2.7 beside the newest: no process, a second version of the plugin in Kafka Connect (KIP-891); optional.
# A connector asks for it by `connector.plugin.version`, a transform by `transforms.NAME.plugin.version`.
# Sourced by `stack`.

DEBEZIUM_27_VERSION=2.7.4.Final
DEBEZIUM_27_PLUGINS=$CACHE/connect-plugins-$DEBEZIUM_27_VERSION

debezium27_fetch() {
    need_jars "$DEBEZIUM_27_PLUGINS/debezium-postgres" debezium.pom.xml "Debezium $DEBEZIUM_27_VERSION" \
        -Ddebezium.connector=postgres -Ddebezium.version="$DEBEZIUM_27_VERSION"
}

debezium27_plugins() { echo "$DEBEZIUM_27_PLUGINS"; }
