#include "automodel/config/load_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "automodel/base/error.h"
#include "automodel/config/testing.h"

namespace automodel::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

// The one mistake of `kShort` plus the lines of `more`.
Fault fault_of(const std::string& more, const std::vector<std::string>& arguments = {}) {
  Report report = check(kShort + more, arguments);
  EXPECT_EQ(report.findings.faults.size(), 1u) << report.text();
  EXPECT_EQ(report.exit_code(), report.findings.faults.empty() ? 3 : 2);
  return report.findings.faults.empty() ? Fault{} : report.findings.faults[0];
}

TEST(LoadConfig, DefaultsAreNemosButForStates) {
  RecipeConfig config = check(kShort).config;
  EXPECT_EQ(config.seed, 42);
  EXPECT_EQ(config.clip_grad_norm.max_norm, 1.0);
  EXPECT_FALSE(config.lr_scheduler.has_value());
  EXPECT_FALSE(config.peft.has_value());
  EXPECT_EQ(config.step_scheduler.global_batch_size, 32);
  EXPECT_EQ(config.step_scheduler.num_epochs, 10);
  EXPECT_EQ(config.step_scheduler.ckpt_every_steps, 100);
  EXPECT_FALSE(config.step_scheduler.max_steps.has_value());
  EXPECT_THAT(config.step_scheduler.preemption_signal, ElementsAre("SIGTERM"));
  EXPECT_EQ(config.optimizer.kind, "adamw");
  EXPECT_EQ(config.optimizer.state_dtype, "float32");
  EXPECT_EQ(config.optimizer.master_weights, "auto");
  EXPECT_EQ(config.optimizer.weight_decay, 0.01);
  EXPECT_EQ(config.checkpoint.save_consolidated, "every");
  EXPECT_EQ(config.loss_fn.kind, "cross_entropy");
  EXPECT_EQ(config.model.path, "M");
  EXPECT_EQ(config.dataset.kind, "chat");
  EXPECT_THAT(config.dataset.path, ElementsAre("nowhere/d.jsonl"));
  EXPECT_TRUE(config.validation_sets.empty());
  EXPECT_TRUE(check(kShort + "lr_scheduler: {}\n").config.lr_scheduler.has_value());
  EXPECT_EQ(check(kShort + "peft: {_target_: lora}\n").config.peft->dim, 8);
}

TEST(LoadConfig, ReadsEverySection) {
  RecipeConfig config =
      check(
          kShort +
          "seed: 7\nrng: {seed: 3}\noptimizer: {_target_: torch.optim.Adam, lr: 1e-5, betas: [0.9, 0.95]}\n"
          "lr_scheduler: {min_lr: 1e-6, lr_warmup_steps: 5}\nclip_grad_norm: {max_norm: 0.5}\n"
          "peft: {target_modules: '*_proj', dim: 16, lora_dtype: bf16}\nwandb: {enable: false, project: 3}\n"
          "validation_dataset: none\nvalidation_dataset_a: {_target_: squad, dataset_name: s, num_samples_limit: 64}\n"
          "validation_dataset_b: {_target_: hellaswag, path_or_dataset: h}\n")
          .config;
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(config.optimizer.kind, "adam");
  EXPECT_EQ(config.optimizer.lr, 1e-5);
  EXPECT_EQ(config.optimizer.betas[1], 0.95);
  EXPECT_EQ(config.lr_scheduler->min_lr, 1e-6);
  EXPECT_EQ(config.lr_scheduler->lr_warmup_steps, 5);
  EXPECT_EQ(config.clip_grad_norm.max_norm, 0.5);
  EXPECT_THAT(config.peft->target_modules, ElementsAre("*_proj"));
  EXPECT_EQ(config.peft->lora_dtype, "bfloat16");
  EXPECT_FALSE(config.wandb.has_value());
  EXPECT_EQ(check(kShort + "wandb: {mode: online}\n").exit_code(), 3);
  const Report disabled = check(kShort + "wandb: {mode: disabled}\n");
  EXPECT_FALSE(disabled.config.wandb.has_value());
  for (const auto& lacking : disabled.lacking) EXPECT_NE(lacking.path, "wandb");
  ASSERT_EQ(config.validation_sets.size(), 2u);
  EXPECT_EQ(config.validation_sets[0].name, "a");
  EXPECT_EQ(config.validation_sets[0].dataset.limit, 64);
  EXPECT_EQ(config.validation_sets[1].dataset.kind, "hellaswag");
}

