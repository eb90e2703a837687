#!/usr/bin/env bash
# Installs the Debian packages of tools/packages.txt that are missing. Quiet, and done in a blink when nothing is.
# usage: tools/setup.sh [--list]     --list only names what is missing
set -euo pipefail
cd "$(dirname "$0")/.."

command -v dpkg-query >/dev/null || {
  echo "setup: this is not Debian. Bavn is built and tested on Debian 12; install the counterparts of tools/packages.txt yourself." >&2
  exit 1
}
mapfile -t wanted < <(grep -vE '^(#|$)' tools/packages.txt)
declare -A have=()
while read -r name state; do [ "$state" = ii ] && have[$name]=1; done \
  < <(dpkg-query -W -f='${Package} ${db:Status-Abbrev}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do [ -n "${have[$package]:-}" ] || missing+=("$package"); done
# Any npm will do, Debian's or another; Debian's is a package of many parts, so it is asked for only when there is none.
command -v npm >/dev/null || missing+=(npm)

if [ "${1:-}" = --list ]; then
  [ ${#missing[@]} -eq 0 ] || printf '%s\n' "${missing[@]}"
  exit 0
fi
if [ ${#missing[@]} -eq 0 ]; then
  tools/node.sh --fetch >/dev/null
  exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "setup: ${#missing[@]} packages are missing and neither root nor sudo is at hand. As root, run:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
mkdir -p build/logs
log=$PWD/build/logs/setup.log
echo "setup: installing ${#missing[@]} packages (log: build/logs/setup.log)"
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q "$@" >>"$log" 2>&1; }
: >"$log"
apt update || { tail -5 "$log" >&2; echo "setup: the package lists could not be read; is the network up?" >&2; exit 1; }
apt install --no-install-recommends "${missing[@]}" || {
  grep -E '^E:' "$log" >&2 || tail -15 "$log" >&2
  echo "setup: apt could not install what is missing; the whole log is build/logs/setup.log" >&2
  exit 1
}
tools/node.sh --fetch >/dev/null
