"""The fields of config.json that each policy type has in LeRobot 0.6.1, which rejects all others.

Words of the dataclasses `configuration_*.py`; SmolVLA's are its own family's, with what older
releases lack. A test compares them with the installed LeRobot.
"""

from __future__ import annotations

_EVERY = """
    type device input_features license n_obs_steps output_features pretrained_path
    pretrained_revision private push_to_hub repo_id tags use_amp use_peft
"""
_BY_TYPE = {
    "act": """
        chunk_size dim_feedforward dim_model dropout feedforward_activation kl_weight latent_dim
        n_action_steps n_decoder_layers n_encoder_layers n_heads n_vae_encoder_layers
        normalization_mapping optimizer_lr optimizer_lr_backbone optimizer_weight_decay pre_norm
        pretrained_backbone_weights replace_final_stride_with_dilation temporal_ensemble_coeff
        use_vae vision_backbone
    """,
    "diffusion": """
        beta_end beta_schedule beta_start clip_sample clip_sample_range compile_mode
        compile_model crop_is_random crop_ratio crop_shape diffusion_step_embed_dim
        do_mask_loss_for_padding down_dims drop_n_last_frames gradient_checkpointing horizon
        kernel_size n_action_steps n_groups noise_scheduler_type normalization_mapping
        num_inference_steps num_train_timesteps optimizer_betas optimizer_eps optimizer_lr
        optimizer_weight_decay prediction_type pretrained_backbone_weights resize_shape
        scheduler_name scheduler_warmup_steps spatial_softmax_num_keypoints
        use_film_scale_modulation use_group_norm use_separate_rgb_encoder_per_camera
        vision_backbone
    """,
    "eo1": """
        action_act attn_implementation chunk_size dtype force_fp32_autocast
        gradient_checkpointing image_max_pixels image_min_pixels max_action_dim max_period
        max_state_dim min_period n_action_steps normalization_mapping num_action_layers
        num_denoise_steps optimizer_betas optimizer_eps optimizer_grad_clip_norm optimizer_lr
        optimizer_weight_decay scheduler_decay_lr scheduler_decay_steps scheduler_warmup_steps
        supervise_padding_action_dims supervise_padding_actions time_sampling_beta_alpha
        time_sampling_beta_beta time_sampling_offset time_sampling_scale use_fast_processor
        vlm_base vlm_config
    """,
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
    "fastwam": """
        action_dim action_dit_config action_horizon action_scheduler action_video_freq_ratio
        base_model_id context_len fp32_attention freeze_video_expert image_size inference_seed
        load_text_encoder loss model_id mot_checkpoint_mixed_attn n_action_steps negative_prompt
        normalization_mapping num_inference_steps num_video_frames optimizer_lr
        optimizer_weight_decay prompt_template proprio_dim rand_device sigma_shift
        text_cfg_scale text_encoder_model_id tiled toggle_action_dimensions tokenizer_max_len
        tokenizer_model_id torch_dtype use_gradient_checkpointing video_dit_config
        video_scheduler
    """,
    "gaussian_actor": """
        actor_learner_config actor_network_kwargs async_prefetch concurrency dataset_stats
        discrete_critic_network_kwargs freeze_vision_encoder image_embedding_pooling_dim
        image_encoder_hidden_dim latent_dim normalization_mapping num_discrete_actions
        offline_buffer_capacity online_buffer_capacity online_step_before_learning online_steps
        policy_kwargs shared_encoder state_encoder_hidden_dim storage_device vision_encoder_name
    """,
    "groot": """
        action_decode_transform balance_dataset_weights balance_trajectory_weights
        base_model_path batch_size chunk_size dataloader_num_workers dataset_paths
        embodiment_tag image_size lora_alpha lora_dropout lora_full_model lora_rank
        max_action_dim max_state_dim max_steps model_params_fp32 n_action_steps
        normalization_mapping num_inference_timesteps optimizer_betas optimizer_eps optimizer_lr
        optimizer_weight_decay output_dir relative_exclude_joints report_to resume rtc_ramp_rate
        save_steps tokenizer_assets_repo tune_diffusion_model tune_llm tune_projector
        tune_top_llm_layers tune_visual tune_vlln use_bf16 use_flash_attention
        use_relative_actions video_backend warmup_ratio
    """,
    "lingbot_va": """
        action_dim action_guidance_scale action_num_inference_steps action_per_frame
        action_snr_shift attention_head_dim attn_mode attn_window camera_layout cross_attn_norm
        dtype eps ffn_dim frame_chunk_size freq_dim guidance_scale height image_hflip
        in_channels max_sequence_length normalization_mapping num_attention_heads
        num_inference_steps num_layers obs_cam_keys optimizer_betas optimizer_eps
        optimizer_grad_clip_norm optimizer_lr optimizer_weight_decay out_channels patch_size
        rope_max_seq_len save_predicted_video scheduler_warmup_steps snr_shift text_dim
        text_encoder_device used_action_channel_ids video_exec_step wan_pretrained_path width
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
    "multi_task_dit": """
        beta_end beta_schedule beta_start clip_sample clip_sample_range do_mask_loss_for_padding
        drop_n_last_frames dropout hidden_dim horizon image_crop_is_random image_crop_shape
        image_resize_shape integration_method n_action_steps noise_scheduler_type
        normalization_mapping num_heads num_inference_steps num_integration_steps num_layers
        num_train_timesteps objective optimizer_betas optimizer_eps optimizer_lr
        optimizer_weight_decay prediction_type rope_base scheduler_name scheduler_warmup_steps
        sigma_min text_encoder_name timestep_embed_dim timestep_sampling_alpha
        timestep_sampling_beta timestep_sampling_s timestep_sampling_strategy
        tokenizer_max_length tokenizer_padding tokenizer_padding_side tokenizer_truncation
        use_positional_encoding use_rope use_separate_rgb_encoder_per_camera
        vision_encoder_lr_multiplier vision_encoder_name
    """,
    "pi0": """
        action_expert_variant action_feature_names chunk_size compile_mode compile_model dtype
        empty_cameras freeze_vision_encoder gradient_checkpointing image_resolution
        max_action_dim max_period max_state_dim min_period n_action_steps normalization_mapping
        num_inference_steps optimizer_betas optimizer_eps optimizer_grad_clip_norm optimizer_lr
        optimizer_weight_decay paligemma_variant relative_exclude_joints rtc_config
        scheduler_decay_lr scheduler_decay_steps scheduler_warmup_steps time_sampling_beta_alpha
        time_sampling_beta_beta time_sampling_offset time_sampling_scale tokenizer_max_length
        train_expert_only use_relative_actions
    """,
    "pi05": """
        action_expert_variant action_feature_names chunk_size compile_mode compile_model dtype
        empty_cameras freeze_vision_encoder gradient_checkpointing image_resolution
        max_action_dim max_period max_state_dim min_period n_action_steps normalization_mapping
        num_inference_steps optimizer_betas optimizer_eps optimizer_grad_clip_norm optimizer_lr
        optimizer_weight_decay paligemma_variant relative_exclude_joints rtc_config
        scheduler_decay_lr scheduler_decay_steps scheduler_warmup_steps time_sampling_beta_alpha
        time_sampling_beta_beta time_sampling_offset time_sampling_scale tokenizer_max_length
        train_expert_only use_relative_actions
    """,
    "pi0_fast": """
        action_expert_variant action_feature_names action_tokenizer_name chunk_size compile_mode
        compile_model dtype empty_cameras fast_skip_tokens gradient_checkpointing
        image_resolution max_action_dim max_action_tokens max_decoding_steps max_state_dim
        n_action_steps normalization_mapping optimizer_betas optimizer_eps
        optimizer_grad_clip_norm optimizer_lr optimizer_weight_decay paligemma_variant
        relative_exclude_joints rtc_config scheduler_decay_lr scheduler_decay_steps
        scheduler_warmup_steps temperature text_tokenizer_name tokenizer_max_length use_kv_cache
        use_relative_actions validate_action_token_prefix
    """,
    "tdmpc": """
        advantage_scaling cem_iterations consistency_coeff discount elite_weighting_temperature
        expectile_weight gaussian_mean_momentum horizon image_encoder_hidden_dim latent_dim
        max_random_shift_ratio max_std min_std mlp_dim n_action_repeats n_action_steps n_elites
        n_gaussian_samples n_pi_samples normalization_mapping optimizer_lr pi_coeff
        q_ensemble_size reward_coeff state_encoder_hidden_dim target_model_momentum
        temporal_decay_coeff uncertainty_regularizer_coeff use_mpc value_coeff
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
    "vqbet": """
        action_chunk_size bet_softmax_temperature crop_is_random crop_shape dropout
        gpt_block_size gpt_hidden_dim gpt_input_dim gpt_n_head gpt_n_layer gpt_output_dim
        n_action_pred_token n_vqvae_training_steps normalization_mapping offset_loss_weight
        optimizer_betas optimizer_eps optimizer_lr optimizer_vqvae_lr
        optimizer_vqvae_weight_decay optimizer_weight_decay pretrained_backbone_weights
        primary_code_loss_weight scheduler_warmup_steps secondary_code_loss_weight
        sequentially_select spatial_softmax_num_keypoints use_group_norm vision_backbone
        vqvae_embedding_dim vqvae_enc_hidden_dim vqvae_n_embed
    """,
    "wall_x": """
        action_tokenizer_path attn_implementation chunk_size max_action_dim max_state_dim
        n_action_steps normalization_mapping optimizer_betas optimizer_eps
        optimizer_grad_clip_norm optimizer_lr optimizer_weight_decay prediction_mode
        pretrained_name_or_path scheduler_decay_lr scheduler_decay_steps scheduler_warmup_steps
        vision_attn_implementation
    """,
    "xvla": """
        action_mode chunk_size depth dim_time domain_feature_key dtype empty_cameras
        florence_config freeze_language_encoder freeze_vision_encoder hidden_size
        len_soft_prompts max_action_dim max_len_seq max_state_dim mlp_ratio n_action_steps
        normalization_mapping num_denoising_steps num_domains num_heads num_image_views
        optimizer_betas optimizer_eps optimizer_grad_clip_norm optimizer_lr
        optimizer_soft_prompt_lr_scale optimizer_soft_prompt_warmup_lr_scale
        optimizer_weight_decay pad_language_to resize_imgs_with_padding scheduler_decay_lr
        scheduler_decay_steps scheduler_warmup_steps tokenizer_max_length tokenizer_name
        tokenizer_padding_side train_policy_transformer train_soft_prompts use_hetero_proj
        use_proprio
    """,
}
FIELDS = {kind: frozenset(f"{_EVERY} {words}".split()) for kind, words in _BY_TYPE.items()}
"""The known fields by type."""
