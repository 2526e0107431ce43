# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# What the stack needs from Debian, Maven Central and npm; each is fetched once.
# Sourced by `stack`; needs HERE, CACHE.

KAFKA_VERSION=4.3.1
DEBEZIUM_VERSION=3.7.0.Final
LIBCHDB_VERSION=26.7.3-stable.1 # npm's `latest` is older and loses data: see src/embedded

# Newer ones of this connector do not resolve from Maven Central.
DEBEZIUM_MARIADB_VERSION=3.5.0.Final
REGISTRY_VERSION=3.0.9 # later ones need Java 21
AVRO_CONVERTER_VERSION=2.6.13.Final

KAFKA_JARS=$CACHE/kafka-$KAFKA_VERSION
PLUGINS=$CACHE/connect-plugins-$DEBEZIUM_VERSION

fetch() {
    need_command curl curl
    need_command java default-jre-headless
    need_postgres
    need_jars "$KAFKA_JARS" kafka.pom.xml "Kafka and Kafka Connect $KAFKA_VERSION"
    need_jars "$PLUGINS/debezium-postgres" debezium.pom.xml "Debezium $DEBEZIUM_VERSION" \
        -Ddebezium.connector=postgres -Ddebezium.version="$DEBEZIUM_VERSION"
    need_libchdb
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "installing needs root or sudo: $*"; fi
}

apt_install() {
    say "installing $* (apt-get)"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

need_command() { command -v "$1" >/dev/null || apt_install "$2"; }

# Debian's package would also start a cluster of its own on 5432: asked not to, for the time of the installation.
need_postgres() {
    [ -z "$(postgres_bin)" ] || return 0
    local conf=/etc/postgresql-common/createcluster.d/bullion.conf
    as_root mkdir -p "$(dirname "$conf")"
    echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
    apt_install postgresql postgresql-contrib
    as_root rm -f "$conf"
}

# need_jars FOLDER POM WHAT [-DNAME=VALUE…]
# Downloads go to a folder that gets its name only when complete.
need_jars() {
    local folder=$1 pom=$2 what=$3
    shift 3
    [ -d "$folder" ] && return
    need_command mvn maven
    say "downloading $what (Maven Central)"
    mkdir -p "$(dirname "$folder")"
    rm -rf "$folder.part"
    mvn -q -B -Dstyle.color=never -f "$HERE/$pom" dependency:copy-dependencies -DoutputDirectory="$folder.part" \
        -Dkafka.version="$KAFKA_VERSION" "$@"
    mv "$folder.part" "$folder"
}

# need_venv NAME WHAT REQUIREMENT…: rebuilt when the requirements change.
need_venv() {
    local venv=$CACHE/venv-$1 what=$2 wanted
    shift 2
    wanted=$(printf '%s\n' "$@"; [ "$1" != -r ] || cat "$2")
    [ "$(cat "$venv/wanted" 2>/dev/null)" != "$wanted" ] || return 0
    need_command python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    say "installing $what (PyPI)"
    rm -rf "$venv"
    mkdir -p "$CACHE"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "$@"
    printf '%s\n' "$wanted" >"$venv/wanted"
}

need_libchdb() {
    local folder=$CACHE/libchdb
    grep -qsF "\"version\": \"$LIBCHDB_VERSION\"" "$folder/package.json" && [ -s "$folder/libchdb.so" ] && return
    need_command npm npm
    say "downloading ClickHouse as libchdb $LIBCHDB_VERSION, 570 MB unpacked (npm)"
    rm -rf "$folder.part"
    mkdir -p "$folder.part"
    (cd "$folder.part" && npm pack --silent "@chdb/lib-linux-x64-gnu@$LIBCHDB_VERSION" >/dev/null && tar -xzf ./*.tgz --strip-components=1 && rm ./*.tgz)
    rm -rf "$folder"
    mv "$folder.part" "$folder"
}
