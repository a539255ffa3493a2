#include "automodel/config/names.h"

// The keys that kinds of data sets share.
#define ROW_KEYS                                                                                                 \
  "path_or_dataset_id path_or_dataset dataset_name split name revision limit_dataset_samples num_samples_limit " \
  "shuffle_seed seq_length truncation overlong padding pad_to_max_length tokenizer trust_remote_code streaming " \
  "skip_invalid_samples tokenized_cache sources weight epochs"
#define CHAT_KEYS \
  ROW_KEYS        \
  " chat_template mask_reasoning_content mask_history unshifted train_on train_field drop_history_reasoning_content"
#define ADAM_KEYS                                                                                                    \
  "lr weight_decay betas eps amsgrad foreach fused capturable differentiable state_dtype master_weights grad_dtype " \
  "non_finite_gradients param_group_overrides"
#define FUSED_KEYS                                                                                          \
  ADAM_KEYS                                                                                                 \
  " adam_w_mode bias_correction master_weight_dtype store_param_remainders exp_avg_dtype exp_avg_sq_dtype " \
  "set_grad_none use_decoupled_grad"
#define MEDIA_KEYS "path_or_dataset split limit_dataset_samples num_samples_limit"
#define AUDIO_KEYS                                                                                \
  MEDIA_KEYS                                                                                      \
  " sampling_rate audio_column text_column system_prompt user_prompt min_audio_duration_seconds " \
  "max_audio_duration_seconds name dataset_name"

