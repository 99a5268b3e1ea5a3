# Makes .venv at the root of the project and installs what is missing; sourced by the other scripts.
# PYTHON names another interpreter (3.10 or newer).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "error: Python 3.10 or newer is needed; set PYTHON to such an interpreter" >&2; exit 2; }
  "${PYTHON:-python3}" -m venv --clear .venv
fi
stamp=.venv/.requirements
if ! cmp -s requirements.txt "$stamp"; then
  echo "installing what requirements.txt names into .venv"
  if ! .venv/bin/python -c 'import torch' 2>/dev/null && ! command -v nvidia-smi >/dev/null; then
    .venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check torch==2.13.0
  fi
  .venv/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$stamp"
fi
PATH="$PWD/.venv/bin:$PATH"
