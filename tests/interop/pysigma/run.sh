#!/usr/bin/env bash
# Referee of correctness: the same events and rules through Bavn and through pySigma -> SQL -> SQLite. See docs/sigma_referee.md.
# Fails on a difference that explained.yml does not explain. --verbose shows the events of each difference.
set -euo pipefail
cd "$(dirname "$0")"
. ../support/prepare.sh venv "pySigma"
corpora=$BAVN_CORPORA
bavn=$BAVN_BINARY
# The synthesized rules and events are in this folder; the public ones are not part of the repository.
# They come first, and with set -e a difference there ends the run.
"$venv/bin/python" modifiers.py --bavn "$bavn" --work "$root/build/referee"
if [ ! -d "$corpora/detection/sigmahq-rules" ]; then
  echo "SKIPPED: the public rules and events are not at $corpora/detection (BAVN_CORPORA says where)"
  exit 0
fi
failed=0
for part in compare.py derived.py; do
  "$venv/bin/python" $part --bavn "$bavn" --corpora "$corpora/detection" --work "$root/build/referee" "$@" || failed=1
done
exit $failed
