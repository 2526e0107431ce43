# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# Kafka Connect with the Debezium plugins, distributed mode with one worker.
# Sourced by `stack`.

CONNECT_HEAP=512m

connect_prepare() {
    local folders
    touch "$STATE/plugins"
    folders=$PLUGINS$(sed 's/^/,/' "$STATE/plugins" | tr -d '\n')
    sed -e "s|@BROKER@|127.0.0.1:$(port kafka)|" -e "s|@REST@|127.0.0.1:$(port connect)|" -e "s|@PLUGINS@|$folders|" \
        "$HERE/connect.properties.in" >"$STATE/connect.properties"
}

# add_plugins PART: the worker reads its folders when it starts.
add_plugins() {
    local part=$1 folder
    declare -F "${part}_plugins" >/dev/null || return 0
    folder=$("${part}_plugins")
    grep -qsxF "$folder" "$STATE/plugins" && return
    echo "$folder" >>"$STATE/plugins"
    ! alive connect || { stop connect && start connect; }
}

# The worker inherits BULLION_* from the env file: connector files name passwords as ${env:BULLION_…}.
connect_start() {
    launch connect java "-Xmx$CONNECT_HEAP" -XX:+UseSerialGC -cp "$KAFKA_JARS/*" \
        org.apache.kafka.connect.cli.ConnectDistributed "$STATE/connect.properties"
}

# Answers 200 only after the worker has joined its group and read its topics.
connect_ready() { curl -fsS -m 2 -o /dev/null "$BULLION_CONNECT_URL/connectors" 2>/dev/null; }

connect_stop_signal() { echo TERM; }
