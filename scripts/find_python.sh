#!/bin/sh
# Print the path of a Python >= 3.12 (onnx2tf 2.x needs it): PYTHON if given, else PATH, else pyenv's folder.
suitable() { "$1" -c 'import sys; raise SystemExit(not (3, 12) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
if [ -n "$PYTHON" ]; then
  suitable "$PYTHON" && command -v "$PYTHON" && exit 0
  echo "PYTHON=$PYTHON is not a Python 3.12 or 3.13" >&2
  exit 1
fi
for candidate in python3.12 python3 python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python; do
  if command -v "$candidate" >/dev/null 2>&1 && suitable "$candidate"; then
    command -v "$candidate"
    exit 0
  fi
done
echo "no Python 3.12 or 3.13 found: install one ('pyenv install 3.12', or your system's python3.12 with venv) and run: make PYTHON=/path/to/python3.12 ..." >&2
exit 1
