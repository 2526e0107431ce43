# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# ClickHouse: a server from the PATH if there is one (this way has not been run by us), else libchdb behind
# `bullion engine`.
# Sourced by `stack`.

clickhouse_available() { command -v clickhouse >/dev/null || [ -n "$(bullion_bin)" ]; }

clickhouse_absence() { echo "no \`clickhouse\` on the PATH and no bullion binary with an engine is built"; }

# The bullion that has an engine: $BULLION_BIN, or the newest of the builds.
bullion_bin() {
    local target=${CARGO_TARGET_DIR:-$CHECKOUT/target} candidate
    for candidate in ${BULLION_BIN:+"$BULLION_BIN"} "$target/release/bullion" "$target/debug/bullion"; do
        if [ -x "$candidate" ] && "$candidate" engine --help >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
}

clickhouse_prepare() {
    mkdir -p "$STATE/clickhouse"
    (umask 077 && printf %s "$BULLION_CLICKHOUSE_PASSWORD" >"$STATE/clickhouse.password")
}

clickhouse_start() {
    if command -v clickhouse >/dev/null; then start_server; else start_engine; fi
}

start_engine() {
    launch clickhouse env BULLION_ENGINE_USER="$BULLION_CLICKHOUSE_USER" \
        BULLION_ENGINE_PASSWORD_FILE="$STATE/clickhouse.password" \
        "$(bullion_bin)" engine --data "$STATE/clickhouse" --listen "127.0.0.1:$(port clickhouse)"
}

start_server() {
    sed -e "s|@HTTP@|$(port clickhouse)|" -e "s|@DATA@|$STATE/clickhouse|" -e "s|@USER@|$BULLION_CLICKHOUSE_USER|" \
        "$HERE/clickhouse.xml.in" >"$STATE/clickhouse.xml"
    launch clickhouse clickhouse server --config-file "$STATE/clickhouse.xml"
}

clickhouse_ready() {
    curl -fsS -m 2 -o /dev/null "$BULLION_CLICKHOUSE_URL/?query=SELECT+1" \
        -H "X-ClickHouse-User: $BULLION_CLICKHOUSE_USER" -H @<(echo "X-ClickHouse-Key: $BULLION_CLICKHOUSE_PASSWORD") 2>/dev/null
}

clickhouse_stop_signal() { echo TERM; }
