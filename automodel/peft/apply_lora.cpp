// Which linears are adapted, and what is done to all adapters of a model.
#include <ATen/ops/empty.h>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/peft/lora.h"
#include "automodel/tensor/initialize.h"

namespace automodel::peft {

namespace {

// NeMo AutoModel's rule: '*' matches any run of characters of the whole name; a plain word is the name or its last
// parts.
bool matches(const std::string& pattern, const std::string& module) {
  if (pattern.find('*') != std::string::npos) return wildcard_match(pattern, module);
  return module == pattern || module.ends_with("." + pattern);
}

class Selection {
 public:
  explicit Selection(const LoraOptions& options) : options_(options) {
    if (!options.target_modules.empty() && !options.exclude_modules.empty())
      throw ConfigError("peft", "target_modules and exclude_modules were both given, expected one of them");
    if (patterns().empty() && !options.match_all_linear)
      targets_ = {"*_proj"};
    else
      targets_ = options.target_modules;
    hits_.resize(std::max(targets_.size(), options.exclude_modules.size()));
  }

  bool takes(const std::string& module) {
    all_.push_back(module);
    if (!options_.exclude_modules.empty()) return !any(options_.exclude_modules, module);
    const bool named = any(targets_, module);
    return options_.match_all_linear || named;
  }

  /// `adapted` of the linears got an adapter.
  void check(size_t adapted) const {
    const bool excludes = !options_.exclude_modules.empty();
    const auto& used = excludes ? options_.exclude_modules : targets_;
    const std::string key = excludes ? "peft.exclude_modules" : "peft.target_modules",
                      hint = "its linears: " + join(kinds(), ", ");
    for (size_t i = 0; i < used.size(); ++i)
      if (!hits_[i]) {
        if (patterns().empty())
          throw ConfigError(key,
                            fmt::format("is not set: that means '{}', which matches no linear of the model", used[i]),
                            "name some, or peft.match_all_linear: true; " + hint);
        const auto meant = nearest_to(used[i]);
        throw ConfigError(key,
                          fmt::format("'{}' matches no linear of the model{}", used[i],
                                      meant.empty() ? "" : "; did you mean " + meant + "?"),
                          hint);
      }
    if (adapted == 0)
      throw ConfigError(key, "leaves no linear to adapt: the output head (lm_head) can have no adapter in this build",
                        "leave some of them out of the list; " + hint);
  }

 private:
  const std::vector<std::string>& patterns() const {
    return options_.exclude_modules.empty() ? options_.target_modules : options_.exclude_modules;
  }
  bool any(const std::vector<std::string>& list, const std::string& module) {
    bool found = false;
    for (size_t i = 0; i < list.size(); ++i)
      if (matches(list[i], module)) hits_[i] = found = true;
    return found;
  }
  std::vector<std::string> kinds() const {  // each last part once, not every layer's
    std::vector<std::string> last;
    for (const auto& module : all_) {
      const auto name = module.substr(module.rfind('.') + 1);
      if (std::find(last.begin(), last.end(), name) == last.end()) last.push_back(name);
    }
    return last;
  }
  // The kind that the pattern's last part is nearest to; where that part is right, the whole name.
  std::string nearest_to(const std::string& pattern) const {
    const std::string word = replace_all(pattern.substr(pattern.rfind('.') + 1), "*", "");
    const auto meant = nearest(word, kinds());
    return meant == word ? nearest(pattern, all_) : meant;
  }

  const LoraOptions& options_;
  std::vector<std::string> targets_, all_;
  std::vector<bool> hits_;
};

}  // namespace

std::vector<std::string> apply_lora(nn::Model& model, const LoraOptions& options) {
  if (options.rank <= 0) throw ConfigError("peft.dim", fmt::format("expected a positive rank, got {}", options.rank));
  for (const auto& parameter : model.parameters()) parameter->trainable = false;
  Selection selection(options);
  std::vector<nn::Linear*> of_head;
  model.head->collect_linears(of_head);
  std::vector<std::string> adapted;
  uint64_t id = 0x10A;
  bool head_is_left_out = false;
  for (nn::Linear* linear : model.linears()) {
    const bool head = std::find(of_head.begin(), of_head.end(), linear) != of_head.end();
    std::vector<int64_t> slices;
    for (size_t i = 0; i < linear->spec().modules.size(); ++i)
      if (selection.takes(linear->spec().modules[i])) slices.push_back(static_cast<int64_t>(i));
    ++id;
    if (slices.empty()) continue;
    if (head) {
      if (!options.match_all_linear && options.exclude_modules.empty())
        throw UnsupportedError("peft.target_modules",
                               "an adapter of the output head (lm_head) is not possible in this build",
                               "leave lm_head out");
      head_is_left_out = true;
      continue;
    }
    for (const int64_t slice : slices) adapted.push_back(linear->spec().modules[static_cast<size_t>(slice)]);
    linear->op = std::make_unique<Lora>(std::move(linear->op), slices, options, id);
  }
  selection.check(adapted.size());
  if (head_is_left_out) log_warning("the output head (lm_head) gets no adapter: its logits are never formed whole");
  return adapted;
}

std::vector<Lora*> adapters(const nn::Model& model) {
  std::vector<Lora*> found;
  for (nn::Linear* linear : model.linears())
    if (auto* lora = dynamic_cast<Lora*>(linear->op.get())) found.push_back(lora);
  return found;
}

std::vector<ParameterPtr> adapter_parameters(const nn::Model& model) {
  std::vector<ParameterPtr> all;
  for (Lora* lora : adapters(model)) {
    all.push_back(lora->a());
    all.push_back(lora->b());
    if (lora->magnitude()) all.push_back(lora->magnitude());
  }
  return all;
}

void initialize_adapters(nn::Model& model, uint64_t seed) {
  for (Lora* lora : adapters(model)) {
    for (const auto& parameter : {lora->a(), lora->b()}) {
      if (!parameter->has_value()) parameter->allocate(model.device);
      initialize(*parameter, seed);
    }
    lora->initialize_magnitude();
  }
}

void merge_lora(nn::Model& model) {
  for (nn::Linear* linear : model.linears())
    if (auto* lora = dynamic_cast<Lora*>(linear->op.get())) linear->op = lora->merge();
}

}  // namespace automodel::peft
