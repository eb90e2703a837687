#!/usr/bin/env bash
# Unmodified PyMISP against a real hub, and the requests of a MISP that pulls, replayed. Everything lies in build/interop/pymisp, on ports that are free.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
export BAVN_BINARY=${BAVN_BINARY:-$root/build/dev/src/app/bavn}
[ -x "$BAVN_BINARY" ] || { echo "the binary $BAVN_BINARY is missing: build the target bavn first"; exit 1; }
export BAVN_CORPORA=${BAVN_CORPORA:-$root/../shared/corpora}
work=$root/build/interop/pymisp
venv=$root/build/venv_pymisp
if ! cmp -s requirements.txt "$venv/installed_requirements.txt"; then
  python3 -m venv "$venv"
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt; then
    echo "SKIPPED: PyMISP could not be installed from PyPI"
    exit 0
  fi
  cp requirements.txt "$venv/installed_requirements.txt"
fi
rm -rf "$work"
mkdir -p "$work"
exec "$venv/bin/python" test_pymisp.py --work "$work" "$@"
