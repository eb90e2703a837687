#!/usr/bin/env bash
# Bavn against rsigma on the same events and rules, one pinned core: events/s net of loading, memory, matches per rule.
# usage: tools/compare_rsigma.sh [lines]     (default 40000; BAVN_CORPORA or ../shared/corpora; cargo with Rust 1.88 or later)
# rsigma is installed into build/rsigma by cargo, which takes about ten minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.21.0
corpora=${BAVN_CORPORA:-../shared/corpora}/detection
bavn=${BAVN_BINARY:-build/dev/src/app/bavn}
[ -d "$corpora/otrf-security-datasets" ] || { echo "SKIPPED: no corpora at $corpora"; exit 0; }
[ -x "$bavn" ] || { echo "the binary $bavn is missing"; exit 1; }
rsigma=build/rsigma/bin/rsigma
if [ ! -x "$rsigma" ]; then
  command -v cargo >/dev/null || { echo "SKIPPED: no cargo here"; exit 0; }
  CARGO_TARGET_DIR=build/rsigma/target cargo install --locked --version "$version" --root build/rsigma rsigma || { echo "SKIPPED: rsigma $version could not be installed"; exit 0; }
fi
"$bavn" --version; "$rsigma" --version
exec python3 tools/compare_rsigma.py --bavn "$bavn" --rsigma "$rsigma" --corpora "$corpora" --work build/referee --lines "${1:-40000}"
