#!/usr/bin/env bash
# Unmodified PyMISP against a real hub, and the requests of a MISP that pulls, replayed. Everything lies in build/interop/pymisp, on ports that are free.
set -euo pipefail
cd "$(dirname "$0")"
. ../support/prepare.sh venv_pymisp "PyMISP"
work=$root/build/interop/pymisp
rm -rf "$work"
mkdir -p "$work"
exec "$venv/bin/python" test_pymisp.py --work "$work" "$@"
