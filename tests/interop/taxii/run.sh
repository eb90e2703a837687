#!/usr/bin/env bash
# A real hub and programs of others, unmodified: taxii2-client reads from it and writes to it, stix2-validator judges all that it gives out,
# and the hub itself reads from and writes to medallion, OASIS's own server. Everything lies in build/interop/taxii, on ports that are free.
set -euo pipefail
cd "$(dirname "$0")"
. ../support/prepare.sh venv_taxii "the TAXII programs"
work=$root/build/interop/taxii
rm -rf "$work"
mkdir -p "$work"
BAVN_TAXII_WORK=$work exec "$venv/bin/python" taxii.py "$@"
