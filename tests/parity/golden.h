// The cases of tests/parity/golden: a tiny checkpoint, a batch, and what transformers computes from them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/checkpoint/safetensors.h"
#include "automodel/engine/engine.h"
#include "automodel/models/build.h"

namespace automodel::parity {

/// Where the repository's files lie: AUTOMODEL_SOURCE, or where this was compiled.
std::filesystem::path source_folder();
std::filesystem::path golden_folder();

/// The names of the cases that have both `file` and golden.safetensors, sorted; "" lists none by mistake: it throws.
std::vector<std::string> cases_with(const std::string& file);

/// The documents of a batch.json, or of one microbatch of curve_batches.json, packed.
Batch to_batch(const Json& documents);
Batch load_batch(const std::filesystem::path& file);

/// A model in float32 with the weights of a case.
std::unique_ptr<nn::Model> load_model(const std::string& name);
/// The blocks of a case and, where it has one, its adapter; no values.
std::unique_ptr<nn::Model> build_model(const std::string& name, at::ScalarType dtype);

/// The case on whose checkpoint and batch an adapter case stands; of a case without adapter, itself.
std::string base_case(const std::string& name);
/// load_model(base_case(name)) with the adapter of the case, its values as PEFT saved them.
std::unique_ptr<nn::Model> load_adapted(const std::string& name);

/// The model with its values on the device of the tests.
std::unique_ptr<nn::Model> on_test_device(std::unique_ptr<nn::Model> model);

using Tensors = std::map<std::string, at::Tensor>;
Tensors load_tensors(const std::filesystem::path& file);

/// One packed forward and backward of all parameters that train, without dropout: "loss" [1], "logits" [T, V],
/// "logprobs" [T] (0 where not trained), and the gradients by the names of the state dict, each shaped as there.
/// Gradients are cleared first.
Tensors run(nn::Model& model, const Batch& batch, engine::Recompute recompute = engine::Recompute::None);

/// max|a - b| / (1e-5 max|b| + 1e-7): what the tests allow is 1. Infinity for NaN or another shape.
double error_in_bounds(const at::Tensor& a, const at::Tensor& b);

struct Worst {
  double error = 0;
  std::string name;
};
/// The tensor of `golden` that `found` is furthest from; one that is only in one of the two is infinitely far.
Worst compare(const Tensors& found, const Tensors& golden);

}  // namespace automodel::parity