TEST(LoadConfig, NemosWordsForMasterWeightsMeanOurs) {
  const auto masters = [](const std::string& kind, const std::string& keys) {
    return check(kShort + "optimizer: {_target_: " + kind + keys + "}\n").config.optimizer.master_weights;
  };
  const std::string fused = "transformer_engine.pytorch.optimizers.fused_adam.FusedAdam",
                    flash = "flashoptim.FlashAdamW";
  EXPECT_EQ(masters("torch.optim.AdamW", ""), "auto");
  EXPECT_EQ(masters("torch.optim.AdamW", ", master_weights: stochastic"), "stochastic");
  EXPECT_EQ(masters("torch.optim.AdamW", ", master_weights: true"), "true");
  EXPECT_EQ(masters(fused, ""), "auto");
  EXPECT_EQ(masters(fused, ", exp_avg_dtype: torch.bfloat16, exp_avg_sq_dtype: torch.bfloat16"), "auto");
  EXPECT_EQ(masters(fused, ", master_weights: true"), "true");
  EXPECT_EQ(masters(fused, ", master_weights: false"), "false");
  EXPECT_EQ(masters(fused, ", master_weights: true, store_param_remainders: true"), "split");
  EXPECT_EQ(masters(fused, ", store_param_remainders: true, master_weight_dtype: torch.float32"), "split");
  EXPECT_EQ(masters(fused, ", store_param_remainders: false"), "auto");
  EXPECT_EQ(masters(flash, ""), "split");
  EXPECT_EQ(masters(flash, ", master_weight_bits: 32"), "split");
  EXPECT_EQ(masters(flash, ", master_weight_bits: null"), "false");
  EXPECT_EQ(
      fault_of("optimizer: {_target_: " + fused + ", master_weights: false, store_param_remainders: true}\n").text,
      "keeps a part of master weights, but master_weights is false");
  EXPECT_EQ(fault_of("optimizer: {_target_: adamw, master_weights: half}\n").path, "optimizer.master_weights");
}

TEST(LoadConfig, MomentsAreInFloat32OrBfloat16) {
  for (const char* dtype : {"float16", "torch.float64"}) {
    const Fault fault = fault_of(std::string("optimizer: {_target_: adamw,\n  state_dtype: ") + dtype + "}\n");
    EXPECT_EQ(fault.place.line, 5);
    EXPECT_EQ(fault.path, "optimizer.state_dtype");
    EXPECT_THAT(fault.text, HasSubstr("a dtype (float32 or bfloat16)"));
  }
  const auto of = [](const std::string& keys) {
    return check(kShort + "optimizer: {_target_: transformer_engine.pytorch.optimizers.FusedAdam, " + keys + "}\n");
  };
  EXPECT_EQ(of("exp_avg_dtype: torch.bfloat16, exp_avg_sq_dtype: torch.bfloat16").config.optimizer.state_dtype,
            "bfloat16");
  for (const char* dtype : {"torch.float16", "torch.uint8"})
    EXPECT_EQ(of(std::string("exp_avg_dtype: ") + dtype).exit_code(), 3) << dtype;
}

TEST(LoadConfig, ReadsTheScaleOfFloat16) {
  const auto scaler =
      check(kShort + "grad_scaler: {enabled: true, init_scale: 1024, growth_interval: 10}\n").config.grad_scaler;
  EXPECT_EQ(scaler.enabled, "true");
  EXPECT_EQ(scaler.init_scale, 1024);
  EXPECT_EQ(scaler.growth_interval, 10);
  EXPECT_EQ(fault_of("grad_scaler: {backoff_factor: 1}\n").path, "grad_scaler.backoff_factor");
  EXPECT_EQ(fault_of("grad_scaler: {growth_factor: 1}\n").path, "grad_scaler.growth_factor");
}

