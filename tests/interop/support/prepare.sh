# Sourced by the run.sh of a folder beside this one, standing in its folder:  . ../support/prepare.sh NAME WHAT
# Sets root, venv (build/NAME, with requirements.txt installed) and BAVN_BINARY. Where PyPI does not answer it says SKIPPED and ends.
root=$(cd ../../.. && pwd)
export BAVN_BINARY=${BAVN_BINARY:-$root/build/dev/src/app/bavn}
[ -x "$BAVN_BINARY" ] || { echo "the binary $BAVN_BINARY is missing: build the target bavn first"; exit 1; }
export BAVN_CORPORA=${BAVN_CORPORA:-$root/../shared/corpora}
venv=$root/build/$1
if ! cmp -s requirements.txt "$venv/installed_requirements.txt"; then
  python3 -m venv "$venv"
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt; then
    echo "SKIPPED: $2 could not be installed from PyPI"
    exit 0
  fi
  cp requirements.txt "$venv/installed_requirements.txt"
fi
