#include "automodel/recipes/model_setup.h"

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/host_memory.h"
#include "automodel/base/json.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/load_weights.h"
#include "automodel/checkpoint/run_folder.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/models/build.h"
#include "automodel/recipes/data_kinds.h"
#include "automodel/recipes/data_setup.h"
#include "automodel/recipes/device.h"
#include "automodel/recipes/meant_model.h"
#include "automodel/recipes/memory_plan.h"
#include "automodel/recipes/sample_length.h"
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

static void read_model(ModelFolder& folder, const Json& config, const config::ModelSection& section,
                       const std::string& where, const std::string& dtype_key) {
  folder.config = config;
  merge(folder.config, parse_json(section.config_overrides, "model"));
  folder.family = &models::find_family(models::HfConfig(folder.config, where).model_type(), where);
  folder.dtype = choose_dtype(section.torch_dtype, folder.config, dtype_key);
  folder.spec = models::read_config(folder.config, where, {folder.dtype, section.allow_config_keys});
}

static fs::path find_model(const config::ModelSection& section, net::ModelFiles files) {
  try {
    return net::resolve_model(section.path, section.revision, files, section.cache_dir);
  } catch (const net::HubError& error) {
    const auto question = error.exit_code() == 1 ? ask_for_meant_model(section.path, section.cache_dir) : "";
    if (question.empty()) throw;
    throw net::HubError("", error.message(), question + (error.hint().empty() ? "" : " Otherwise " + error.hint()));
  }
}

ModelFolder open_model_folder(const config::ModelSection& section, net::ModelFiles files, const ModelKeys& keys) {
  ModelFolder folder;
  const fs::path given = find_model(section, files);
  const bool is_file = fs::is_regular_file(given);
  folder.path = is_file ? given.parent_path() : given;
  folder.given = section.path;
  folder.name = is_file ? folder.path.string() : section.path;
  if (!fs::exists(folder.name)) folder.revision = section.revision;
  const fs::path file = is_file ? given : given / "config.json";
  if (!fs::exists(file))
    throw ConfigError(keys.path, fmt::format("'{}' has no config.json", section.path),
                      "expected a folder in Hugging Face layout (config.json, *.safetensors, tokenizer.json)");
  read_model(folder, load_json(file), section, file.string(), keys.dtype);
  return folder;
}

const models::KnownModel* known_model_of(const config::RecipeConfig& config, bool to_plan) {
  const auto& section = config.model;
  if ((config.recipe != "benchmark" && !to_plan) || needs_tokenizer(config)) return nullptr;
  const auto* known = models::find_known_model(section.path);
  if (!known || net::find_local_model(section.path, section.revision, section.cache_dir)) return nullptr;
  const bool main = section.revision.empty() || section.revision == "main";
  if (!main) log_info("model.revision is given: " + known->id + " is asked of the Hub; the bundled one is of main");
  return main ? known : nullptr;
}