TEST(LoadConfig, MapsNemosNames) {
  RecipeConfig config =
      check(
          "recipe:\n  _target_: nemo_automodel.recipes.llm.train_ft.TrainFinetuneRecipeForNextTokenPrediction\n"
          "model:\n  _target_: nemo_automodel.NeMoAutoModelForCausalLM.from_config\n  n_layer: 2\n  torch_dtype: bf16\n"
          "  config: {_target_: transformers.AutoConfig.from_pretrained, pretrained_model_name_or_path: P, vocab_size: "
          "64}\n"
          "  text_config: {rope_theta: 10000, use_cache: false}\n"
          "dataset: {_target_: nemo_automodel.components.datasets.llm.hellaswag.HellaSwag, path_or_dataset: h}\n"
          "optimizer: {_target_: flashoptim.FlashAdamW, lr: 1e-4, exp_avg_dtype: torch.bfloat16, "
          "exp_avg_sq_dtype: torch.bfloat16, master_weight_bits: 24}\n"
          "loss_fn: {_target_: nemo_automodel.components.loss.linear_ce.FusedLinearCrossEntropy, logit_softcapping: "
          "30}\n")
          .config;
  EXPECT_EQ(config.recipe, "finetune");
  EXPECT_EQ(config.model.init, "from_config");
  EXPECT_EQ(config.model.path, "P");
  EXPECT_EQ(config.model.torch_dtype, "bfloat16");
  EXPECT_EQ(config.model.config_overrides, R"({"n_layer":2,"vocab_size":64,"text_config":{"rope_theta":10000}})");
  EXPECT_EQ(config.optimizer.kind, "adamw");
  EXPECT_EQ(config.optimizer.state_dtype, "bfloat16");
  EXPECT_EQ(config.optimizer.master_weights, "split");
  EXPECT_EQ(config.loss_fn.kind, "cross_entropy");
  EXPECT_EQ(config.loss_fn.logit_softcapping, 30);
}

TEST(LoadConfig, OverridesWin) {
  RecipeConfig config = check(kShort, {"--optimizer.lr", "3e-4", "--model.torch_dtype=float32", "--peft.dim=4",
                                       "--step_scheduler.max_steps", "5", "--checkpoint.enabled=False"})
                            .config;
  EXPECT_EQ(config.optimizer.lr, 3e-4);
  EXPECT_EQ(config.model.torch_dtype, "float32");
  EXPECT_EQ(config.peft->dim, 4);
  EXPECT_EQ(config.step_scheduler.max_steps, 5);
  EXPECT_FALSE(config.checkpoint.enabled);
}

TEST(LoadConfig, ReadsTheDenseModelsOfNemosBenchmarks) {
  const Report report = check(
      "recipe: finetune\ndataset: {_target_: chat, path_or_dataset_id: nowhere/d.jsonl}\nmodel:\n"
      "  _target_: nemo_automodel.NeMoAutoModelForCausalLM.from_config\n  use_kernels: true\n"
      "  attn_implementation: kernels-community/flash-attn2\n  backend: {attn: te, mlp: te}\n"
      "  config: {_target_: nemo_automodel._transformers.auto_config.NeMoAutoConfig.from_pretrained,\n"
      "    pretrained_model_name_or_path: P}\n");
  EXPECT_TRUE(report.findings.faults.empty()) << report.text();
  EXPECT_EQ(report.config.model.path, "P");
  for (const char* path : {"model.use_kernels", "model.attn_implementation", "model.backend.mlp"}) {
    const auto found = std::find_if(report.findings.keys.begin(), report.findings.keys.end(),
                                    [&](const KeyNote& key) { return key.path == path; });
    ASSERT_NE(found, report.findings.keys.end()) << path;
    EXPECT_EQ(found->key_class, KeyClass::kMapped) << path;
  }
  EXPECT_NE(fault_of("", {"--model.attn_implementation", "flash"}).text, "");
}

TEST(LoadConfig, WeightsOfEightAndFourBitsAreLackingNotMistyped) {
  for (const char* dtype : {"fp8", "float8_e4m3fn", "nf4", "int8"}) {
    const Report report = check(kShort, {"--model.torch_dtype", dtype});
    EXPECT_TRUE(report.findings.faults.empty()) << dtype;
    EXPECT_TRUE(std::any_of(report.lacking.begin(), report.lacking.end(), [](const Lacking& lacks) {
      return lacks.path == "model.torch_dtype";
    })) << dtype;
  }
}

