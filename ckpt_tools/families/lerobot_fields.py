"""The fields of config.json that each policy type has in LeRobot 0.6.1, which rejects all others.

A policy's file in `data/lerobot/` has them; here are those of the types without a file, words of
the dataclasses `configuration_*.py`. SmolVLA's are its own family's, with what older releases lack.
A test compares all with the installed LeRobot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ckpt_tools.families.family_file import load
from ckpt_tools.families.smolvla.facts import SMOLVLA

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVERY = """
    type device input_features license n_obs_steps output_features pretrained_path
    pretrained_revision private push_to_hub repo_id tags use_amp use_peft
"""
_WITHOUT_FILE = {
    "evo1": """
        action_head apply_training_stage_defaults binarize_gripper chunk_size
        default_embodiment_id dropout embed_dim embodiment_id_field empty_cameras
        enable_gradient_checkpointing finetune_action_head finetune_language_model
        finetune_vision_model finetune_vlm gradient_checkpointing_use_reentrant
        gripper_above_threshold_value gripper_below_threshold_value gripper_index
        gripper_threshold hidden_dim image_resolution max_action_dim max_state_dim
        max_text_length max_views n_action_steps normalization_mapping num_categories num_heads
        num_inference_timesteps num_layers optimizer_betas optimizer_eps
        optimizer_grad_clip_norm optimizer_lr optimizer_weight_decay postprocess_action_dim
        return_cls_only rtc_config scheduler_warmup_steps state_hidden_dim task_field
        training_stage use_flash_attn vlm_dtype vlm_model_name vlm_num_layers
    """,
    "molmoact2": """
        action_mode add_control_tokens add_setup_tokens checkpoint_force_download
        checkpoint_path checkpoint_revision chunk_size control_mode dataset_feature_names
        discrete_action_tokenizer discrete_generation_max_steps discrete_loss_token_weighting
        enable_inference_cuda_graph enable_knowledge_insulation enable_lora_action_expert
        enable_lora_vlm eval_seed expected_max_action_dim flow_matching_beta_alpha
        flow_matching_beta_beta flow_matching_cutoff flow_matching_time_offset
        flow_matching_time_scale freeze_embedding gradient_checkpointing image_keys
        inference_action_mode joint_offsets joint_signs lora_alpha lora_bias lora_dropout
        lora_rank mask_action_dim_padding max_sequence_length model_dtype n_action_steps
        norm_tag normalization_mapping normalize_gripper normalize_language num_flow_timesteps
        num_inference_steps num_state_tokens optimizer_action_expert_lr optimizer_betas
        optimizer_connector_lr optimizer_eps optimizer_grad_clip_norm optimizer_lr
        optimizer_vit_lr optimizer_weight_decay per_episode_seed rtc_config scheduler_decay_lr
        scheduler_decay_steps scheduler_warmup_steps setup_type softmax_auxiliary_loss
        softmax_auxiliary_loss_scale train_action_expert_only
    """,
    "vla_jepa": """
        action_attention_head_dim action_dim action_dropout action_hidden_size
        action_max_seq_len action_model_type action_noise_beta_alpha action_noise_beta_beta
        action_noise_s action_num_heads action_num_layers action_num_timestep_buckets
        binarize_gripper_action chunk_size clip_normalized_actions embodied_action_token
        enable_world_model freeze_qwen gripper_dim gripper_threshold jepa_encoder_name
        jepa_tubelet_size n_action_steps normalization_mapping num_action_tokens_per_timestep
        num_embodied_action_tokens_per_instruction num_inference_timesteps
        num_target_vision_tokens num_video_frames optimizer_betas optimizer_eps
        optimizer_grad_clip_norm optimizer_lr optimizer_weight_decay pre_snap_gripper_action
        predictor_depth predictor_dropout predictor_mlp_ratio predictor_num_heads
        prompt_template qwen_model_name reinit_modules repeated_diffusion_steps resize_images_to
        scheduler_decay_lr scheduler_decay_steps scheduler_warmup_steps special_action_token
        state_dim tokenizer_padding_side torch_dtype world_model_loss_weight
    """,
    "wall_x": """
        action_tokenizer_path attn_implementation chunk_size max_action_dim max_state_dim
        n_action_steps normalization_mapping optimizer_betas optimizer_eps
        optimizer_grad_clip_norm optimizer_lr optimizer_weight_decay prediction_mode
        pretrained_name_or_path scheduler_decay_lr scheduler_decay_steps scheduler_warmup_steps
        vision_attn_implementation
    """,
}


def known_fields(kind: str) -> frozenset[str]:
    """Return the fields that a policy type has, none where that is unknown."""
    if kind == SMOLVLA.name and SMOLVLA.cleaning:
        return SMOLVLA.cleaning.known
    words = _WITHOUT_FILE.get(kind)
    if words:
        return frozenset(f"{_EVERY} {words}".split())
    file = load("lerobot", kind)
    known = cast("Mapping[str, list[str]]", file.facts.get("known", {}) if file else {})
    return frozenset().union(*known.values())
