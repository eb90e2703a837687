#!/usr/bin/env bash
# Formats the C++ sources by .clang-format. usage: tools/format.sh [--check] [FILE...]
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(-i)
if [ "${1:-}" = --check ]; then mode=(--dry-run -Werror); shift; fi
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(find src benches -name '*.[hc]pp' 2>/dev/null | sort); fi
clang-format-19 "${mode[@]}" "${files[@]}"
