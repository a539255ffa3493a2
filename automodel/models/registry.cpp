#include "automodel/models/registry.h"

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::models {

const std::vector<const Family*>& families() {
  static const std::vector<const Family*> all = {&kGemma2,  &kGemma3Text, &kGpt2,  &kLlama,
                                                 &kMistral, &kPhi3,       &kQwen2, &kQwen3};
  return all;
}

const Family& find_family(const std::string& model_type, const std::string& where) {
  std::vector<std::string> known;
  for (const Family* family : families()) {
    if (family->model_type == model_type) return *family;
    known.push_back(family->model_type);
  }
  throw UnsupportedError(where + ": model_type",
                         fmt::format("'{}' is not a family of this build; it knows {}", model_type, join(known, ", ")),
                         "see docs/adding-a-family.md: a family is one small file");
}

}  // namespace automodel::models
