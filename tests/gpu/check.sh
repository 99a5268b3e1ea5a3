#!/usr/bin/env bash
# All that needs a GPU, in under eight minutes on one: the tests marked gpu, then a table of speeds. Exits 1 when a test
# fails. PYTHON names the interpreter; default: .venv's where there is one.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python="${PYTHON:-.venv/bin/python}"
command -v "$python" > /dev/null || python=python3
"$python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' ||
  { echo "error: $python sees no GPU; set PYTHON to an interpreter whose torch does" >&2; exit 2; }
export PYTHONUNBUFFERED=1  # so that a run that is cut off has said what it knows
"$python" -m pytest -q --show-capture=no -m gpu tests/gpu tests/metrics
failed=$?
"$python" tests/gpu/speed.py || failed=1
exit $failed
