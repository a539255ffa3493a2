#include "automodel/recipes/model_setup.h"

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/json.h"
#include "automodel/base/log.h"
#include "automodel/checkpoint/load_weights.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/optim/memory.h"
#include "automodel/recipes/data_setup.h"
#include "automodel/recipes/device.h"
#include "automodel/recipes/token_data.h"
#include "automodel/tensor/dtype.h"

namespace automodel::recipes {
namespace fs = std::filesystem;

// Fields of the YAML go over those of config.json; a nested object is merged, not replaced.
static void merge(Json& target, const Json& over) {
  for (const auto& [key, value] : over.items()) {
    if (value.is_object() && target.contains(key) && target.at(key).is_object())
      merge(target[key], value);
    else
      target[key] = value;
  }
}

static at::ScalarType choose_dtype(const std::string& asked, const Json& config, const std::string& key) {
  std::string name = asked;
  if (asked == "auto")
    for (const char* own : {"torch_dtype", "dtype"})
      if (config.contains(own) && config.at(own).is_string()) name = config.at(own).get<std::string>();
  if (name == "auto") return at::kFloat;
  const auto dtype = parse_dtype(name);
  if (!dtype) throw ConfigError(key, fmt::format("expected auto, float32, bfloat16 or float16, got '{}'", name));
  return *dtype;
}

ModelFolder open_model_folder(const config::ModelSection& section, net::ModelFiles files, const ModelKeys& keys) {
  ModelFolder folder;
  const fs::path given = net::resolve_model(section.path, section.revision, files, section.cache_dir);
  const bool is_file = fs::is_regular_file(given);
  folder.path = is_file ? given.parent_path() : given;
  folder.name = is_file ? folder.path.string() : section.path;
  if (!fs::exists(folder.name)) folder.revision = section.revision;
  const fs::path file = is_file ? given : given / "config.json";
  if (!fs::exists(file))
    throw ConfigError(keys.path, fmt::format("'{}' has no config.json", section.path),
                      "expected a folder in Hugging Face layout (config.json, *.safetensors, tokenizer.json)");
  folder.config = load_json(file);
  merge(folder.config, parse_json(section.config_overrides, "model"));
  folder.family = &models::find_family(models::HfConfig(folder.config, file.string()).model_type(), file.string());
  folder.dtype = choose_dtype(section.torch_dtype, folder.config, keys.dtype);
  folder.spec = models::read_config(folder.config, file.string(), {folder.dtype, section.allow_config_keys});
  return folder;
}

peft::LoraOptions make_lora_options(const config::PeftSection& section) {
  peft::LoraOptions options;
  options.target_modules = section.target_modules;
  options.exclude_modules = section.exclude_modules;
  options.match_all_linear = section.match_all_linear;
  options.rank = section.dim;
  options.alpha = section.alpha;
  options.dropout = section.dropout;
  options.dropout_before = section.dropout_position == "pre";
  options.xavier = section.lora_A_init == "xavier";
  options.dora = section.use_dora;
  options.rslora = section.use_rslora;
  if (section.lora_dtype) options.dtype = parse_dtype(*section.lora_dtype);
  return options;
}

void load_base_weights(const ModelFolder& folder, nn::Model& model) {
  std::vector<ParameterPtr> base;
  const auto of_adapters = peft::adapter_parameters(model);
  for (const auto& parameter : model.parameters())
    if (std::find(of_adapters.begin(), of_adapters.end(), parameter) == of_adapters.end()) base.push_back(parameter);
  if (!model.device.is_cpu())
    for (const auto& parameter : base)
      if (!parameter->has_value()) parameter->allocate(model.device);
  checkpoint::LoadOptions options{.ignore = folder.family->ignored_tensors, .map_frozen = true};
  if (model.tied()) options.ignore.push_back("lm_head.weight");
  checkpoint::load_weights(base, checkpoint::open_weights(folder.path, folder.family->optional_prefixes), options);
}

fs::path find_tokenizer_folder(const config::RecipeConfig& config, const ModelFolder& folder) {
  const bool own = config.tokenizer && !config.tokenizer->path.empty();
  return own ? net::resolve_model(config.tokenizer->path, "", net::ModelFiles::Tokenizer) : folder.path;
}

static void check_vocabulary(const TrainedModel& loaded) {
  const int64_t rows = loaded.folder.spec.embedding.vocab, ids = loaded.tokenizer->vocab_size();
  if (ids > rows)
    throw DataError(loaded.tokenizer_folder.string(),
                    fmt::format("the tokenizer has {} ids, the model's embedding only {} rows", ids, rows),
                    "the tokenizer belongs to another model; set tokenizer.pretrained_model_name_or_path");
}

std::vector<ParameterPtr> TrainedModel::trained_parameters() const {
  auto of_adapters = peft::adapter_parameters(*model);
  return of_adapters.empty() ? model->parameters() : of_adapters;
}

TrainedModel load_trained_model(const config::RecipeConfig& config) {
  TrainedModel loaded;
  const bool random = config.model.init == "from_config" || !config.model.load_base_model;
  loaded.folder = open_model_folder(config.model, random ? net::ModelFiles::Tokenizer : net::ModelFiles::All);
  loaded.model = models::build(loaded.folder.spec, loaded.folder.dtype);
  loaded.model->device = choose_device(config.device, "device");
  if (config.peft) {
    loaded.lora = make_lora_options(*config.peft);
    loaded.adapted = peft::apply_lora(*loaded.model, *loaded.lora);
  }
  if (const auto device = loaded.model->device; !device.is_cpu()) {
    const auto& gpu = kernels::load_cuda().gpus.at(static_cast<size_t>(device.index()));
    optim::require_memory(loaded.model->parameters(), optim::make_adam_settings(config.optimizer), gpu.memory_bytes,
                          gpu.name);
  }
  loaded.random = random;
  if (random)
    models::initialize(*loaded.model, static_cast<uint64_t>(config.seed));
  else
    load_base_weights(loaded.folder, *loaded.model);
  if (config.peft) peft::initialize_adapters(*loaded.model, static_cast<uint64_t>(config.seed));

  loaded.tokenizer_folder = find_tokenizer_folder(config, loaded.folder);
  const bool beside = is_token_data(config.dataset.kind) && fs::exists(loaded.tokenizer_folder / "tokenizer.json");
  if (needs_tokenizer(config) || beside) {  // what lies beside the model is saved with it
    loaded.tokenizer = tokenizer::load(loaded.tokenizer_folder);
    check_vocabulary(loaded);
  }
  return loaded;
}

static void add_adapter(TrainedModel& loaded, const fs::path& folder, const peft::AdapterConfig& adapter) {
  loaded.lora = adapter.options;
  loaded.adapted = peft::apply_lora(*loaded.model, adapter.options);
  load_base_weights(loaded.folder, *loaded.model);
  const auto adapters = peft::adapter_parameters(*loaded.model);
  for (const auto& parameter : adapters) parameter->allocate(loaded.model->device);
  checkpoint::load_weights(adapters, checkpoint::open_weights(folder), {});
}

static fs::path base_of(const fs::path& adapter_folder, const std::string& named, const std::string& revision) {
  for (const fs::path& candidate : {fs::path(named), adapter_folder / named})
    if (!named.empty() && fs::exists(candidate / "config.json")) return candidate;
  const bool known = net::could_be_repo(named) && !named.empty() && net::find_local_model(named, revision);
  if (known || (net::could_be_repo(named) && named.find('/') != named.npos)) return net::resolve_model(named, revision);
  throw CheckpointError((adapter_folder / "adapter_config.json").string(),
                        fmt::format("names the base model '{}', which is no folder here", named),
                        "give the base with --model and the adapter with --lora");
}

TrainedModel load_inference_model(const fs::path& given, const fs::path& adapter, const std::string& dtype,
                                  const std::string& device) {
  fs::path folder = net::resolve_model(given.string());
  fs::path lora = adapter.empty() ? adapter : net::resolve_model(adapter.string());
  if (fs::exists(folder / "LATEST")) folder /= "LATEST";  // a run
  if (fs::exists(folder / "model" / "config.json") || fs::exists(folder / "model" / "adapter_config.json"))
    folder /= "model";
  if (lora.empty() && fs::exists(folder / "adapter_config.json")) {
    lora = folder;
    const auto file = lora / "adapter_config.json";
    const auto adapter_config = peft::read_adapter_config(load_json(file), file.string());
    folder = base_of(lora, adapter_config.base, adapter_config.revision);
  }
  TrainedModel loaded;
  config::ModelSection section;
  section.path = folder.string();
  section.torch_dtype = dtype;
  loaded.folder = open_model_folder(section, net::ModelFiles::All, {"--model", "--dtype"});
  loaded.model = models::build(loaded.folder.spec, loaded.folder.dtype);
  loaded.model->device = choose_device(device, "--device");
  if (lora.empty()) {
    for (const auto& parameter : loaded.model->parameters())
      parameter->trainable = false;  // so that they stay in the file's mapping
    load_base_weights(loaded.folder, *loaded.model);
    for (const auto& parameter : loaded.model->parameters()) parameter->trainable = true;
  } else {
    const auto file = lora / "adapter_config.json";
    add_adapter(loaded, lora, peft::read_adapter_config(load_json(file), file.string()));
  }
  loaded.tokenizer_folder = fs::exists(lora / "tokenizer.json") ? lora : folder;
  if (fs::exists(loaded.tokenizer_folder / "tokenizer.json")) {
    loaded.tokenizer = tokenizer::load(loaded.tokenizer_folder);
    check_vocabulary(loaded);
  }
  return loaded;
}

}  // namespace automodel::recipes
