// peft: which linears get a LoRA adapter, and of which shape. Scale = alpha / dim (rsLoRA: alpha / sqrt(dim)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace automodel::config {

struct PeftSection {
  std::vector<std::string>
      target_modules;  ///< patterns; {"*_proj"} when neither match_all_linear nor exclude_modules is set
  std::vector<std::string> exclude_modules;  ///< not together with target_modules
  bool match_all_linear = false;
  int64_t dim = 8;
  double alpha = 32;
  double dropout = 0;
  std::string dropout_position = "post";
  std::string lora_A_init = "xavier";
  std::optional<std::string> lora_dtype;
  bool use_dora = false;
  bool use_rslora = false;

  template <class F>
  void describe(F& f) {
    f("target_modules", target_modules, "names of the linears, with * for any run of characters",
      "string|list<string>|null");
    f("exclude_modules", exclude_modules, "every linear but these; not together with target_modules",
      "string|list<string>|null");
    f("match_all_linear", match_all_linear, "every linear, the head too");
    f("dim", dim, "rank of the adapter", "int[1,]");
    f("alpha", alpha, "the product is scaled by alpha / dim", "float(0,]");
    f("dropout", dropout, "probability that an element of the adapter's input (pre) or output (post) is dropped",
      "float[0,1)");
    f("dropout_position", dropout_position, "before the first or after the second product", "=post|=pre");
    f("lora_A_init", lora_A_init, "xavier: normal; anything else in NeMo: kaiming uniform with a = sqrt(5)",
      "=xavier|=kaiming|=uniform");
    f("lora_dtype", lora_dtype, "dtype of the adapter; null: the base weight's", "dtype|null");
    f("use_dora", use_dora, "weight-decomposed LoRA (DoRA)");
    f("use_rslora", use_rslora, "scale by alpha / sqrt(dim)");
  }
};

}  // namespace automodel::config
