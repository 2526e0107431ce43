# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# ClickHouse: a server from the PATH if there is one (this way has not been run by us), else libchdb behind
# `bullion engine`.
# Sourced by `stack`.

# The bullion whose engine is started: $BULLION_BIN, or the newer one of the builds.
bullion_bin() {
    local target=${CARGO_TARGET_DIR:-$CHECKOUT/target} newest
    newest=$target/release/bullion
    [ ! "$target/debug/bullion" -nt "$newest" ] || newest=$target/debug/bullion
    newest=${BULLION_BIN:-$newest}
    [ ! -x "$newest" ] || echo "$newest"
}

need_clickhouse() {
    ! command -v clickhouse >/dev/null && [ -z "$(bullion_bin)" ] || return 0
    say "building bullion, whose engine is the stack's ClickHouse (cargo)"
    "$HERE/setup" build
    (cd "$CHECKOUT" && cargo build --release --locked)
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
