# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# PostgreSQL: a cluster of our own, logical replication on, reachable over TCP by password only.
# Sourced by `stack`.

POSTGRES_SLOTS=40 # one slot and one sender per connector; tests make many

# PostgreSQL refuses root, so root becomes `postgres`. It keeps the right to pass folders that only root may
# enter, because the checkout may lie in one.
as_postgres=()
[ "$(id -u)" != 0 ] || as_postgres=(setpriv --reuid postgres --regid postgres --init-groups
    --inh-caps=+dac_override --ambient-caps=+dac_override)

# The newest installed version's programs.
postgres_bin() { find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1; }

postgres_prepare() {
    local data=$STATE/postgres password=$STATE/postgres.password
    if [ -s "$data/PG_VERSION" ]; then
        rm -f "$data/postmaster.pid" # we know that it ended; a killed one that nobody reaped still looks alive
        return
    fi
    rm -rf "$data"
    mkdir -m 700 "$data"
    (umask 077 && echo "$BULLION_POSTGRES_PASSWORD" >"$password")
    [ "$(id -u)" != 0 ] || chown postgres: "$data" "$password"
    "${as_postgres[@]}" "$(postgres_bin)/initdb" -D "$data" -U postgres -E UTF8 --locale=C.UTF-8 --no-sync \
        --auth=scram-sha-256 --pwfile="$password" >>"$STATE/log/postgres.log" 2>&1 ||
        gave_up postgres "could not make its cluster"
    rm "$password"
}

postgres_start() {
    launch postgres "${as_postgres[@]}" "$(postgres_bin)/postgres" -D "$STATE/postgres" \
        -p "$(port postgres)" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
        -c wal_level=logical -c max_wal_senders=$POSTGRES_SLOTS -c max_replication_slots=$POSTGRES_SLOTS \
        -c max_connections=200
}

postgres_ready() {
    PGPASSWORD=$BULLION_POSTGRES_PASSWORD psql -qAtX -c 'select' \
        -h 127.0.0.1 -p "$(port postgres)" -U postgres postgres >/dev/null 2>&1
}

postgres_stop_signal() { echo INT; } # TERM would wait for every client to leave