TEST(LoadConfig, AModelTypedTakesThePlaceOfTheFiles) {
  Report report = check(kShort, {"--model.config", "tiny.json"});
  EXPECT_EQ(report.config.model.path, "tiny.json");
  EXPECT_EQ(report.config.model.init, "from_config");
  EXPECT_TRUE(report.findings.faults.empty());
  EXPECT_EQ(report.config.written_as.count("model.pretrained_model_name_or_path"), 0U);

  const std::string data = "recipe: finetune\ndataset: {_target_: chat, path_or_dataset_id: nowhere/d.jsonl}\n";
  report = check(data + "model: {config: tiny.json}\n", {"--model.pretrained_model_name_or_path", "P"});
  EXPECT_EQ(report.config.model.path, "P");
  EXPECT_EQ(report.config.model.init, "from_pretrained");

  report = check(data + "model:\n  pretrained_model_name_or_path: M\n  config: tiny.json\n");
  ASSERT_EQ(report.findings.faults.size(), 1U);
  EXPECT_EQ(report.findings.faults[0].path, "model.config");
  EXPECT_EQ(report.findings.faults[0].place.line, 5);
  EXPECT_THAT(report.findings.faults[0].text, HasSubstr("tiny.json on line 5"));
  EXPECT_THAT(report.findings.faults[0].text, HasSubstr("pretrained_model_name_or_path on line 4 is M"));
  report = check(kShort, {"--model.config", "A", "--model.pretrained_model_name_or_path", "B"});
  EXPECT_EQ(report.findings.faults.size(), 1U);
}

TEST(LoadConfig, MistakesNameLineKeyAndRemedy) {
  Fault fault = fault_of("optimizer: {_target_: adamw,\n  lrr: 1}\n");
  EXPECT_EQ(fault.place.line, 5);
  EXPECT_EQ(fault.path, "optimizer.lrr");
  EXPECT_THAT(fault.text, HasSubstr("did you mean lr?"));
  EXPECT_THAT(fault.hint, HasSubstr("allowed: lr, weight_decay"));

  fault = fault_of("step_schedular: {}\n");
  EXPECT_THAT(fault.text, HasSubstr("did you mean step_scheduler?"));
  fault = fault_of("step_scheduler:\n  max_steps: many\n");
  EXPECT_EQ(fault.place.line, 5);
  EXPECT_EQ(fault.text, "expected an integer of at least 1, or None, got many");
  fault = fault_of("step_scheduler: {global_batch_size: 10, local_batch_size: 4}\n");
  EXPECT_THAT(fault.text, HasSubstr("no multiple"));
  fault = fault_of("lr_scheduler: {lr_decay_style: cosin}\n");
  EXPECT_THAT(fault.text, HasSubstr("one of cosine, linear, constant"));
  EXPECT_THAT(fault.hint, HasSubstr("cosine"));
  fault = fault_of("loss_fn: {_target_: nemo_automodel.components.loss.masked_ce.MaskdCrossEntropy}\n");
  EXPECT_THAT(fault.text, HasSubstr("did you mean nemo_automodel.components.loss.masked_ce.MaskedCrossEntropy?"));
  fault = fault_of("loss: crossentropy\n");
  EXPECT_THAT(fault.text, HasSubstr("did you mean cross_entropy?"));
  fault = fault_of("optimizer: 3\n");
  EXPECT_THAT(fault.text, HasSubstr("expected a mapping"));
  fault = fault_of("optimizer.lr: 3\n");
  EXPECT_THAT(fault.hint, HasSubstr("only on the command line"));
  fault = fault_of("peft: {target_modules: a, exclude_modules: b}\n");
  EXPECT_THAT(fault.text, HasSubstr("exclude each other"));
  fault = fault_of("optimizer: {lr: '${NOT_SET}'}\n");
  EXPECT_THAT(fault.text, HasSubstr("NOT_SET is not set"));
  fault = fault_of("checkpoint: {checkpoint_dir: '${NOT_SET}/x'}\n");
  EXPECT_THAT(fault.text, HasSubstr("NOT_SET is not set"));
  fault = fault_of("optimizer: {betas: [0.9]}\n");
  EXPECT_THAT(fault.text, HasSubstr("two numbers"));
  fault = fault_of("validation_datasetx: {}\n");
  EXPECT_THAT(fault.hint, HasSubstr("validation_dataset_NAME"));

  fault = fault_of("", {"--step_scheduler.max_steps", "null"});
  EXPECT_EQ(fault.where("f.yaml"), "--step_scheduler.max_steps");
  EXPECT_THAT(fault.hint, HasSubstr("None"));
}

