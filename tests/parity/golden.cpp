#include "tests/parity/golden.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cstdlib>
#include <limits>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/checkpoint/load_weights.h"
#include "automodel/peft/adapter_config.h"
#include "automodel/tensor/testing.h"

namespace automodel::parity {

namespace fs = std::filesystem;

fs::path source_folder() { return automodel::source_folder(); }
fs::path golden_folder() { return source_folder() / "tests" / "parity" / "golden"; }

std::vector<std::string> cases_with(const std::string& file) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_folder()))
    if (fs::exists(entry.path() / file) && fs::exists(entry.path() / "golden.safetensors"))
      names.insert(entry.path().filename().string());
  AM_CHECK(!names.empty(), "tests/parity/golden holds no such case");
  return {names.begin(), names.end()};
}

Batch to_batch(const Json& documents) {
  std::vector<std::vector<int32_t>> ids, labels;
  for (const auto& document : documents) {
    ids.push_back(document.at("input_ids").get<std::vector<int32_t>>());
    labels.push_back(document.at("labels").get<std::vector<int32_t>>());
  }
  return make_batch(ids, labels);
}

Batch load_batch(const fs::path& file) { return to_batch(load_json(file).at("documents")); }

std::unique_ptr<nn::Model> load_model(const std::string& name) {
  const auto folder = golden_folder() / name;
  const auto where = (folder / "config.json").string();
  const Json config = load_json(where);
  const auto& family = models::find_family(config.at("model_type").get<std::string>(), where);
  auto model = models::build(models::read_config(config, where), at::kFloat);
  checkpoint::load_weights(model->parameters(), checkpoint::open_weights(folder, family.optional_prefixes),
                           {.ignore = family.ignored_tensors});
  return model;
}

std::unique_ptr<nn::Model> build_model(const std::string& name, at::ScalarType dtype) {
  const auto where = (golden_folder() / base_case(name) / "config.json").string();
  auto model = models::build(models::read_config(load_json(where), where), dtype);
  const auto adapter = golden_folder() / name / "adapter" / "adapter_config.json";
  if (fs::exists(adapter))
    peft::apply_lora(*model, peft::read_adapter_config(load_json(adapter), adapter.string()).options);
  return model;
}

std::string base_case(const std::string& name) {
  const auto file = golden_folder() / name / "case.json";
  return fs::exists(file) ? load_json(file).at("base").get<std::string>() : name;
}

std::unique_ptr<nn::Model> load_adapted(const std::string& name) {
  auto model = load_model(base_case(name));
  const auto folder = golden_folder() / name / "adapter";
  const auto where = folder / "adapter_config.json";
  peft::apply_lora(*model, peft::read_adapter_config(load_json(where), where.string()).options);
  checkpoint::load_weights(peft::adapter_parameters(*model), checkpoint::open_weights(folder));
  return model;
}

std::unique_ptr<nn::Model> on_test_device(std::unique_ptr<nn::Model> model) {
  model->device = test_device();
  for (const auto& parameter : model->parameters()) parameter->set_value(parameter->value().to(model->device));
  return model;
}

Tensors load_tensors(const fs::path& file) {
  const checkpoint::SafetensorsFile opened(file);
  Tensors tensors;
  for (const auto& entry : opened.tensors()) tensors[entry.name] = opened.view(entry).clone();
  return tensors;
}

Tensors run(nn::Model& model, const Batch& batch, engine::Recompute recompute) {
  const auto parameters = model.parameters();
  for (const auto& parameter : parameters) parameter->clear_grad();
  Tensors found;
  {
    Context context;
    const at::NoGradGuard guard;
    const auto hidden = nn::forward_hidden(model, batch, context);
    found["logits"] = model.head->logits(hidden);
    const auto logprobs = model.head->log_probs(hidden, batch.labels);
    found["logprobs"] = at::where(batch.labels == kIgnoreLabel, at::zeros_like(logprobs), logprobs);
  }
  Context context;
  context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
  const double loss = engine::Engine(model, recompute).forward_backward(batch, context).item<double>();
  found["loss"] = at::zeros_like(found["logprobs"]).narrow(0, 0, 1) + loss;
  for (const auto& parameter : parameters) {
    if (!parameter->trainable || !parameter->grad().defined()) continue;
    for (const auto& slice : parameter->slices()) {
      const auto grad = Parameter::view(parameter->grad(), slice);
      found[slice.name] = slice.transposed ? grad.t() : grad;
    }
  }
  return found;
}

double error_in_bounds(const at::Tensor& a, const at::Tensor& b) {
  constexpr double kFar = std::numeric_limits<double>::infinity();
  if (a.sizes() != b.sizes()) return kFar;
  const double difference = (a - b).abs().max().item<double>(), largest = b.abs().max().item<double>();
  const double error = difference / (1e-5 * largest + 1e-7);
  return error == error ? error : kFar;
}

Worst compare(const Tensors& found, const Tensors& golden) {
  Worst worst;
  const auto see = [&](double error, const std::string& name) {
    if (error > worst.error) worst = {error, name};
  };
  for (const auto& [name, tensor] : golden) {
    const auto ours = found.find(name);
    see(ours == found.end() ? std::numeric_limits<double>::infinity() : error_in_bounds(ours->second, tensor), name);
  }
  for (const auto& [name, tensor] : found)
    if (!golden.count(name)) see(std::numeric_limits<double>::infinity(), name + " (not in the golden file)");
  return worst;
}

}  // namespace automodel::parity
