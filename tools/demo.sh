#!/bin/sh
# Demonstrate the tool on fixtures that it generates first. $1 is the folder of the commands; $STEPS, if set, is the
# number of steps of each training.
set -eu
cd "$(dirname "$0")/.."
bin=${1:-.venv/bin}

run() {
    printf '\n$ %s\n' "$*"
    command=$1
    shift
    "$bin/$command" "$@"
}

printf 'Generate the fixtures, small checkpoints with the real SmolVLA layout:\n'
run python fixtures/make.py
printf '\nSummarize a checkpoint:\n'
run ckpt show fixtures/normal
printf '\nCompare a reflow checkpoint, saved as it was trained, with a normal one (exit status 1 means different):\n'
run ckpt diff fixtures/normal fixtures/reflow || [ $? -eq 1 ]
printf '\nRepair it into a new folder and compare again:\n'
rm -rf outputs/demo
mkdir -p outputs/demo
run ckpt sanitize fixtures/reflow --reference fixtures/normal --output outputs/demo/clean
run ckpt diff fixtures/normal outputs/demo/clean --ignore 'train_config.**'
printf '\nTrain a reflow student offline, at toy size: a teacher, its student and a baseline, with their differences and their results by number of steps:\n'
run python examples/quickstart/run.py ${STEPS:+--steps "$STEPS"}
