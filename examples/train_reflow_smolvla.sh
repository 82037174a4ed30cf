#!/usr/bin/env bash
# Distils a fine-tuned SmolVLA into a student that acts in one or a few steps, checks the checkpoint, and says how to publish it.
#
#   examples/train_reflow_smolvla.sh TEACHER DATASET [OUT]
#
#   TEACHER  a SmolVLA checkpoint: a pretrained_model folder, or a Hub repository such as user/my_smolvla
#   DATASET  the LeRobot dataset that the teacher was trained on, such as user/my_dataset
#   OUT      the run's folder (outputs/train/reflow)
#
# No teacher yet? Fine-tune one first:
#   lerobot-train --policy.path=lerobot/smolvla_base --policy.push_to_hub=false --dataset.repo_id=DATASET --steps=20000 --batch_size=64
#
# Environment:
#   GPUS=4         trains on several GPUs: `accelerate launch --num_processes 4`. Batch size is per GPU; every rank draws noise of its own.
#   STEPS, BATCH   steps (20000) and batch size (64)
#   SHARE_VLM=true student and teacher use one VLM in memory (about 0.7 GB less in BF16). What is saved is the same, byte for byte.
#   EXTRA="…"      more arguments for lerobot-train, split at blanks
#
# Exit status: that of `ckpt verify` for the student, 0 or 1; anything else where a step could not run, which ends the script there.
set -euo pipefail

if [[ $# -lt 2 ]]; then
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi
teacher=$1 dataset=$2 out=${3:-outputs/train/reflow}
read -r -a extra <<<"${EXTRA:-}"

launch=(lerobot-train)
if [[ ${GPUS:-1} -gt 1 ]]; then
    launch=(accelerate launch --num_processes "$GPUS" --multi_gpu "$(command -v lerobot-train)")
fi

# --policy.type and --policy.use_reflow   select the reflow policy; the same as --policy.type=smolvla_reflow
# --policy.teacher_num_steps              Euler steps of the teacher per target; more is slower and closer to its true path
# --policy.time_sampling                  half of the times at exactly t = 1, pure noise: that is where a one-step student is asked
# --policy.num_steps                      steps that the saved policy takes when it acts
# --policy.optimizer_lr                   distillation wants a smaller rate than fine-tuning; weights have F32 masters, so it takes effect
"${launch[@]}" \
    --policy.type=smolvla \
    --policy.use_reflow=True \
    --policy.teacher_model_path="$teacher" \
    --policy.teacher_num_steps=10 \
    --policy.time_sampling=endpoint_mixture \
    --policy.num_steps="${NUM_STEPS:-1}" \
    --policy.optimizer_lr=2e-5 \
    --policy.share_vlm="${SHARE_VLM:-false}" \
    --policy.push_to_hub=false \
    --dataset.repo_id="$dataset" \
    --batch_size="${BATCH:-64}" \
    --steps="${STEPS:-20000}" \
    --output_dir="$out" \
    ${extra[@]+"${extra[@]}"}

student=$out/checkpoints/last/pretrained_model

# Runs a look at the student. What it finds (exit code 1) is printed and does not end the script; that it could not run (2) does.
look() {
    found=0
    "$@" || found=$?
    [[ $found -le 1 ]] || exit "$found"
}

# Same names, shapes, dtypes and config as the teacher; only the expert's values may differ. Exit code 1 says that something differs.
if [[ -d $teacher ]]; then
    look ckpt diff "$teacher" "$student"
fi

# What stock LeRobot would make of it: 0 is clean.
look ckpt verify --values "$student"
verified=$found

# What stands between it and an upload: a model card, paths of this machine in train_config.json. Exit code 1 says that something does.
look ckpt gate "$student"
echo "When the gate has nothing to say: ckpt upload <user>/<repository> $student"
exit "$verified"
