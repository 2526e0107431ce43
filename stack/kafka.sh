# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# Apache Kafka: one node, broker and KRaft controller in one process.
# Sourced by `stack`.

KAFKA_HEAP=512m

# Doors: further listeners, each of which advertises another port than its own. A test opens a door by putting a
# proxy there; whoever comes in by it meets every connection's faults, not only the first one's.
DOORS=(1 2 3 4 5 6)

# doors TEXT: the text once for each door, with its NAME, the address that it advertises (FRONT) and its own (BEHIND).
doors() {
    local door text
    for door in "${DOORS[@]}"; do
        text=${1/NAME/DOOR$door}
        text=${text/FRONT/127.0.0.1:$(port "door$door")}
        printf %s "${text/BEHIND/127.0.0.1:$(port "behind$door")}"
    done
}

kafka_prepare() {
    local data=$STATE/kafka config=$STATE/kafka.properties
    [ ! -s "$data/meta.properties" ] || return 0
    rm -rf "$data"
    sed -e "s|@BROKER@|$(port kafka)|" -e "s|@CONTROLLER@|$(port controller)|" -e "s|@DATA@|$data|" \
        -e "s|@DOORS@|$(doors ,NAME://FRONT)|" -e "s|@BEHIND@|$(doors ,NAME://BEHIND)|" -e "s|@PROTOCOLS@|$(doors ,NAME:PLAINTEXT)|" \
        "$HERE/kafka.properties.in" >"$config"
    kafka_java kafka.tools.StorageTool format -t "$(kafka_java kafka.tools.StorageTool random-uuid 2>/dev/null)" -c "$config" \
        >>"$STATE/log/kafka.log" 2>&1 || gave_up kafka "could not make its storage"
}

kafka_java() { java -XX:TieredStopAtLevel=1 -cp "$KAFKA_JARS/*" "$@"; }

kafka_start() {
    launch kafka java "-Xmx$KAFKA_HEAP" -XX:+UseSerialGC -cp "$KAFKA_JARS/*" kafka.Kafka "$STATE/kafka.properties"
}

# An ApiVersions request by hand: the smallest question that only a working broker answers, without a JVM.
kafka_ready() {
    local answer
    answer=$(
        exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$(port kafka)" &&
            printf '\0\0\0\x0f\0\x12\0\0\0\0\0\x01\0\x05stack' >&3 &&
            timeout 2 head -c 8 <&3 | od -An -tx1
    ) || return 1
    [[ $answer == *"00 00 00 01"* ]]
}

kafka_stop_signal() { echo TERM; }
