// tokenizer: where the tokenizer comes from when it is not the model's own folder, and which special tokens it adds.
#pragma once

#include <optional>
#include <string>

namespace automodel::config {

struct TokenizerSection {
  std::string path;  ///< "" : the model's
  std::optional<bool> add_bos_token, add_eos_token;

  template <class F>
  void describe(F& f) {
    f("pretrained_model_name_or_path", path, "folder or Hub id of the tokenizer; not set: the model's");
    f("add_bos_token", add_bos_token, "put the begin token before plain text; null: as the tokenizer says",
      "bool|null");
    f("add_eos_token", add_eos_token, "put the end token after plain text; null: as the tokenizer says", "bool|null");
  }
};

}  // namespace automodel::config
