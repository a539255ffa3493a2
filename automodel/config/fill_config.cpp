#include "automodel/config/fill_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/config/knobs.h"
#include "automodel/config/model_names.h"
#include "automodel/config/names.h"
#include "automodel/config/schema.h"
#include "automodel/config/type_spec.h"

namespace automodel::config {

namespace {

Json to_json(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNull:
      return nullptr;
    case Value::Kind::kBool:
      return value.boolean;
    case Value::Kind::kInt:
      return value.integer;
    case Value::Kind::kFloat:
      return value.number;
    case Value::Kind::kString:
      return value.text;
    case Value::Kind::kList: {
      Json list = Json::array();
      for (const Value& item : value.items) list.push_back(to_json(item));
      return list;
    }
    case Value::Kind::kMap: {
      Json map = Json::object();
      for (const Entry& entry : value.entries) map[entry.key] = to_json(entry.value);
      return map;
    }
  }
  return nullptr;
}

class Filler {
 public:
  Filler(const Value& root, RecipeConfig& config, std::vector<Fault>& faults)
      : root_(root), config_(config), faults_(faults) {}

  void fill() {
    Knobs knobs(Knobs::Mode::kLoad, &root_);
    config_.describe(knobs);
    for (const Knob& knob : knobs.all()) read(knob);
    model();
    optimizer();
    sizes();
    token_sets();
    loggers();
    if (const NameRow* row = find_name("loss_fn", config_.loss_fn.kind); row && row->key_class == KeyClass::kMapped) {
      config_.loss_fn.kind = "cross_entropy";
    }
    cross_checks();
  }

 private:
  void read(const Knob& knob) {
    const Value* value = knob.set ? root_.at_path(knob.path) : nullptr;
    if (!value) return;
    if (!value->written.empty()) config_.written_as[knob.path] = value->written;
    if (!knob.role.empty()) {
      if (value->is_string()) knob.set(*value);
      return;
    }
    auto matched = match_type(knob.type, *value);
    if (!matched) return;
    try {
      knob.set(*matched);
    } catch (const ConfigError& fault) {
      faults_.push_back({value->place, knob.path, fault.what(), ""});
    }
  }

  // Keys of `section` that are fields of config.json rather than the model section's own.
  static void take_fields(const Value* section, const std::string& path, Json& fields) {
    if (!section) return;
    for (const Entry& entry : section->entries) {
      const KeySpec* spec = Schema::get().find(path + "." + entry.key);
      if (!spec || !spec->path.starts_with("hf.")) continue;
      if (Schema::classify(*spec, entry.value).key_class == KeyClass::kInert) continue;
      fields[entry.key] = to_json(entry.value);
    }
  }

  // By one of the keys; by that of a config it is what AutoConfig reads: the architecture, with random weights.
  void model_name() {
    const auto names = find_model_names(root_);
    if (names.empty()) return;
    const auto where = [](const Value& value) {
      return value.place.line > 0 ? fmt::format("line {}", value.place.line) : std::string("the command line");
    };
    const auto& [first, path] = names[0];
    for (const auto& [key, other] : names)
      if (other->text != path->text) {
        faults_.push_back(
            {other->place, key,
             fmt::format("is {} on {}, but {} on {} is {}: they are two models", to_yaml(*other), where(*other), first,
                         where(*path), to_yaml(*path)),
             "keep one: model.config for random weights, model.pretrained_model_name_or_path for those of "
             "the model"});
        return;
      }
    if (first == kModelPath) return;
    config_.model.path = path->text;
    if (config_.model.init == "from_pretrained") config_.model.init = "from_config";
    if (!path->written.empty()) config_.written_as[kModelPath] = path->written;
  }

  void model() {
    ModelSection& model = config_.model;
    const Value* section = root_.find("model");
    if (!section || !section->is_map()) return;
    model_name();
    const Value* config = section->find("config");
    if (const Value* dtype = section->find("dtype"); dtype && !section->find("torch_dtype")) {
      if (auto matched = match_type("dtype|=auto", *dtype)) model.torch_dtype = matched->text;
    }
    Json fields = Json::object(), text_fields = Json::object();
    take_fields(section, "model", fields);
    take_fields(config, "model.config", fields);
    take_fields(section->find("text_config"), "model.text_config", text_fields);
    if (!text_fields.empty()) fields["text_config"] = text_fields;
    model.config_overrides = fields.dump();
  }