ModelFolder open_model_folder(const config::RecipeConfig& config, net::ModelFiles files, bool to_plan) {
  const auto* known = known_model_of(config, to_plan);
  if (!known) return open_model_folder(config.model, files);
  const ModelKeys keys;
  if (known->config.is_null())
    throw UnsupportedError(keys.path,
                           fmt::format("{} is of the family {}, which this build lacks", known->id, known->model_type),
                           "`automodel models` lists the families there are");
  ModelFolder folder;
  folder.name = folder.given = known->id;
  folder.bundled = true;
  read_model(folder, known->config, config.model, "the bundled config.json of " + known->id, keys.dtype);
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

// Reads the folder's weights into the model's own parameters, not into those of adapters.
static void load_base_weights(const TrainedModel& loaded, checkpoint::LoadOptions::Map map) {
  const auto& family = *loaded.folder.family;
  std::vector<ParameterPtr> base;
  const auto of_adapters = peft::adapter_parameters(*loaded.model);
  for (const auto& parameter : loaded.model->parameters())
    if (std::find(of_adapters.begin(), of_adapters.end(), parameter) == of_adapters.end()) base.push_back(parameter);
  if (!loaded.model->device.is_cpu())
    for (const auto& parameter : base)
      if (!parameter->has_value()) parameter->allocate(loaded.model->device);
  checkpoint::LoadOptions options{.ignore = family.ignored_tensors, .map = map};
  if (loaded.model->tied()) options.ignore.push_back("lm_head.weight");
  checkpoint::load_weights(base, checkpoint::open_weights(loaded.folder.path, family.optional_prefixes), options);
}

fs::path find_tokenizer_folder(const config::RecipeConfig& config, const ModelFolder& folder) {
  const bool own = config.tokenizer && !config.tokenizer->path.empty();
  return own ? net::resolve_model(config.tokenizer->path, "", net::ModelFiles::Tokenizer) : folder.path;
}

std::optional<DataError> find_vocabulary_fault(const tokenizer::Tokenizer& tokenizer, const fs::path& folder,
                                               const models::DecoderSpec& spec) {
  const int64_t rows = spec.embedding.vocab, ids = tokenizer.vocab_size();
  if (ids <= rows) return std::nullopt;
  return DataError(folder.string(),
                   fmt::format("the tokenizer has {} ids, the model's embedding only {} rows", ids, rows),
                   "the tokenizer belongs to another model; set tokenizer.pretrained_model_name_or_path");
}

static void load_tokenizer(TrainedModel& loaded) {
  loaded.tokenizer = tokenizer::load(loaded.tokenizer_folder);
  if (const auto fault = find_vocabulary_fault(*loaded.tokenizer, loaded.tokenizer_folder, loaded.folder.spec))
    throw *fault;
}

std::vector<ParameterPtr> TrainedModel::trained_parameters() const {
  auto of_adapters = peft::adapter_parameters(*model);
  return of_adapters.empty() ? model->parameters() : of_adapters;
}

// The folder's model on a device, with adapters where loaded.lora says so; no values yet.
static void build_model(TrainedModel& loaded, at::Device device) {
  loaded.model = models::build(loaded.folder.spec, loaded.folder.dtype);
  loaded.model->device = device;
  if (!loaded.lora) return;
  loaded.adapted = peft::apply_lora(*loaded.model, *loaded.lora);
  const auto adapters = peft::adapters(*loaded.model);
  if (const auto why = adapters.empty() ? std::string() : adapters[0]->why_beside(); device.is_cuda() && !why.empty())
    log_info(
        fmt::format("{} makes products of the adapters' own beside the base's: a step takes longer and keeps more "
                    "than without it",
                    why));
}

void refuse_float64(const nn::Model& model, at::Device device) {
  if (device.is_cpu()) return;
  const auto is_double = [](const ParameterPtr& parameter) { return parameter->dtype() == at::kDouble; };
  const auto parameters = model.parameters();
  const bool base = model.embedding->weight()->dtype() == at::kDouble;
  if (std::any_of(parameters.begin(), parameters.end(), is_double))
    throw UnsupportedError(base ? "model.torch_dtype" : "peft.lora_dtype",
                           "is float64, which is trained on the CPU only",
                           "set it to float32 or bfloat16, or device: cpu");
}

// A small model is meant for the CPU; one of billions takes minutes a step there, and its user expects a GPU.
static void warn_of_the_cpu(const nn::Model& model, const std::string& asked) {
  constexpr int64_t kLarge = 1'000'000'000;
  if (asked != "auto" || !model.device.is_cpu() || models::count_parameters(model) < kLarge) return;
  const auto& cuda = kernels::load_cuda();
  if (!cuda.driver) log_warning(fmt::format("device: auto is the CPU: {}; {}", cuda.reason, cuda.hint));
}

// Where the values of a model come from.
struct Values {
  bool random_base = false;  // by the family's rule, with `seed`
  fs::path adapter;          // folder of the adapters' weights; "": by their rule, with `seed`
  uint64_t seed = 0;
  bool trained = true;  // else every weight may stay in its file
};

static void give_values(TrainedModel& loaded, const Values& values) {
  auto& model = *loaded.model;
  loaded.random = values.random_base;
  using Map = checkpoint::LoadOptions::Map;
  if (values.random_base)
    models::initialize(model, values.seed);
  else
    load_base_weights(loaded, values.trained || loaded.lora ? Map::Frozen : Map::All);
  if (!loaded.lora) return;
  if (values.adapter.empty()) {
    peft::initialize_adapters(model, values.seed);
  } else {
    const auto adapters = peft::adapter_parameters(model);
    for (const auto& parameter : adapters) parameter->allocate(model.device);
    checkpoint::load_weights(adapters, checkpoint::open_weights(values.adapter));
  }
}

// Looks at rows where only they tell how long a microbatch is and somebody must know.
static models::MicrobatchShape largest_microbatch(const TrainedModel& loaded, const config::RecipeConfig& config) {
  const auto& spec = loaded.folder.spec;
  if (const auto known = known_microbatch(config, spec.max_positions)) return *known;
  const auto loader =
      make_loader(open_training_data(config, loaded.tokenizer, spec.max_positions, spec.embedding.vocab));
  return sampled_microbatch(config, loader->estimate_epoch());
}

// Decides what runs twice, and refuses what the device cannot hold. Where the rows decide how long a microbatch is, a
// run is not refused for rows that may be the longest: only for what it keeps. The CPU's memory is not held against a
// run without a limit, since mapped weights can be read again and others come and go: there it is a warning.
static void fit_memory(TrainedModel& loaded, const config::RecipeConfig& config) {
  const auto asked = asked_recompute(config);
  loaded.recompute = asked.value_or(nn::Recompute::None);
  const auto device = loaded.model->device;
  const auto available = available_memory(config, device);
  const auto known = known_microbatch(config, loaded.folder.spec.max_positions).value_or(models::MicrobatchShape{});
  const MemoryAdvisor advisor(config, loaded.folder.spec, *loaded.model);
  if (!available) {
    if (!asked) log_info("activation_checkpointing: auto is none on the CPU without distributed.memory_limit_gib");
    if (const auto free = free_host_memory())
      if (const auto shortage =
              advisor.shortage(known, loaded.recompute, {*free, *free}, "the system may end this run"))
        log_warning(shortage->what());
    return;
  }
  const auto shape = asked ? known : largest_microbatch(loaded, config);
  if (!asked) {
    const auto plan = advisor.plan(shape);
    loaded.recompute = automatic_recompute(plan, available);
    log_info(
        fmt::format("activation_checkpointing: auto is {}: microbatches of {} tokens take {} with it; {} "
                    "(none {}, selective {}, full {})",
                    recompute_name(loaded.recompute), shape.tokens, format_bytes(plan.total(loaded.recompute)),
                    free_text(*available), format_bytes(plan.total(nn::Recompute::None)),
                    format_bytes(plan.total(nn::Recompute::Selective)), format_bytes(plan.total(nn::Recompute::Full))));
  }
  const std::string name = device.is_cpu() ? "memory" : device_name(device);
  if (const auto shortage = advisor.shortage(shape, loaded.recompute, *available, name)) throw *shortage;
}

TrainedModel load_trained_model(const config::RecipeConfig& config) {
  TrainedModel loaded;
  bool random = config.model.init == "from_config" || !config.model.load_base_model;
  loaded.folder = open_model_folder(config, random ? net::ModelFiles::Tokenizer : net::ModelFiles::All);
  random |= loaded.folder.bundled;
  tell_lengths(config, loaded.folder.spec);
  if (config.peft) loaded.lora = make_lora_options(*config.peft);
  build_model(loaded, choose_device(config.device, "device"));
  refuse_float64(*loaded.model, loaded.model->device);
  warn_of_the_cpu(*loaded.model, config.device);
  if (!loaded.folder.bundled) {
    loaded.tokenizer_folder = find_tokenizer_folder(config, loaded.folder);
    // Of a set of tokens the tokenizer that lies beside the model is saved with it.
    const bool beside = is_token_data(config.dataset.kind) && fs::exists(loaded.tokenizer_folder / "tokenizer.json");
    if (needs_tokenizer(config) || beside) load_tokenizer(loaded);
  }
  fit_memory(loaded, config);
  give_values(loaded, {.random_base = random, .seed = static_cast<uint64_t>(config.seed)});
  return loaded;
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

// The folder with weights or an adapter within what is given: itself, a run (its newest whole checkpoint), or a
// checkpoint.
static fs::path weights_within(const fs::path& given) {
  fs::path folder = net::resolve_model(given.string());
  const auto has_model = [](const fs::path& at) {
    return fs::exists(at / "config.json") || fs::exists(at / "adapter_config.json");
  };
  if (const auto newest = checkpoint::find_latest(folder))
    folder = newest->path;
  else if (fs::is_symlink(folder / "LATEST"))
    throw CheckpointError(folder.string(), "holds no whole checkpoint",
                          "`automodel checkpoint verify` says what is wrong with them");
  if (has_model(folder / "model")) return folder / "model";
  if (fs::exists(folder / "manifest.json") && !has_model(folder))
    throw CheckpointError(folder.string(), "this checkpoint has no model/ (checkpoint.save_consolidated: false)",
                          "save_consolidated: true writes one with every checkpoint, final with the last");
  return folder;
}

static fs::path adapter_within(const fs::path& given) {
  fs::path folder = weights_within(given);
  if (!fs::exists(folder / "adapter_config.json"))
    throw CheckpointError(folder.string(), "holds no adapter: expected adapter_config.json",
                          "a model with all its weights is given with --model");
  return folder;
}

TrainedModel load_inference_model(const fs::path& given, const fs::path& adapter, const std::string& dtype,
                                  const std::string& device) {
  fs::path folder = weights_within(given);
  fs::path lora = adapter.empty() ? adapter : adapter_within(adapter);
  const bool is_adapter = lora.empty() && fs::exists(folder / "adapter_config.json");
  if (is_adapter) lora = folder;
  TrainedModel loaded;
  if (!lora.empty()) {
    const auto file = lora / "adapter_config.json";
    const auto read = peft::read_adapter_config(load_json(file), file.string());
    loaded.lora = read.options;
    if (is_adapter) folder = base_of(lora, read.base, read.revision);
  }
  config::ModelSection section;
  section.path = folder.string();
  section.torch_dtype = dtype;
  loaded.folder = open_model_folder(section, net::ModelFiles::All, {"--model", "--dtype"});
  build_model(loaded, choose_device(device, "--device"));
  give_values(loaded, {.adapter = lora, .trained = false});
  loaded.tokenizer_folder = fs::exists(lora / "tokenizer.json") ? lora : folder;
  if (fs::exists(loaded.tokenizer_folder / "tokenizer.json")) load_tokenizer(loaded);
  return loaded;
}

}  // namespace automodel::recipes
