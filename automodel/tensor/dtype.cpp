#include "automodel/tensor/dtype.h"

#include <utility>

namespace automodel {

static constexpr std::pair<std::string_view, at::ScalarType> kNames[] = {
    {"float32", at::kFloat}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16}, {"float64", at::kDouble},
    {"fp32", at::kFloat},    {"fp16", at::kHalf},    {"bf16", at::kBFloat16},     {"double", at::kDouble},
    {"float", at::kFloat},   {"half", at::kHalf},    {"fp64", at::kDouble},
};

// Of what is saved beside weights, and what a checkpoint may hold; nothing is computed in them.
static constexpr std::pair<std::string_view, at::ScalarType> kOthers[] = {
    {"uint8", at::kByte}, {"int8", at::kChar},  {"int16", at::kShort},
    {"int32", at::kInt},  {"int64", at::kLong}, {"bool", at::kBool},
};

std::optional<at::ScalarType> parse_dtype(std::string_view name) {
  if (name.starts_with("torch.")) name.remove_prefix(6);
  for (const auto& [word, dtype] : kNames)
    if (word == name) return dtype;
  return std::nullopt;
}

std::string dtype_name(at::ScalarType dtype) {
  for (const auto& [word, known] : kNames)
    if (known == dtype) return std::string(word);
  for (const auto& [word, known] : kOthers)
    if (known == dtype) return std::string(word);
  return c10::toString(dtype);
}

}  // namespace automodel