  void optimizer() {
    OptimizerSection& optimizer = config_.optimizer;
    const Value* section = root_.find("optimizer");
    if (!section) return;
    auto dtype_of = [&](const char* key) {
      const Value* value = section->find(key);
      const auto matched = value ? match_type("dtype<float32|bfloat16>", *value) : std::nullopt;
      return matched ? matched->text : "";
    };
    std::string first = dtype_of("exp_avg_dtype"), second = dtype_of("exp_avg_sq_dtype");
    if (!first.empty() || !second.empty()) {
      if (first.empty()) first = "float32";
      if (second.empty()) second = "float32";
      if (first != second) {
        faults_.push_back({section->place, "optimizer.exp_avg_sq_dtype", "both moments must have one dtype here", ""});
      }
      optimizer.state_dtype = first;
    }
    const Value* mode = section->find("adam_w_mode");
    bool plain = mode && mode->is(Value::Kind::kBool) && !mode->boolean;
    master_weights(*section, optimizer);
    if (optimizer.kind == "fused_adam") optimizer.kind = plain ? "adam" : "adamw";
    if (optimizer.kind == "flash_adamw") optimizer.kind = "adamw";
  }

  // TransformerEngine's and flashoptim's own words. FusedAdam keeps no masters by itself, as torch's AdamW keeps none:
  // what auto means holds for both. flashoptim's default holds where nothing is said.
  void master_weights(const Value& section, OptimizerSection& optimizer) {
    const bool said = section.find("master_weights") != nullptr;
    const Value *bits = section.find("master_weight_bits"), *remainders = section.find("store_param_remainders");
    if (!said && optimizer.kind == "flash_adamw")
      optimizer.master_weights = bits && bits->is_null() ? "false" : "split";
    if (!remainders || !remainders->is(Value::Kind::kBool) || !remainders->boolean) return;
    const std::string& own = optimizer.master_weights;
    if (said && own != "true" && own != "split" && own != "auto") {
      faults_.push_back({remainders->place, "optimizer.store_param_remainders",
                         "keeps a part of master weights, but master_weights is " + own, "leave one of them out"});
    }
    optimizer.master_weights = "split";
  }

  // None stands for the default where a size must be a number.
  void sizes() {
    DistributedSection& d = config_.distributed;
    for (int64_t* size : {&d.tp_size, &d.pp_size, &d.cp_size, &d.ep_size}) *size = std::max<int64_t>(*size, 1);
    if (config_.checkpoint.save_consolidated == "true") config_.checkpoint.save_consolidated = "every";
  }

  // Lists and maps of data sets as text; the order of such sets is their own unless the user shuffles.
  void token_set(const std::string& section, DatasetSection& dataset) {
    if (const Value* paths = root_.at_path(section + ".paths"); paths && (paths->is_list() || paths->is_map())) {
      dataset.paths = to_json(*paths).dump();
    }
    const Value* split = root_.at_path(section + ".split");
    if (dataset.kind == "megatron" && split && split->is_list()) {
      dataset.split.clear();
      for (const Value& share : split->items) {  // str() of Python
        dataset.split += (dataset.split.empty() ? "" : ", ") + to_yaml(share);
      }
    }
    if (dataset.kind == "megatron" && !split) dataset.split = "900,50,50";
    if (dataset.kind == "megatron" && dataset.paths.empty()) {
      need((section + ".paths").c_str(), "the paths of the data set are missing", "paths: data/my_text_document");
    }
    if (dataset.kind == "nanogpt" && dataset.file_pattern.empty()) {
      need((section + ".file_pattern").c_str(), "the shards of the data set are missing",
           "file_pattern: data/train_*.bin");
    }
    if (dataset.reset_position_ids != dataset.reset_attention_mask) {
      const char* key = dataset.reset_position_ids ? ".reset_position_ids" : ".reset_attention_mask";
      faults_.push_back({place_of(section + key), section + key,
                         "reset_position_ids and reset_attention_mask go together: a document has its own positions",
                         "set both, or neither"});
    }
  }

  void token_sets() {
    token_set("dataset", config_.dataset);
    for (ValidationSet& set : config_.validation_sets) {
      token_set(set.name == "default" ? "validation_dataset" : "validation_dataset_" + set.name, set.dataset);
    }
    bool tokens = config_.dataset.kind == "megatron" || config_.dataset.kind == "nanogpt";
    if (tokens && !root_.at_path("dataloader.shuffle")) config_.dataloader.shuffle = false;
  }

  void loggers() {
    if (config_.wandb && (!config_.wandb->enable || config_.wandb->mode == "disabled")) config_.wandb.reset();
    if (config_.mlflow && !config_.mlflow->enable) config_.mlflow.reset();
    if (config_.comet && !config_.comet->enable) config_.comet.reset();
  }

  void need(const char* path, const std::string& text, const std::string& hint) {
    const Value* section = root_.find(std::string_view(path).substr(0, std::string_view(path).find('.')));
    faults_.push_back({section ? section->place : root_.place, path, text, hint});
  }

  Place place_of(const std::string& path) const {
    const Value* value = root_.at_path(path);
    return value ? value->place : Place{};
  }

