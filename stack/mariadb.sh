# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# MariaDB with a binary log for Debezium, reachable over TCP by password only; optional.
# Sourced by `stack`.

MARIADB_PLUGINS=$CACHE/connect-plugins-mariadb-$DEBEZIUM_MARIADB_VERSION

# Only the programs: the package of the server proper would start one of its own.
mariadb_fetch() {
    need_command mariadbd mariadb-server-core
    need_command mariadb mariadb-client-core
    need_jars "$MARIADB_PLUGINS/debezium-mariadb" debezium.pom.xml "Debezium for MariaDB $DEBEZIUM_MARIADB_VERSION" \
        -Ddebezium.connector=mariadb -Ddebezium.version="$DEBEZIUM_MARIADB_VERSION"
}

mariadb_plugins() { echo "$MARIADB_PLUGINS"; }

mariadb_prepare() {
    local data=$STATE/mariadb
    [ ! -d "$data/mysql" ] || return 0
    rm -rf "$data" "$data.new"
    mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$data.new" --skip-test-db \
        --auth-root-authentication-method=normal >>"$STATE/log/mariadb.log" 2>&1 ||
        gave_up mariadb "could not make its data"
    # One user, by password; the anonymous ones would shadow it on localhost, and root has no password.
    (umask 077 && cat >"$STATE/mariadb.sql") <<SQL
DELETE FROM mysql.global_priv WHERE User IN ('', 'root');
FLUSH PRIVILEGES;
CREATE USER IF NOT EXISTS bullion@'%' IDENTIFIED BY '$BULLION_MARIADB_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO bullion@'%' WITH GRANT OPTION;
SQL
    mv "$data.new" "$data"
}

mariadb_start() {
    launch mariadb mariadbd --no-defaults --user="$(id -un)" --datadir="$STATE/mariadb" \
        --init-file="$STATE/mariadb.sql" --bind-address=127.0.0.1 --port="$(port mariadb)" --socket= \
        --server-id=1 --log-bin=binlog --binlog-format=ROW --binlog-row-image=FULL \
        --character-set-server=utf8mb4 --default-time-zone=+00:00 \
        --innodb-buffer-pool-size=32M --innodb-log-file-size=8M --performance-schema=OFF
}

mariadb_ready() {
    MYSQL_PWD=$BULLION_MARIADB_PASSWORD mariadb --no-defaults -h 127.0.0.1 -P "$(port mariadb)" -u bullion \
        -e 'select 1' >/dev/null 2>&1
}

mariadb_stop_signal() { echo TERM; }
