#!/usr/bin/env bash
# Distill a fine-tuned SmolVLA into a student that acts in one or a few steps, check the checkpoint, and print the upload command.
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
#   GPUS=4         train on several GPUs with `accelerate launch --num_processes 4`; the batch size is per GPU, and every rank draws its own noise
#   STEPS, BATCH   number of steps (20000) and batch size (64)
#   SHARE_VLM=true keep one VLM in memory for student and teacher (saves about 0.7 GB in BF16); the saved files are identical
#   EXTRA="…"      more arguments for lerobot-train, separated by spaces
#
# Exit status: that of `ckpt verify` on the student, 0 or 1. If a step could not run, the script ends there with another status.
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

# --policy.type and --policy.use_reflow   select the reflow policy; same as --policy.type=smolvla_reflow
# --policy.teacher_num_steps              the teacher's Euler steps per target; more steps are slower and more accurate
# --policy.time_sampling                  half of the times are exactly t = 1, pure noise, where a one-step student starts
# --policy.num_steps                      the saved policy's number of Euler steps
# --policy.optimizer_lr                   smaller than for fine-tuning; F32 master weights keep such small updates effective
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

# Run a check. Findings (exit status 1) do not end the script; a check that could not run (exit status 2) does.
check() {
    found=0
    "$@" || found=$?
    [[ $found -le 1 ]] || exit "$found"
}

# Names, shapes, dtypes and config must equal the teacher's; only the tensor values of the action expert may differ. 1 means different.
if [[ -d $teacher ]]; then
    check ckpt diff "$teacher" "$student"
fi

# Check whether stock LeRobot can load and run it.
check ckpt verify --values "$student"
verified=$found

# Check what is missing for an upload: usually a model card, and local paths in train_config.json.
check ckpt gate "$student"
echo "When the gate passes, upload the student: ckpt upload <user>/<repository> $student"
exit "$verified"