  void cross_checks() {
    if (config_.recipe.empty()) {
      const Value* recipe = root_.find("recipe");
      if (!recipe) need("recipe", "the recipe is missing", "recipe: finetune, or NeMo AutoModel's class name");
    }
    bool by_path = config_.model.init == "from_pretrained" || config_.model.init == "from_config";
    const Value* target = root_.at_path("model.config._target_");
    if (target && find_name("config", target->text) && !target->text.ends_with("from_pretrained")) by_path = false;
    if (config_.model.path.empty() && by_path && is_text_recipe()) {
      need("model.pretrained_model_name_or_path", "the model is missing",
           "a folder in Hugging Face layout, or a Hub id");
    }
    if (config_.dataset.kind.empty() && is_text_recipe()) {
      need("dataset._target_", "the kind of the data set is missing",
           "chat, column_mapped, agent_chat, xlam, squad, hellaswag, megatron, nanogpt or mock");
    }
    check_split("dataset", config_.dataset.kind);
    for (const ValidationSet& set : config_.validation_sets) {
      check_split(set.name == "default" ? "validation_dataset" : "validation_dataset_" + set.name, set.dataset.kind);
    }
    batch_sizes();
    sources("dataset", config_.dataset);
    for (const ValidationSet& set : config_.validation_sets)
      sources(set.name == "default" ? "validation_dataset" : "validation_dataset_" + set.name, set.dataset);
    const StepSchedulerSection& steps = config_.step_scheduler;
    if (steps.local_batch_size > 0 && steps.global_batch_size % steps.local_batch_size != 0) {
      faults_.push_back(
          {place_of("step_scheduler.global_batch_size"), "step_scheduler.global_batch_size",
           fmt::format("{} is no multiple of local_batch_size {}", steps.global_batch_size, steps.local_batch_size),
           ""});
    }
    if (config_.peft && !config_.peft->target_modules.empty() && !config_.peft->exclude_modules.empty()) {
      faults_.push_back({place_of("peft.exclude_modules"), "peft.exclude_modules",
                         "target_modules and exclude_modules exclude each other", "keep one"});
    }
    const auto& schedule = config_.lr_scheduler;
    if (schedule && schedule->lr_warmup_steps && schedule->lr_decay_steps &&
        *schedule->lr_warmup_steps >= *schedule->lr_decay_steps) {
      faults_.push_back({place_of("lr_scheduler.lr_warmup_steps"), "lr_scheduler.lr_warmup_steps",
                         fmt::format("the warm-up ({} steps) must end before the decay ({})",
                                     *schedule->lr_warmup_steps, *schedule->lr_decay_steps),
                         ""});
    }
  }

  // A batch size of the training that is not the step scheduler's has no meaning here: say so instead of dropping it.
  void batch_sizes() {
    const int64_t local = config_.step_scheduler.local_batch_size;
    for (const auto& [path, size] : {std::pair{"dataset.batch_size", config_.dataset.batch_size},
                                     {"dataloader.batch_size", config_.dataloader.batch_size}})
      if (size && *size != local && is_text_recipe())
        faults_.push_back({place_of(path), path,
                           fmt::format("is {}, but step_scheduler.local_batch_size is {}", *size, local),
                           "set step_scheduler.local_batch_size, and leave this key out"});
  }

  void sources(const std::string& section, const DatasetSection& dataset) {
    if ((dataset.filter_overlong || dataset.truncate_history) && !dataset.seq_length)
      faults_.push_back({place_of(section), section + ".seq_length",
                         "is missing, but filter_overlong and truncate_history need it", ""});
    if (dataset.sources.empty()) return;
    if (!dataset.path.empty())
      faults_.push_back({place_of(section + ".sources"), section + ".sources",
                         "a data set has one path or several sources, not both", "name the path among the sources"});
    size_t weighted = 0;
    for (size_t i = 0; i < dataset.sources.size(); ++i) {
      const std::string path = fmt::format("{}.sources[{}]", section, i);
      if (dataset.sources[i].path.empty()) faults_.push_back({place_of(path), path, "names no path_or_dataset_id", ""});
      if (dataset.sources[i].kind.starts_with("mock") || dataset.sources[i].kind == "megatron")
        faults_.push_back({place_of(path), path, "only data sets of rows can be mixed", ""});
      weighted += dataset.sources[i].weight.has_value();
    }
    if (weighted > 0 && weighted < dataset.sources.size())
      faults_.push_back({place_of(section + ".sources"), section + ".sources",
                         "some sources have a weight and some have none", "give all of them one, or none"});
  }

  // "0.99, 0.01, 0" is a list to Python: the shares of Megatron's data sets.
  void check_split(const std::string& section, const std::string& kind) {
    const Value* split = root_.at_path(section + ".split");
    if (!split || !split->is_list() || kind == "megatron") return;
    faults_.push_back({split->place, section + ".split", "expected a string, got " + to_yaml(*split), "train[:1000]"});
  }

  bool is_text_recipe() const { return config_.recipe == "finetune" || config_.recipe == "benchmark"; }

  const Value& root_;
  RecipeConfig& config_;
  std::vector<Fault>& faults_;
};

}  // namespace

void fill_config(const Value& root, RecipeConfig& config, std::vector<Fault>& faults) {
  Filler(root, config, faults).fill();
}

}  // namespace automodel::config
