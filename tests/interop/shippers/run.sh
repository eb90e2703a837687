#!/usr/bin/env bash
# Programs that ship logs, unmodified, deliver to a node that is killed in the middle: README.md says which, and what must hold.
# rsyslog and syslog-ng are unpacked from Debian's packages into build/interop/shippers: as installed packages each replaces the other,
# and a daemon of either would read this machine's own log. BAVN_TEST_LANE=long: 100,000 events each instead of 10,000.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
export BAVN_BINARY=${BAVN_BINARY:-$root/build/dev/src/app/bavn}
[ -x "$BAVN_BINARY" ] || { echo "the binary $BAVN_BINARY is missing: build the target bavn first"; exit 1; }
work=$root/build/interop/shippers
mkdir -p "$work/debs" "$work/npm"

unpack() {  # folder package...
  local into=$work/$1
  shift
  [ "$(cat "$into/.whole" 2>/dev/null)" = "$*" ] && return 0
  rm -rf "$into"
  mkdir -p "$into"
  for package in "$@"; do
    ls "$work/debs/${package}_"*.deb >/dev/null 2>&1 || (cd "$work/debs" && apt-get download -q "$package" >/dev/null 2>&1) || return 1
    dpkg-deb -x "$(ls "$work/debs/${package}_"*.deb | head -1)" "$into"
  done
  echo "$*" > "$into/.whole"
}
unpack rsyslog rsyslog rsyslog-elasticsearch rsyslog-openssl rsyslog-relp librelp0 libestr0 libfastjson4 || echo "rsyslog could not be downloaded"
unpack syslog-ng syslog-ng-core syslog-ng-mod-http syslog-ng-scl libivykis0 libpcre3 || echo "syslog-ng could not be downloaded"

venv=$work/venv
if ! cmp -s requirements.txt "$venv/installed_requirements.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  if "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt; then cp requirements.txt "$venv/installed_requirements.txt"
  else echo "elasticsearch could not be installed from PyPI"; fi
fi
if ! [ -d "$work/npm/node_modules/splunk-logging" ]; then
  echo '{"private": true}' > "$work/npm/package.json"
  npm install --prefix "$work/npm" --no-save --ignore-scripts --no-audit --no-fund splunk-logging@0.11.1 >"$work/npm.log" 2>&1 ||
    echo "splunk-logging could not be installed from npm"
fi
exec python3 shippers.py --work "$work" "$@"
