#!/usr/bin/env bash
# Sets up all that the tests need (a virtual environment, the packages, a browser) and runs them.
# Arguments go to pytest: `bash tests/run.sh tests/test_parity.py`.
set -euo pipefail
cd "$(dirname "$0")/.."

has_browser() { { command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; }

# The headless shell is Chromium without its window: it opens a page for two thirds of the work.
install_browser() {
    if [ "$(id -u)" = 0 ]; then as_root=""; else as_root="sudo"; fi
    install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null; }
    $as_root apt-get update -qq || true
    install chromium-headless-shell || has_browser || install chromium
}
if ! command -v chromium-headless-shell >/dev/null && command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
        install_browser & # beside the packages
    elif ! has_browser; then
        install_browser || true
    fi
fi

# What is imported is compiled once, by who imports it first: an image may have switched that off, and each of the many
# processes that the tests start would do it anew, which takes it twice as long.
unset PYTHONDONTWRITEBYTECODE

python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r tests/requirements.txt
wait
if ! has_browser; then
    echo "No Chromium here: the tests of the page are skipped. Install chromium and run this again." >&2
fi

# Side by side, a file at a time; each process computes in one thread, for more would wait for each other.
OMP_NUM_THREADS=1 exec .venv/bin/python -m pytest -n 3 --dist loadfile "$@"