namespace automodel::config {

const std::vector<NameRow>& name_table() {
  using enum KeyClass;
  static const std::vector<NameRow> kTable = {
      // recipes; the caller's capabilities say which are built
      {"recipe", "finetune",
       "TrainFinetuneRecipeForNextTokenPrediction $recipes.llm.train_ft.TrainFinetuneRecipeForNextTokenPrediction "
       "pretrain",
       kObeyed, "", ""},
      {"recipe", "benchmark",
       "BenchmarkingRecipeForNextTokenPrediction $recipes.llm.benchmark.BenchmarkingRecipeForNextTokenPrediction",
       kObeyed, "", ""},
      {"recipe", "vlm_finetune", "FinetuneRecipeForVLM $recipes.vlm.finetune.FinetuneRecipeForVLM", kObeyed, "", ""},
      {"recipe", "kd",
       "KnowledgeDistillationRecipeForNextTokenPrediction "
       "$recipes.llm.kd.KnowledgeDistillationRecipeForNextTokenPrediction",
       kObeyed, "", ""},
      {"recipe", "vlm_kd", "KnowledgeDistillationRecipeForVLM $recipes.vlm.kd.KnowledgeDistillationRecipeForVLM",
       kObeyed, "", ""},
      {"recipe", "classify",
       "TrainFinetuneRecipeForSequenceClassification "
       "$recipes.llm.train_seq_cls.TrainFinetuneRecipeForSequenceClassification",
       kObeyed, "", ""},
      {"recipe", "multimodal_finetune", "FinetuneRecipeForMultimodal", kObeyed, "", ""},
      {"recipe", "multimodal_pretrain", "PretrainRecipeForMultimodal", kObeyed, "", ""},
      {"recipe", "diffusion_lm", "DiffusionLMSFTRecipe DiffusionGemmaSFTRecipe", kObeyed, "", ""},
      {"recipe", "retrieval", "TrainBiEncoderRecipe TrainCrossEncoderRecipe EmbeddingDistillRecipe", kObeyed, "", ""},
      {"recipe", "speculative",
       "TrainEagle1Recipe TrainEagle2Recipe TrainEagle3Recipe TrainDSparkRecipe TrainDFlashRecipe TrainDFlash2Recipe "
       "TrainDominoRecipe TrainJetSpecRecipe TrainVispecRecipe TrainVispecStage1Recipe",
       kObeyed, "", ""},

      {"model", "from_pretrained",
       "$NeMoAutoModelForCausalLM.from_pretrained transformers.AutoModelForCausalLM.from_pretrained", kObeyed, "", ""},
      {"model", "from_config", "$NeMoAutoModelForCausalLM.from_config transformers.AutoModelForCausalLM.from_config",
       kObeyed, "", ""},
      {"model", "",
       "$NeMoAutoModelForImageTextToText.from_pretrained $NeMoAutoModelForImageTextToText.from_config "
       "$NeMoAutoModelForMultimodalLM.from_pretrained "
       "@models.gemma4_drafter.composite.Gemma4WithDrafter.from_pretrained",
       kLacking, "", "vision-language and multimodal models"},
      {"model", "", "$NeMoAutoModelForSequenceClassification.from_pretrained", kLacking, "", "sequence classification"},
      {"model", "",
       "$NeMoAutoModelBiEncoder.from_pretrained $NeMoAutoModelCrossEncoder.from_pretrained "
       "$_transformers.retrieval.RetrieverStudentWithProjection.build "
       "$_transformers.retrieval.RetrieverTeacherEmbeddingEncoder.build",
       kLacking, "", "retrieval models"},
      {"model", "", "$NeMoAutoModelForSeq2SeqLM.from_pretrained", kLacking, "", "encoder-decoder models"},
      {"model", "", "transformers.AutoModel.from_pretrained @models.bagel.build_bagel_model", kLacking, "",
       "models without a language-model head"},
      {"model", "", "@models.gpt2.build_gpt2_model", kLacking, "", "building a model without a config.json"},
      {"config", "",
       "transformers.AutoConfig.from_pretrained $_transformers.auto_config.NeMoAutoConfig.from_pretrained", kObeyed, "",
       ""},
      {"config", "",
       "@models.deepseek_v4.config.DeepseekV4Config.from_pretrained @models.deepseek_v4.config.DeepseekV4Config "
       "@models.deepseek_v32.config.DeepseekV32Config.from_pretrained "
       "@models.kimi_linear.config.KimiLinear48BConfig.from_pretrained "
       "@models.mimo_v2_flash.config.MiMoV2FlashConfig.from_pretrained "
       "transformers.models.qwen3_moe.configuration_qwen3_moe.Qwen3MoeConfig "
       "transformers.models.glm4_moe_lite.configuration_glm4_moe_lite.Glm4MoeLiteConfig",
       kLacking, "", "this family's config class"},
      {"backend", "",
       "@models.common.BackendConfig @models.common.utils.BackendConfig @models.bagel.configuration.BagelBackendConfig",
       kMapped, "", "this program has one implementation of each op and picks it itself"},
      {"te_fp8", "", "@models.common.utils.TEFp8Config", kMapped, "", "see te_fp8.recipe"},

      {"dataset", "chat", "@datasets.llm.chat_dataset.ChatDataset @datasets.llm.ChatDataset", kObeyed, CHAT_KEYS, ""},
      {"dataset", "column_mapped",
       "@datasets.llm.column_mapped_text_instruction_dataset.ColumnMappedTextInstructionDataset "
       "@datasets.llm.ColumnMappedTextInstructionDataset",
       kObeyed, ROW_KEYS " chat_template column_mapping answer_only_loss_mask use_hf_chat_template", ""},
      {"dataset", "squad", "@datasets.llm.squad.make_squad_dataset", kObeyed,
       ROW_KEYS " chat_template fp8 start_of_turn_token", ""},
      {"dataset", "hellaswag", "@datasets.llm.hellaswag.HellaSwag", kObeyed, ROW_KEYS, ""},
      {"dataset", "mock", "@datasets.llm.mock_iterable_dataset.MockIterableDataset", kObeyed,
       "vocab_size seq_len num_samples batch_size seed", ""},
      {"dataset", "mock_text", "@datasets.llm.mock.build_unpacked_dataset", kObeyed,
       "num_sentences num_samples mean_len std_len vocab_size max_sentence_len seed tokenizer", ""},
      {"dataset", "mock_packed", "@datasets.llm.mock_packed.build_packed_dataset", kObeyed,
       "num_blocks block_size mean_len std_len vocab_size max_sentence_len seed tokenizer", ""},
      {"dataset", "xlam", "@datasets.llm.xlam.make_xlam_dataset", kObeyed, CHAT_KEYS " fp8", ""},
      {"dataset", "agent_chat", "@datasets.llm.agent_chat.make_agent_chat_dataset", kObeyed,
       CHAT_KEYS " path truncate_history filter_no_assistant filter_overlong trim_incomplete_last_turn "
                 "train_on_last_turn_only",
       ""},
      {"dataset", "megatron",
       "@datasets.llm.megatron_dataset.MegatronPretraining @datasets.llm.megatron_dataset.MegatronPretrainingConfig",
       kObeyed,
       "paths seq_length tokenizer num_train_samples num_val_samples num_test_samples seed split index_mapping_dir "
       "splits_to_build mmap_bin_files object_storage_config num_dataset_builder_threads create_attention_mask "
       "reset_position_ids reset_attention_mask eod_mask_loss add_extra_token",
       ""},
      {"dataset", "nanogpt",
       "@datasets.llm.nanogpt_dataset.NanogptDataset @datasets.llm.nanogpt_dataset.NanogptDatasetConfig", kObeyed,
       "file_pattern seq_len shuffle_files align_to_bos bos_token", ""},
      {"dataset", "seq2seq", "@datasets.llm.seq2seq.make_seq2seq_dataset", kLacking, "", "encoder-decoder data"},
      {"dataset", "glue_mrpc", "@datasets.llm.seq_cls.GLUE_MRPC", kLacking, ROW_KEYS " num_labels max_length",
       "sentence pairs with labels"},
      {"dataset", "mock_rollout", "@datasets.llm.mock_prefix_tree.build_mock_rollout_dataset", kLacking,
       "num_groups completions_per_group prompt_len completion_len vocab_size seed", "prefix trees"},
      {"dataset", "column_mapped_stream",
       "@datasets.llm.column_mapped_text_instruction_iterable_dataset.ColumnMappedTextInstructionIterableDataset",
       kObeyed,
       ROW_KEYS " chat_template column_mapping answer_only_loss_mask use_hf_chat_template repeat_on_exhaustion", ""},
      {"dataset", "retrieval",
       "@datasets.llm.retrieval_dataset.RetrievalDatasetConfig @datasets.llm.make_retrieval_dataset", kLacking,
       "data_dir_list n_passages data_type model_type use_dataset_instruction seed do_shuffle data_seed",
       "retrieval data"},
      {"dataset", "vlm",
       "@datasets.vlm.datasets.make_medpix_dataset @datasets.vlm.datasets.make_rdr_dataset "
       "@datasets.vlm.datasets.make_cord_v2_dataset @datasets.vlm.datasets.make_shopify_product_catalogue_dataset",
       kLacking, MEDIA_KEYS, "images"},
      {"dataset", "vlm_text",
       "@datasets.vlm.datasets.make_tulu3_dataset @datasets.vlm.datasets.make_tulu3_magicoder_text_mix_dataset",
       kLacking,
       MEDIA_KEYS " max_turns limit_total seed tulu_split magicoder_split shuffle_seed truncate inject_fake_images",
       "chats of the VLM recipe"},
      {"dataset", "vlm_mock", "@datasets.vlm.mock.build_mock_vlm_dataset", kLacking,
       "num_samples num_images_per_sample image_size prompt responses max_length seed pretokenize", "images"},
      {"dataset", "vlm_meta", "@datasets.vlm.datasets.make_meta_dataset", kLacking, "", "images"},
      {"dataset", "audio",
       "@datasets.audio.datasets.make_hf_audio_asr_dataset @datasets.audio.datasets.make_cv17_dataset "
       "@datasets.audio.multi_en.make_multi_en_asr_dataset",
       kLacking, AUDIO_KEYS, "audio"},

      {"tokenizer", "auto",
       "transformers.AutoTokenizer.from_pretrained $NeMoAutoTokenizer.from_pretrained "
       "$_transformers.auto_tokenizer.NeMoAutoTokenizer.from_pretrained",
       kObeyed, "", ""},
      {"tokenizer", "", "@models.llama_nemotron_vl.processor.LlamaNemotronVLProcessor.from_pretrained", kLacking, "",
       "image processors"},
      {"dataloader", "packed", "torchdata.stateful_dataloader.StatefulDataLoader torch.utils.data.DataLoader", kMapped,
       "", "one loader of our own"},
      {"collate_fn", "default",
       "@datasets.utils.default_collater @datasets.utils.packed_sequence_thd_collater torch.utils.data.default_collate",
       kMapped, "", "batches are always packed, nothing is padded"},
      {"collate_fn", "",
       "@datasets.vlm.collate_fns.default_collate_fn @datasets.vlm.collate_fns.gemma4_prefix_collate_fn "
       "@datasets.vlm.collate_fns.qwen2_5_collate_fn @datasets.vlm.collate_fns.nemotron_omni_collate_fn "
       "@datasets.vlm.collate_fns.llava_onevision_collate_fn @datasets.vlm.collate_fns.kimi_k25_vl_collate_fn "
       "@datasets.vlm.collate_fns.kimi_vl_collate_fn @datasets.vlm.collate_fns.nemotron_parse_collate_fn "
       "@datasets.vlm.collate_fns.phi4_mm_collate_fn @datasets.vlm.collate_fns.qwen3_omni_collate_fn "
       "@datasets.utils.packed_sequence_thd_collater_vlm @datasets.audio.collate_fns.qwen2_5_omni_asr_collate_fn "
       "@datasets.audio.collate_fns.qwen3_omni_asr_collate_fn",
       kLacking, "", "batches with images or audio"},
      {"collate_fn", "",
       "@datasets.llm.prefix_tree.prefix_tree_collate_fn @datasets.llm.BiEncoderCollator "
       "@datasets.llm.CrossEncoderCollator "
       "@datasets.llm.ProcessorMethodCollator @datasets.llm.BiEncoderDistillCollator",
       kLacking, "", "retrieval and prefix-tree batches"},
      {"hook_fn", "", "@datasets.vlm.collate_fns.gemma4_inject_thinking_prefix", kLacking, "",
       "changing samples after tokenizing"},

      {"optimizer", "adam", "torch.optim.Adam", kObeyed, ADAM_KEYS, ""},
      {"optimizer", "adamw", "torch.optim.AdamW", kObeyed, ADAM_KEYS " bias_correction", ""},
      {"optimizer", "fused_adam",
       "transformer_engine.pytorch.optimizers.fused_adam.FusedAdam transformer_engine.pytorch.optimizers.FusedAdam",
       kMapped, FUSED_KEYS, "adamw (adam where adam_w_mode is false)"},
      {"optimizer", "flash_adamw", "flashoptim.FlashAdamW", kMapped,
       FUSED_KEYS " master_weight_bits compress_state_dict", "adamw with fp32 states and split master weights"},
      {"optimizer", "muon", "dion.Muon dion.NorMuon", kLacking, "", "the Muon optimizer"},
      {"optimizer", "dion", "dion.Dion dion.Dion2", kLacking, "", "the Dion optimizer"},

      {"loss_fn", "cross_entropy", "@loss.masked_ce.MaskedCrossEntropy", kObeyed,
       "fp32_upcast ignore_index reduction logit_softcapping", ""},
      {"loss_fn", "fused_linear_ce", "@loss.linear_ce.FusedLinearCrossEntropy", kMapped,
       "ignore_index logit_softcapping reduction fp32_upcast", "cross_entropy, which never forms the logits"},
      {"loss_fn", "chunked_ce", "@loss.chunked_ce.ChunkedCrossEntropy", kMapped,
       "chunk_len compile ignore_index reduction", "cross_entropy, which is computed in chunks"},
      {"loss_fn", "te_parallel_ce", "@loss.te_parallel_ce.TEParallelCrossEntropy", kMapped,
       "ignore_index reduction tp_group", "cross_entropy, which never forms the logits"},
      {"loss_fn", "", "@models.gemma4_moe.loss.Gemma4TensorParallelFusedLinearCrossEntropy", kMapped,
       "ignore_index logit_softcapping reduction", "cross_entropy, which never forms the logits"},
      {"loss_fn", "", "@models.nemotron_parse.nemotron_parse_loss.NemotronParseLoss", kLacking, "",
       "the loss of a vision-language model"},
      {"kd_loss_fn", "", "@loss.kd_loss.KDLoss", kObeyed, "", ""},
      {"distill_loss", "",
       "@loss.embedding_distill.EmbeddingDistillLoss @loss.embedding_distill.EmbeddingMSELoss "
       "@loss.infonce.InfoNCEDistillLoss",
       kObeyed, "", ""},

      {"peft", "lora", "@_peft.lora.PeftConfig", kObeyed, "", ""},
      {"rng", "", "@training.rng.StatefulRNG", kInert, "", ""},
      {"processor", "",
       "transformers.AutoProcessor.from_pretrained @models.minimax_m3_vl.processing.build_minimax_m3_vl_processor "
       "@models.inkling.processing.build_inkling_processor "
       "@models.step3p7.processing_step3.Step3VLProcessor.from_pretrained",
       kObeyed, "", ""},
      {"video_processor", "",
       "transformers.models.qwen3_vl.video_processing_qwen3_vl.Qwen3VLVideoProcessor.from_pretrained", kObeyed, "", ""},
      {"distributed", "", "@distributed.fsdp2.FSDP2Manager @distributed.config.FSDP2Config", kInert, "",
       "old form of strategy: fsdp2"},
      {"mp_policy", "", "torch.distributed.fsdp.MixedPrecisionPolicy", kInert, "", ""},
      {"offload_policy", "", "torch.distributed.fsdp.CPUOffloadPolicy", kObeyed, "", ""},
      {"parallelizer", "", "@moe.parallelizer.parallelize_model", kInert, "", ""},
      {"pipeline", "", "@distributed.pipelining.AutoPipeline @distributed.pipelining.config.PipelineConfig", kInert, "",
       ""},
      {"tool_call_eval", "", "@eval.tool_call_evaluator.ToolCallAccuracyEvaluator", kObeyed, "", ""},
      {"qat_config", "", "@quantization.qat.QATConfig", kObeyed, "", ""},
      {"media_loader", "",
       "@datasets.diffusion.build_video_multiresolution_dataloader "
       "@datasets.diffusion.build_text_to_image_multiresolution_dataloader "
       "@datasets.diffusion.image_edit_dataset.ImageEditDataloaderConfig",
       kObeyed, "", ""},
  };
  return kTable;
}

}  // namespace automodel::config
