# shellcheck shell=bash disable=SC2034 # names are used across the sourced files
# Processes of the stack: each part is one process group, known by a pid file that survives a half start.
# Sourced by `stack`; needs STATE.

START_DEADLINE=240 # seconds; Connect with five plugin folders needs 90 on a loaded two-core machine
STOP_DEADLINE=15  # seconds from the polite signal to kill -9

say() { printf 'stack: %s\n' "$*"; }

fail() {
    printf 'stack: %s\n' "$*" >&2
    exit 1
}

pid_of() { cut -d' ' -f1 "$STATE/$1.pid"; }

# When a process began, in clock ticks: tells it from a later one that got the same number.
began() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

alive() {
    local pid start
    [ -s "$STATE/$1.pid" ] || return 1
    read -r pid start <"$STATE/$1.pid"
    [ -n "$start" ] && [ "$(began "$pid")" = "$start" ] && [ "$(process_state "$pid")" != Z ]
}

process_state() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f1; }

# launch PART COMMAND…: in a session of its own, holding neither our terminal nor our lock.
launch() {
    local part=$1
    shift
    setsid "$@" </dev/null >>"$STATE/log/$part.log" 2>&1 9>&- &
    printf '%s %s\n' "$!" "$(began "$!")" >"$STATE/$part.pid"
    disown
}

await() {
    local part=$1 end=$((SECONDS + START_DEADLINE))
    until "${part}_ready"; do
        alive "$part" || gave_up "$part" "ended before it answered"
        [ "$SECONDS" -lt "$end" ] || gave_up "$part" "did not answer within $START_DEADLINE s"
        sleep 0.2
    done
}

gave_up() {
    tail -n 15 "$STATE/log/$1.log" >&2
    fail "$1 $2; its log is $STATE/log/$1.log"
}

# stop PART [SIGNAL]: returns only when the process is gone.
stop() {
    local part=$1 signal=${2:-} pid end=$((SECONDS + STOP_DEADLINE))
    if alive "$part"; then
        pid=$(pid_of "$part")
        kill "-${signal:-$("${part}_stop_signal")}" "$pid" 2>/dev/null || true
        while alive "$part"; do
            [ "$SECONDS" -lt "$end" ] || kill -KILL "$pid" 2>/dev/null || true
            sleep 0.1
        done
        kill -KILL -- "-$pid" 2>/dev/null || true # children that outlived it
        say "$part: stopped"
    fi
    rm -f "$STATE/$part.pid"
}

# Below the range that the kernel gives to outgoing connections, so that none takes it while a part restarts.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        if ! grep -qsw "$port" "$STATE/ports" && ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}
