#!/bin/sh
# Make the virtual environment $1 (default .venv) with exactly what requirements/development.lock pins.
# Uses uv where it is installed, because it is faster; python3 with venv and pip otherwise. Says what it does.
set -eu
cd "$(dirname "$0")/.."
venv=${1:-.venv}

say() { printf 'install: %s\n' "$*"; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

# python3 first: pyenv and its like make it the version that .python-version names.
python=
for candidate in ${PYTHON:-} python3 python3.12 python3.13 python3.14 python; do
    if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
        python=$(command -v "$candidate")
        break
    fi
done

uv=$(command -v uv || true)
if [ -z "$python" ] && [ -z "$uv" ]; then
    {
        say "Python 3.12 or newer is needed, and none was found ($(python3 --version 2>&1 || echo 'no python3'))."
        say 'Get it with one of these, then run make again:'
        say '  apt install python3.12 python3.12-venv    (Ubuntu 24.04, Debian 13 as python3)'
        say '  brew install python@3.12                  (macOS)'
        say '  pyenv install 3.12                        (.python-version selects it)'
        say '  pip install uv                            (uv brings a Python of its own)'
        say 'or name one: make install PYTHON=/path/to/python3.12'
    } >&2
    exit 1
fi

if [ -n "$uv" ]; then
    say "making $venv with uv"
    "$uv" venv --quiet --clear --seed --python "${python:-3.12}" "$venv"
    say 'installing what requirements/development.lock pins (LeRobot and torch are most of it: 6 GB)'
    "$uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r requirements/development.lock
else
    say "making $venv with $python ($("$python" --version))"
    if ! "$python" -m venv --clear "$venv"; then
        say "$python has no venv; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
    say 'installing what requirements/development.lock pins (LeRobot and torch are most of it: about two minutes and 6 GB)'
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.lock
fi
