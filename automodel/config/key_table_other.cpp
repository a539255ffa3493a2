#include "automodel/config/schema.h"

namespace automodel::config {

const std::vector<KeyRow>& other_key_rows() {
  using enum KeyClass;
  static const std::vector<KeyRow> kRows = {
      // NeMo AutoModel's own continuous integration; ignored by training
      {"", "ci", "section", kInert, "", "drives NeMo AutoModel's own tests"},
      {"ci", "recipe_owner time known_issue_id cluster_tag vllm_deploy_known_issue_id vllm_deploy_time", "text|null",
       kInert, "", ""},
      {"ci", "nodes ep_size nproc_per_node max_steps local_batch_size vllm_deploy_gpus", "int[1,]", kInert, "", ""},
      {"ci", "allow_failure vllm_deploy vllm_smoke_test node_multiplier vllm_enable_expert_parallel", "bool", kInert,
       "", ""},
      {"ci", "nightly release convergence", "section", kInert, "", ""},
      {"ci", "env_vars", "section", kInert, "", ""},
      {"ci.env_vars",
       "HF_HUB_OFFLINE HF_HOME HF_TOKEN HF_DATASETS_OFFLINE TRANSFORMERS_OFFLINE MAX_STEPS MKL_NUM_THREADS "
       "OMP_NUM_THREADS "
       "NUM_OF_HYBRID_EP_RANKS_PER_NVLINK_DOMAIN NUM_OF_STAGES_G2S_COMBINE_API PYTORCH_ALLOC_CONF "
       "PYTORCH_CUDA_ALLOC_CONF "
       "RDZV_TIMEOUT REQUIRE_FINITE_METRICS NCCL_DEBUG NCCL_IB_DISABLE NCCL_P2P_DISABLE NCCL_NVLS_ENABLE NCCL_TIMEOUT "
       "NVSHMEM_DISABLE_CUDA_VMM CUDA_DEVICE_MAX_CONNECTIONS CUDA_VISIBLE_DEVICES CUBLAS_WORKSPACE_CONFIG "
       "TOKENIZERS_PARALLELISM "
       "TORCH_NCCL_AVOID_RECORD_STREAMS USE_MNNVL LOGGING_LEVEL",
       "text", kInert, "", ""},
      {"ci", "checkpoint_robustness", "section", kInert, "", ""},
      {"ci.checkpoint_robustness",
       "tokenizer_name resume_tolerance_profile hf_adapter_ignored_key_prefix experts_implementation", "text", kInert,
       "", ""},
      {"ci.checkpoint_robustness",
       "no_check_resume trust_remote_code check_source_load_parity hf_device_map_auto process_isolation "
       "check_fused_qkv_keys "
       "check_phantom_keys hf_source_post_load_dequantize skip_hf_logit_parity vllm_merge_lora",
       "bool", kInert, "", ""},
      {"ci.checkpoint_robustness",
       "hf_kl_threshold kl_threshold cross_tp_kl_threshold source_load_cosine_threshold source_load_kl_threshold "
       "source_load_mean_kl_threshold training_reproducibility_loss_threshold",
       "float[0,]", kInert, "", ""},
      {"ci.checkpoint_robustness", "cross_tp_size", "int[1,]", kInert, "", ""},
      {"ci", "downstream_eval", "section", kInert, "", ""},
      {"ci.downstream_eval", "tasks metric tokenizer extra_model_args gen_kwargs", "text|list<text>", kInert, "", ""},
      {"ci.downstream_eval", "baseline stderr k", "float[0,]", kInert, "", ""},
      {"ci.downstream_eval", "tp_size dp_size", "int[1,]", kInert, "", ""},
      {"ci.downstream_eval", "thinking", "bool", kInert, "", ""},

      // launchers
      {"", "skypilot", "section", kLacking, "!null", "launching through SkyPilot"},
      {"skypilot", "cloud accelerators region zone instance_type job_name setup hf_token wandb_key job_dir",
       "text|null", kObeyed, "", ""},
      {"skypilot", "num_nodes disk_size", "int[1,]", kObeyed, "", ""},
      {"skypilot", "use_spot", "bool", kObeyed, "", ""},
      {"", "nemo_run", "map|null", kLacking, "!null", "launching through NeMo-Run"},

      // vision-language recipes
      {"", "freeze_config", "section", kLacking, "!null", "freezing parts of a vision-language model"},
      {"freeze_config", "freeze_language_model freeze_vision_tower freeze_audio_tower freeze_embeddings", "bool",
       kObeyed, "", ""},
      {"", "processor", "section", kLacking, "!null", "image processors"},
      {"processor", "_target_", "target:processor", kObeyed, "", ""},
      {"processor", "pretrained_model_name_or_path", "string", kObeyed, "", ""},
      {"processor", "trust_remote_code", "bool", kInert, "", ""},
      {"processor", "padding_side", "=left|=right", kObeyed, "", ""},
      {"processor", "min_pixels max_pixels", "int[1,]", kObeyed, "", ""},
      {"processor", "video_processor", "section", kObeyed, "", ""},
      {"processor.video_processor", "_target_", "target:video_processor", kObeyed, "", ""},
      {"processor.video_processor", "size", "section", kObeyed, "", ""},
      {"processor.video_processor.size", "shortest_edge longest_edge", "int[1,]", kObeyed, "", ""},
      {"processor.video_processor", "fps", "float(0,]", kObeyed, "", ""},
      {"processor.video_processor", "max_frames", "int[1,]", kObeyed, "", ""},
      {"", "performance", "section", kInert, "", "tunes the diffusion recipe"},
      {"performance", "check_loss grad_clip_foreach", "bool", kInert, "", ""},

      // data sets of other recipes
      {"dataset", "paths", "string|map|list<string|float>", kObeyed, "", ""},
      {"dataset",
       "index_mapping_dir file_pattern tulu_split magicoder_split prompt data_type model_type audio_column text_column "
       "system_prompt user_prompt object_storage_config dataloader_type",
       "string|null", kObeyed, "", ""},
      {"dataset", "splits_to_build", "string|list<string>|null", kObeyed, "", ""},
      {"dataset", "responses data_dir_list", "string|list<any>|null", kObeyed, "", ""},
      {"dataset",
       "num_train_samples num_val_samples num_test_samples num_dataset_builder_threads max_turns limit_total "
       "max_length "
       "num_images_per_sample n_passages num_groups completions_per_group prompt_len "
       "completion_len sampling_rate num_labels",
       "int[0,]|null", kObeyed, "", ""},
      {"dataset", "min_audio_duration_seconds max_audio_duration_seconds", "float[0,]|null", kObeyed, "", ""},
      {"dataset", "bos_token data_seed", "int[0,]|null", kObeyed, "", ""},
      {"dataset", "image_size", "int[1,]|list<int[1,]>", kObeyed, "", ""},
      {"dataset",
       "mmap_bin_files shuffle_files align_to_bos reset_position_ids reset_attention_mask eod_mask_loss "
       "add_extra_token "
       "use_dataset_instruction do_shuffle inject_fake_images truncate pretokenize",
       "bool", kObeyed, "", ""},
      {"dataset",
       "max_buffer_size expected_num_tokens max_num_tokens max_num_tokens_per_sample prefer_buffer_before "
       "max_latent_size "
       "max_num_patch_per_side vae_image_downsample vit_patch_size",
       "int[1,]", kObeyed, "", ""},
      {"dataset", "text_cond_dropout_prob vae_cond_dropout_prob vit_cond_dropout_prob", "float[0,1]", kObeyed, "", ""},
      {"dataset", "interpolate_pos use_flex", "bool", kObeyed, "", ""},
      {"dataset", "dataset_info grouped_datasets", "map", kObeyed, "", ""},

      // distillation
      {"", "teacher_model", "section", kLacking, "!null", "knowledge distillation"},
      {"", "teacher_distributed", "section", kLacking, "!null", "knowledge distillation"},
      {"", "separate_meshes offload_teacher_model", "bool", kLacking, "true", "knowledge distillation"},
      {"", "kd_ratio", "float[0,1]", kLacking, "", "knowledge distillation"},
      {"", "temperature", "float(0,]", kLacking, "", "knowledge distillation"},
      {"", "kd_loss_fn", "section", kLacking, "!null", "knowledge distillation"},
      {"kd_loss_fn", "_target_", "target:kd_loss_fn", kObeyed, "", ""},
      {"kd_loss_fn", "ignore_index", "=-100", kObeyed, "", ""},
      {"kd_loss_fn", "temperature", "float(0,]", kObeyed, "", ""},
      {"kd_loss_fn", "fp32_upcast", "bool", kObeyed, "", ""},
      {"kd_loss_fn", "chunk_size", "int[0,]", kObeyed, "", ""},
      {"kd_loss_fn", "tp_group", "null", kObeyed, "", ""},
      {"", "distill_loss mse_loss infonce_distill_loss", "map|null", kLacking, "!null", "embedding distillation"},
      {"", "distill_loss_weight mse_loss_weight infonce_distill_loss_weight", "float[0,]", kLacking, "",
       "embedding distillation"},
      {"", "mining", "section", kLacking, "!null", "mining of hard negatives"},
      {"mining",
       "corpus_chunk_size document_embedding_batch_size hard_negatives_to_mine mining_batch_size passage_max_length "
       "query_embedding_batch_size query_max_length",
       "int[1,]", kObeyed, "", ""},
      {"mining", "hard_neg_margin", "float", kObeyed, "", ""},
      {"mining", "hard_neg_margin_type passage_prefix query_prefix", "string", kObeyed, "", ""},
      {"mining", "load_embeddings_from_cache use_negatives_from_file", "bool", kObeyed, "", ""},

      // diffusion, diffusion language models, drafts for speculative decoding
      {"", "fsdp", "section", kLacking, "!null", "diffusion models"},
      {"", "ddp", "section", kLacking, "!null", "diffusion models"},
      {"ddp", "activation_checkpointing find_unused_parameters", "bool", kObeyed, "", ""},
      {"ddp", "backend", "string", kObeyed, "", ""},
      {"", "ema", "section", kLacking, "!null", "averaged weights"},
      {"ema", "decay", "float[0,1]", kObeyed, "", ""},
      {"ema", "implementation", "string", kObeyed, "", ""},
      {"", "flow_matching", "section", kLacking, "!null", "diffusion models"},
      {"flow_matching", "adapter_type timestep_sampling loss_weighting_scheme", "string", kObeyed, "", ""},
      {"flow_matching", "adapter_kwargs", "map|null", kObeyed, "", ""},
      {"flow_matching", "log_interval summary_log_interval num_train_timesteps", "int[1,]", kObeyed, "", ""},
      {"flow_matching", "use_loss_weighting use_sigma_noise", "bool", kObeyed, "", ""},
      {"flow_matching",
       "i2v_prob sigma_max sigma_min flow_shift logit_mean logit_std mix_uniform_ratio cfg_dropout_prob beta_alpha "
       "beta_beta",
       "float", kObeyed, "", ""},
      {"", "data", "section", kLacking, "!null", "diffusion models"},
      {"data", "dataloader", "section", kObeyed, "", ""},
      {"data.dataloader", "_target_", "target:media_loader", kObeyed, "", ""},
      {"data.dataloader", "cache_dir model_type", "string", kObeyed, "", ""},
      {"data.dataloader", "num_workers quantization prefetch_factor seed", "int[0,]", kObeyed, "", ""},
      {"data.dataloader", "base_resolution", "list<int[1,]>", kObeyed, "", ""},
      {"data.dataloader", "dynamic_batch_size shuffle drop_last train_text_encoder pin_memory", "bool", kObeyed, "",
       ""},
      {"", "vae", "section", kLacking, "!null", "diffusion models"},
      {"vae", "enable_cpu_offload enable_slicing enable_tiling", "bool", kObeyed, "", ""},
      {"", "inference", "map|null", kLacking, "!null", "diffusion models"},
      {"", "output", "section", kLacking, "!null", "diffusion models"},
      {"output", "output_dir", "string", kObeyed, "", ""},
      {"output", "fps", "float(0,]", kObeyed, "", ""},
      {"output", "audio_sample_rate", "int[1,]|null", kObeyed, "", ""},
      {"model",
       "mode checkpoint lora_adapter_name attention_backend pooling stage checkpoint_high_noise checkpoint_low_noise",
       "text|null", kLacking, "!null", "diffusion and retrieval models"},
      {"model", "pipeline_spec", "map|null", kLacking, "!null", "diffusion models"},
      {"model", "lora_scale boundary_ratio temperature", "float", kLacking, "", "diffusion and retrieval models"},
      {"model", "lora_weights", "string|null", kLacking, "!null", "diffusion models"},
      {"model", "compute_dtype", "dtype", kLacking, "", "diffusion models"},
      {"model",
       "l2_normalize do_distributed_inbatch_negative detach_distributed_inbatch_negatives transformer_engine_fp8 "
       "transformer_engine_linear fuse_qkv_projections self_conditioning optimize_hunyuan_flash_varlen_mask",
       "bool", kLacking, "true", "diffusion and retrieval models"},
      {"", "dllm", "section", kLacking, "!null", "diffusion language models"},
      {"dllm", "mode", "string", kObeyed, "", ""},
      {"dllm", "eps ar_loss_alpha half_life_ratio clean_loss_weight", "float|null", kObeyed, "", ""},
      {"dllm", "mask_token_id block_size pad_block_size pad_seq_len_divisible vocab_size block_length", "int[0,]|null",
       kObeyed, "", ""},
      {"dllm", "supervise_padding auto_balance_clean_loss", "bool", kObeyed, "", ""},
      {"", "dflash", "section", kLacking, "!null", "diffusion language models"},
      {"dflash", "block_size num_blocks_per_sample", "int[0,]", kObeyed, "", ""},
      {"dflash", "loss_decay_gamma", "float", kObeyed, "", ""},
      {"dflash", "target_model_id attention_backend", "string", kObeyed, "", ""},
      {"dflash", "target_torch_dtype", "dtype", kObeyed, "", ""},
      {"dflash", "overlap_anchors use_fused_linear_ce", "bool", kObeyed, "", ""},
      {"", "recipe_args", "section", kLacking, "!null", "drafts for speculative decoding"},
      {"recipe_args",
       "micro_batch_size num_workers seq_length shuffle_seed grad_accumulation_steps log_every_steps num_epochs "
       "draft_num_hidden_layers draft_vocab_size ttt_steps mask_token_id block_size num_anchors packed_sequence_size "
       "ckpt_every_steps markov_rank cache_shard_size conv_group_size conv_kernel_size feature_noise_reference_seq_len "
       "num_depths "
       "num_draft_layers rank_loss_topk seed selector_rank selector_top_k sequence_partitions draft_head_dim "
       "draft_num_attention_heads draft_num_key_value_heads draft_sliding_window emb_dim gru_hidden_dim "
       "image_max_pixels "
       "kd_chunk_size mtp_steps num_query_tokens pure_draft_prefix_len target_num_hidden_layers target_prefetch_depth",
       "int[0,]|null", kObeyed, "", ""},
      {"recipe_args",
       "max_grad_norm loss_decay_gamma hidden_loss_weight token_loss_weight ce_loss_alpha confidence_head_alpha "
       "l1_loss_alpha "
       "down_sample_ratio down_sample_ratio_min feature_noise_std rank_loss_weight selector_loss_weight kd_temperature "
       "lambda_base_decay_ratio lambda_base_start prob_loss_weight",
       "float|null", kObeyed, "", ""},
      {"recipe_args",
       "trust_remote_code freeze_embeddings confidence_head_with_markov target_enable_fsdp_optimizations "
       "target_force_hf "
       "save_checkpoint_every_epoch fc_norm norm_output parallel_drafting cp_zigzag shard_dense_target shift_label",
       "bool", kObeyed, "", ""},
      {"recipe_args",
       "target_model_name_or_path train_data_path output_dir val_data_path train_split val_split "
       "draft_attn_implementation "
       "attention_backend markov_head_type target_attn_implementation target_experts target_attn_backend "
       "target_dispatcher "
       "chat_template selected_token_ids_path target_model_backend cache_dtype cache_output_dir draft_init_from "
       "draft_weights_path",
       "string|null", kObeyed, "", ""},
      {"recipe_args", "target_layer_ids", "list<int[0,]>|null", kObeyed, "", ""},
      {"recipe_args", "remote_urls", "list<string>|null", kObeyed, "", ""},
      {"recipe_args", "sglang_args vllm_args", "map|null", kObeyed, "", ""},
      {"", "datasets", "any", kLacking, "", "several data sets in one list"},
  };
  return kRows;
}

const std::vector<KeyRow>& hf_config_rows() {
  using enum KeyClass;
  static const std::vector<KeyRow> kRows = {
      {"hf",
       "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads max_position_embeddings n_embd "
       "n_head "
       "n_layer n_positions n_ctx moe_intermediate_size num_experts num_local_experts n_routed_experts "
       "num_experts_per_tok",
       "int[1,]", kObeyed, "", ""},
      {"hf",
       "num_key_value_heads head_dim n_inner sliding_window max_window_layers layer_group_size sliding_window_pattern "
       "q_lora_rank kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim n_group topk_group first_k_dense_replace "
       "n_shared_experts decoder_sparse_step type_vocab_size "
       "canvas_length block_size bos_token_id pad_token_id max_latent_size teacher_hidden_size "
       "original_max_position_embeddings",
       "int[0,]|null", kObeyed, "", ""},
      {"hf", "eos_token_id", "int[0,]|list<int[0,]>|null", kObeyed, "", ""},
      {"hf",
       "rms_norm_eps layer_norm_epsilon layer_norm_eps initializer_range rope_theta rope_local_base_freq "
       "partial_rotary_factor "
       "attention_dropout embd_pdrop resid_pdrop attn_pdrop hidden_dropout final_logit_softcapping "
       "attn_logit_softcapping "
       "query_pre_attn_scalar routed_scaling_factor logits_scaling embedding_multiplier "
       "residual_multiplier attention_multiplier",
       "float[0,]|null", kObeyed, "", ""},
      {"hf",
       "tie_word_embeddings attention_bias mlp_bias use_sliding_window norm_topk_prob scale_attn_weights "
       "scale_attn_by_inverse_layer_idx reorder_and_upcast_attn "
       "kda_unpad_inputs kda_use_fused_gate kda_use_qk_l2norm_in_kernel copy_init_moe llm_qk_norm",
       "bool", kObeyed, "", ""},
      {"hf", "use_cache output_hidden_states output_attentions", "bool", kInert, "", "without effect on training"},
      {"hf", "num_nextn_predict_layers num_mtp_modules mtp_num_hidden_layers", "int[0,]|null", kMapped, "",
       "kept in the config; the families of this build predict one token ahead"},
      {"hf", "router_aux_loss_coef", "float[0,]|null", kMapped, "",
       "kept in the config; the families of this build have no experts"},
      {"hf",
       "hidden_act hidden_activation activation_function model_type kda_mode topk_method cp_full_attn_backend "
       "dlm_paradigm "
       "init_mode layer_module llm_path vae_path vit_path extract_submodel",
       "string|null", kObeyed, "", ""},
      {"hf", "dtype", "dtype|=auto", kObeyed, "", ""},
      {"hf", "architectures layer_types", "list<string>|null", kObeyed, "", ""},
      {"hf", "mlp_only_layers compress_ratios capture_layers", "list<float>|null", kObeyed, "", ""},
      {"hf", "rope_scaling rope_parameters", "section", kObeyed, "", ""},
      {"hf.rope_scaling", "type rope_type", "string", kObeyed, "", ""},
      {"hf.rope_scaling",
       "factor low_freq_factor high_freq_factor beta_fast beta_slow attention_factor mscale mscale_all_dim "
       "rope_theta partial_rotary_factor",
       "float[0,]|null", kObeyed, "", ""},
      {"hf.rope_scaling", "original_max_position_embeddings", "int[1,]", kObeyed, "", ""},
      {"hf.rope_scaling", "short_factor long_factor", "list<float>", kObeyed, "", ""},
      {"hf.rope_scaling", "truncate", "bool", kObeyed, "", ""},
      {"hf", "id2label label2id", "map|null", kObeyed, "", ""},
  };
  return kRows;
}

}  // namespace automodel::config
