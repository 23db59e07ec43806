#!/usr/bin/env bash
# A new machine, from nothing to a running service: a fresh Debian with its own systemd, and in it the commands of
# docs/DEPLOYMENT.md as they stand there; then a program that hangs, which systemd's watchdog must find.
#
#   tests/new-pi.sh PACKAGE        as root; wants mmdebstrap, systemd-container and what Debian serves; for another architecture
#                                  arch-test besides, and qemu-user registered in binfmt_misc
set -euo pipefail
package=$(realpath "$1")
cd "$(dirname "$0")/.."
architecture=$(dpkg-deb -f "$package" Architecture)
machine=$(mktemp -d)
container=
end() {
    if [ -n "$container" ]; then
        kill "$container" 2>/dev/null || true
        wait "$container" 2>/dev/null || true
    fi
    rm -rf "$machine"
}
trap end EXIT

commands=$(sed -n '/^## Debian and Raspberry Pi OS/,/^## /{/^```sh$/,/^```$/{/^```/d;p}}' docs/DEPLOYMENT.md)
[ "$(wc -l <<<"$commands")" -eq 5 ]
chmod 755 "$machine"
mmdebstrap --quiet --architectures="$architecture" --variant=minbase --include=systemd,systemd-sysv,dbus,procps,sudo bookworm "$machine"
cp "$package" "$machine/root/larder_0_$architecture.deb"
echo pi >"$machine/etc/hostname"
echo '127.0.0.1 localhost pi' >"$machine/etc/hosts"
if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
    # qemu-user writes code as it runs, and knows neither seccomp nor user namespaces: what of the sandbox needs those is left out.
    mkdir -p "$machine/etc/systemd/system/larder.service.d"
    {
        echo '[Service]'
        printf '%s=no\n' MemoryDenyWriteExecute PrivateUsers PrivateDevices ProtectClock ProtectHostname ProtectKernelLogs \
            ProtectKernelModules ProtectKernelTunables RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality
        printf '%s=\n' SystemCallArchitectures SystemCallFilter SystemCallErrorNumber RestrictAddressFamilies
    } >"$machine/etc/systemd/system/larder.service.d/emulated.conf"
fi
{
    # Each line as a reader types it, in one shell; the first that fails ends it.
    echo 'cd /root'
    while read -r line; do printf 'echo %q\n%s\n' "\$ $line" "$line"; done <<<"$commands"
} >"$machine/root/commands"

# Alone with a loopback of its own, for ten minutes at most.
timeout 600 systemd-nspawn --quiet --directory="$machine" --boot --register=no --keep-unit --private-network --console=pipe \
    </dev/null >/dev/null 2>&1 &
container=$!
init=
for _ in $(seq 600); do
    # timeout, systemd-nspawn, and the machine's own systemd.
    init=$(pgrep -P "$(pgrep -P "$container" || echo none)" 2>/dev/null || true)
    if [ -n "$init" ] && [ -S "/proc/$init/root/run/dbus/system_bus_socket" ]; then break; fi
    sleep 0.2
done
inside() { nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup --root --wdns=/ "$@"; }

if ! inside bash -e /root/commands; then
    inside journalctl --unit=larder --no-pager | tail -n 20
    exit 1
fi
inside systemctl show larder --property=ActiveState,DynamicUser,MemoryMax,WatchdogUSec
[ "$(inside systemctl is-active larder)" = active ]

# A program that does nothing any more.
inside kill -STOP "$(inside systemctl show larder --property=MainPID --value)"
restarts=0
for _ in $(seq 60); do
    restarts=$(inside systemctl show larder --property=NRestarts --value)
    if [ "$restarts" -gt 0 ]; then break; fi
    sleep 1
done
[ "$restarts" -gt 0 ]
inside journalctl --unit=larder --no-pager --output=cat | grep -i watchdog
for _ in $(seq 60); do
    if inside larder health; then exit 0; fi
    sleep 0.5
done
echo "the watchdog started it anew, and it does not answer" >&2
exit 1