// A key of one kind of data set is an error beside another kind: no key is ignored.
TEST(LoadConfig, KeysBelongToTheirTarget) {
  Report report = check("recipe: finetune\nmodel: M\ndataset:\n  _target_: chat\n  column_mapping: {question: q}\n");
  ASSERT_EQ(report.findings.faults.size(), 1u);
  EXPECT_THAT(report.findings.faults[0].text, HasSubstr("not a key of chat"));
  EXPECT_EQ(report.findings.faults[0].place.line, 5);
}

TEST(LoadConfig, BatchSizesOfTheDataAreTheStepSchedulers) {
  const Fault fault =
      fault_of("dataloader: {batch_size: 4}\nstep_scheduler: {global_batch_size: 8, local_batch_size: 2}\n");
  EXPECT_EQ(fault.path, "dataloader.batch_size");
  EXPECT_THAT(fault.text, HasSubstr("is 4, but step_scheduler.local_batch_size is 2"));
  const std::string same = "step_scheduler: {global_batch_size: 8, local_batch_size: 2}\n";
  EXPECT_TRUE(check(kShort + "dataloader: {batch_size: 2}\n" + same).findings.faults.empty());
  EXPECT_TRUE(check(kShort + "validation_dataloader: {batch_size: 7, shuffle: true}\n" + same).findings.faults.empty());
}

TEST(LoadConfig, SourcesOfAMixtureAreTyped) {
  const std::string head = "recipe: finetune\nmodel: M\ndataset:\n  _target_: chat\n  sources:\n";
  Report report = check(head +
                        "  - {path_or_dataset_id: a.jsonl, weight: 3}\n"
                        "  - _target_: column_mapped\n    path_or_dataset_id: b.csv\n    weight: 1\n    epochs: 2\n"
                        "    column_mapping: {question: q, answer: a}\n");
  ASSERT_TRUE(report.findings.faults.empty()) << report.text();
  const auto& sources = report.config.dataset.sources;
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[0].weight, 3);
  EXPECT_EQ(sources[0].kind, "");
  EXPECT_EQ(sources[1].kind, "column_mapped");
  EXPECT_EQ(sources[1].epochs, 2);
  EXPECT_EQ(sources[1].column_mapping->answer, "a");
  EXPECT_EQ(report.lacking.size(), 3u) << report.text();  // the model and both files

  const auto text_of = [&](const std::string& more) {
    report = check(head + more);
    return report.findings.faults.size() == 1 ? report.findings.faults[0].text : report.text();
  };
  EXPECT_THAT(text_of("  - {path_or_dataset_id: a, weight: 3}\n  - {path_or_dataset_id: b}\n"),
              HasSubstr("some sources have a weight and some have none"));
  EXPECT_THAT(text_of("  - {weight: 3}\n"), HasSubstr("names no path_or_dataset_id"));
  EXPECT_THAT(text_of("  - {path_or_dataset_id: a, wieght: 3}\n"), HasSubstr("did you mean weight?"));
  EXPECT_THAT(text_of("  - {path_or_dataset_id: a}\n  path_or_dataset_id: b\n"), HasSubstr("not both"));
}

TEST(LoadConfig, AllMistakesAreListed) {
  Report report = check("recipe: finetune\nmodel: M\noptimizer: {lrr: 1, epss: 2}\nwat: 3\n");
  EXPECT_EQ(report.findings.faults.size(), 4u) << report.text();  // and the data set is missing
  fs::path file = fs::temp_directory_path() / ("config_test_" + std::to_string(::getpid()) + ".yaml");
  std::ofstream(file) << "recipe: finetune\nmodel: M\noptimizer: {lrr: 1, epss: 2}\n";
  try {
    load_config(file, {}, Capabilities{}, test_variable);
    FAIL();
  } catch (const ConfigError& fault) {
    EXPECT_THAT(fault.what(), AllOf(HasSubstr(":3: optimizer.lrr"), HasSubstr("optimizer.epss")));
    EXPECT_EQ(fault.exit_code(), 2);
  }
  fs::remove(file);
}

}  // namespace
}  // namespace automodel::config
