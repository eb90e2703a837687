#!/usr/bin/env bash
# The running hub and node against the contract of api/*.yaml: routes both ways, then schemathesis. See README.md.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
venv=$root/build/venv_contract
if ! cmp -s requirements.txt "$venv/installed_requirements.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt pyyaml jsonschema
  cp requirements.txt "$venv/installed_requirements.txt"
fi
exec "$venv/bin/python" contract.py "$@"
