#!/usr/bin/env bash
# Lists written by Bavn, read by the programs they are for: BIND and Unbound (policy zones) answer questions on loopback, Squid parses its access lists.
# Everything lies in build/interop/rpz, on ports that are free.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
export BAVN_BINARY=${BAVN_BINARY:-$root/build/dev/src/app/bavn}
[ -x "$BAVN_BINARY" ] || { echo "the binary $BAVN_BINARY is missing: build the target bavn first"; exit 1; }
export PATH=$PATH:/usr/sbin
work=$root/build/interop/rpz
rm -rf "$work"
mkdir -p "$work"
exec python3 lists.py --work "$work" "$@"
