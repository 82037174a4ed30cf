#!/bin/sh
# Show what the tool does, on fixtures that it makes first. $1 is the folder of the commands.
set -eu
cd "$(dirname "$0")/.."
bin=${1:-.venv/bin}

run() {
    printf '\n$ %s\n' "$*"
    command=$1
    shift
    "$bin/$command" "$@"
}

printf 'Making the fixtures: small checkpoints with the real SmolVLA key layout.\n'
run python fixtures/make.py
printf '\nWhat a checkpoint is:\n'
run ckpt show fixtures/normal
printf '\nWhat is wrong with a reflow checkpoint that was saved as it was trained (exit status 1 says: different):\n'
run ckpt diff fixtures/normal fixtures/reflow || [ $? -eq 1 ]
printf '\nThe same checkpoint repaired, in a new folder, and compared again:\n'
rm -rf outputs/demo
mkdir -p outputs/demo
run ckpt sanitize fixtures/reflow --reference fixtures/normal --output outputs/demo/clean
run ckpt diff fixtures/normal outputs/demo/clean --ignore 'train_config.**'
printf '\nA whole reflow training, offline and at toy size: a teacher, its student, a baseline, what differs, and what one step is worth.\n'
run python examples/quickstart/run.py
