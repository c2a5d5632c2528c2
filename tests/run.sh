#!/usr/bin/env bash
# Sets up all that the tests need (a virtual environment, the packages, a browser) and runs them.
# Arguments go to pytest: `bash tests/run.sh tests/test_parity.py`.
set -euo pipefail
cd "$(dirname "$0")/.."

python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt

if ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
    elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then
        sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
    else
        echo "No Chromium found: the tests of the page are skipped. Install chromium and run this again." >&2
    fi
fi

exec .venv/bin/python -m pytest "$@"
