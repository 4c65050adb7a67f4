#!/usr/bin/env bash
# Run a command while two Moto G6 of software are on adb, and end them by their process id whatever happens.
#
#   scripts/with_emulated_phones.sh .venv/bin/fer-lab doctor --lab examples/lab-emulated.toml
#
# They listen on 15555 and 15556 (PORT=... for others), their control channel on 15500; logs go to a temporary file.
set -euo pipefail
bin="$(dirname "$0")/../.venv/bin"
log="$(mktemp)"
"$bin/fer-lab" emulate --phones 2 --port "${PORT:-15555}" --control-port "${CONTROL_PORT:-15500}" \
  --speed "${SPEED:-1}" --json >"$log" 2>&1 &
phones=$!
trap 'kill "$phones" 2>/dev/null; wait "$phones" 2>/dev/null || true; rm -f "$log"' EXIT
until grep -q '"udid"' "$log"; do
  if ! kill -0 "$phones" 2>/dev/null; then cat "$log" >&2; exit 1; fi
  sleep 0.2
done
"$@"
