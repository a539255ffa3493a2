// The whole configuration of an LLM run as plain structs: what recipes read after the YAML was loaded and checked.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "automodel/config/benchmark_section.h"
#include "automodel/config/checkpoint_section.h"
#include "automodel/config/dataloader_section.h"
#include "automodel/config/dataset_section.h"
#include "automodel/config/distributed_section.h"
#include "automodel/config/grad_scaler_section.h"
#include "automodel/config/logger_sections.h"
#include "automodel/config/loss_section.h"
#include "automodel/config/lr_scheduler_section.h"
#include "automodel/config/model_section.h"
#include "automodel/config/optimizer_section.h"
#include "automodel/config/packed_sequence_section.h"
#include "automodel/config/peft_section.h"
#include "automodel/config/step_scheduler_section.h"

namespace automodel::config {

/// One set that is validated; `name` is "default" for validation_dataset and NAME for validation_dataset_NAME.
struct ValidationSet {
  std::string name;
  DatasetSection dataset;
};

struct ClipGradNormSection {
  std::optional<double> max_norm = 1.0;

  template <class F>
  void describe(F& f) {
    f("max_norm", max_norm, "largest L2 norm of all gradients; larger ones are scaled down; null: no clipping",
      "float(0,]|null");
  }
};

struct RecipeConfig {
  std::string recipe;  ///< native name: finetune, benchmark, vlm_finetune, kd, ...
  int64_t seed = 42;   ///< NeMo reads only this one, never rng.seed
  std::string device = "auto";
  bool deterministic = false;
  bool tf32 = false;
  StepSchedulerSection step_scheduler;
  ModelSection model;
  std::optional<TokenizerSection> tokenizer;
  DatasetSection dataset;
  DataloaderSection dataloader;
  std::vector<ValidationSet> validation_sets;
  DataloaderSection validation_dataloader;
  PackedSequenceSection packed_sequence;
  OptimizerSection optimizer;
  std::optional<LrSchedulerSection> lr_scheduler;  ///< not there: constant learning rate
  ClipGradNormSection clip_grad_norm;
  GradScalerSection grad_scaler;
  LossSection loss_fn;
  std::optional<PeftSection> peft;
  CheckpointSection checkpoint;
  DistributedSection distributed;
  DistEnvSection dist_env;
  TensorboardSection tensorboard;
  std::optional<WandbSection> wandb;
  std::optional<MlflowSection> mlflow;
  std::optional<CometSection> comet;
  std::optional<BenchmarkSection> benchmark;

  /// What was written in the file for values that came from the environment ("${HF_TOKEN}"), by key path: printed
  /// instead.
  std::map<std::string, std::string> written_as;

  template <class F>
  void describe(F& f) {
    f.target("recipe", recipe);
    f("seed", seed, "seed of every random number of the run", "int[0,]");
    f("device", device, "where the run computes; auto: a GPU if one is ready", "=auto|=cpu|=cuda");
    f("deterministic", deterministic,
      "the same bits in every run on the same machine; on a GPU slower algorithms are taken where the fast ones add up "
      "in any order");
    f("tf32", tf32,
      "float32 products on a GPU round their factors to 11 bits (TensorFloat-32), several times as fast; false: exact "
      "float32. bfloat16 and float16 are not touched");
    f.section("model", model, "the model");
    f.section("tokenizer", tokenizer, "the tokenizer, when it is not the model's");
    f.section("dataset", dataset, "what is trained on");
    f.section("dataloader", dataloader, "order of the samples and threads that make them");
    f.sets("validation_dataset", validation_sets, "what is validated on; validation_dataset_NAME adds sets");
    f.section("validation_dataloader", validation_dataloader, "as dataloader, for all validation sets");
    f.section("packed_sequence", packed_sequence, "packs of samples");
    f.section("step_scheduler", step_scheduler, "batch sizes, length of the run, intervals");
    f.section("optimizer", optimizer, "the update rule");
    f.section("lr_scheduler", lr_scheduler, "learning rate over steps; without it the learning rate is constant");
    f.section("clip_grad_norm", clip_grad_norm, "clipping of the gradient");
    f.section("grad_scaler", grad_scaler, "the loss scale of float16 training");
    f.section("loss_fn", loss_fn, "the loss (also `loss: cross_entropy`)");
    f.section("peft", peft, "LoRA adapters; without it every parameter is trained");
    f.section("checkpoint", checkpoint, "saving and going on");
    f.section("distributed", distributed, "how ranks share the work");
    f.section("dist_env", dist_env, "how ranks talk");
    f.section("tensorboard", tensorboard, "TensorBoard event files");
    f.section("wandb", wandb, "Weights & Biases");
    f.section("mlflow", mlflow, "MLflow");
    f.section("comet", comet, "Comet");
    f.section("benchmark", benchmark, "the benchmark recipe");
  }
};

}  // namespace automodel::config
