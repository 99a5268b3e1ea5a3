#!/usr/bin/env bash
# One program on several machines, by torchrun: start it on each, with its number from 0, and the first one's address.
#
#   NODES=2 NODE=0 ADDRESS=host0 bash prepare/cluster/torchrun.sh --cfg configs/soke.yaml --nodebug
#   NODES=2 NODE=1 ADDRESS=host0 bash prepare/cluster/torchrun.sh --cfg configs/soke.yaml --nodebug
#
# PROCESSES: on each machine; default: as many as it has GPUs. PORT: default 29500. PROGRAM: train (default), test or
# get_motion_code. The repository's path, FOLDER, RESULTS and the data are the same on all machines: a shared file system.
# When a machine fails, all end within a minute; the same commands again continue from the last checkpoint.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${NODES:?how many machines}" "${NODE:?number of this machine, from 0}" "${ADDRESS:?of machine 0}"

.venv/bin/python -m torch.distributed.run \
    --nnodes "$NODES" --node-rank "$NODE" --nproc-per-node "${PROCESSES:-gpu}" \
    --master-addr "$ADDRESS" --master-port "${PORT:-29500}" \
    -m "${PROGRAM:-train}" "$@" TRAIN.RESUME=auto
