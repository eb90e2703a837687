#!/usr/bin/env bash
# A real hub and programs of others, unmodified: taxii2-client reads from it and writes to it, stix2-validator judges all that it gives out,
# and the hub itself reads from and writes to medallion, OASIS's own server. Everything lies in build/interop/taxii, on ports that are free.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
export BAVN_BINARY=${BAVN_BINARY:-$root/build/dev/src/app/bavn}
[ -x "$BAVN_BINARY" ] || { echo "the binary $BAVN_BINARY is missing: build the target bavn first"; exit 1; }
venv=$root/build/venv_taxii
if ! cmp -s requirements.txt "$venv/installed_requirements.txt"; then
  python3 -m venv "$venv"
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt; then
    echo "SKIPPED: the TAXII programs could not be installed from PyPI"
    exit 0
  fi
  cp requirements.txt "$venv/installed_requirements.txt"
fi
work=$root/build/interop/taxii
rm -rf "$work"
mkdir -p "$work"
BAVN_TAXII_WORK=$work exec "$venv/bin/python" taxii.py "$@"
