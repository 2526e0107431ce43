# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# The state folder: lock, ports, passwords, and the env file that tests and people source.
# Sourced by `stack`; needs STATE, CACHE, PARTS, OPTIONAL.

lock_state() {
    mkdir -p "$STATE/log"
    exec 9>"$STATE/lock"
    flock -w 300 9 || fail "another command holds $STATE/lock"
}

open_state() {
    if [ ! -f "$STATE/env" ]; then
        rm -f "$STATE"/log/*.log
        choose_ports
        write_env
    fi
    load_state
}

load_state() {
    set -a
    # shellcheck source=/dev/null
    . "$STATE/env"
    set +a
}

choose_ports() {
    local name
    : >"$STATE/ports"
    for name in "${PARTS[@]}" "${OPTIONAL[@]}" controller "${DOORS[@]/#/door}" "${DOORS[@]/#/behind}"; do
        echo "$name $(free_port)" >>"$STATE/ports"
    done
}

port() { sed -n "s/^$1 //p" "$STATE/ports"; }

random_password() { od -An -N12 -tx1 /dev/urandom | tr -d ' \n'; }

# Parts that `up` does not start have their addresses and passwords here too: Connect takes its environment once.
write_env() {
    local postgres_password clickhouse_password mariadb_password minio_password
    postgres_password=$(random_password)
    clickhouse_password=$(random_password)
    mariadb_password=$(random_password)
    minio_password=$(random_password)
    (umask 077 && cat >"$STATE/env.new") <<ENV
BULLION_STACK=$(printf %q "$STATE")
BULLION_KAFKA_BROKERS=127.0.0.1:$(port kafka)
BULLION_KAFKA_DOORS=$(doors FRONT=BEHIND,)
BULLION_CONNECT_URL=http://127.0.0.1:$(port connect)
BULLION_POSTGRES_HOST=127.0.0.1
BULLION_POSTGRES_PORT=$(port postgres)
BULLION_POSTGRES_USER=postgres
BULLION_POSTGRES_PASSWORD=$postgres_password
BULLION_POSTGRES_URL=postgres://postgres:$postgres_password@127.0.0.1:$(port postgres)/postgres
BULLION_CLICKHOUSE_URL=http://127.0.0.1:$(port clickhouse)
BULLION_CLICKHOUSE_USER=bullion
BULLION_CLICKHOUSE_PASSWORD=$clickhouse_password
BULLION_MARIADB_HOST=127.0.0.1
BULLION_MARIADB_PORT=$(port mariadb)
BULLION_MARIADB_USER=bullion
BULLION_MARIADB_PASSWORD=$mariadb_password
BULLION_MYSQL_URL=mysql://bullion:$mariadb_password@127.0.0.1:$(port mariadb)
BULLION_REGISTRY_URL=http://127.0.0.1:$(port registry)/apis/ccompat/v7
BULLION_REGISTRY_API=http://127.0.0.1:$(port registry)/apis/registry/v2
BULLION_MINIO_URL=http://127.0.0.1:$(port minio)
BULLION_MINIO_USER=bullion
BULLION_MINIO_PASSWORD=$minio_password
BULLION_MINIO_PROGRAM=$(printf %q "$MINIO")
BULLION_LIBCHDB=$(printf %q "$CACHE/libchdb/libchdb.so")
ENV
    mv "$STATE/env.new" "$STATE/env"
}
