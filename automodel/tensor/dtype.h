// Names of dtypes: as YAML and config.json spell them, and as safetensors does.
#pragma once

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <string_view>

namespace automodel {

/// "bf16", "bfloat16", "torch.bfloat16", "float32", "fp32", "float16", "half", ... ; nothing for other words.
std::optional<at::ScalarType> parse_dtype(std::string_view name);

/// "bfloat16", "float32", ...: the spelling of config.json's dtype.
std::string dtype_name(at::ScalarType dtype);

}  // namespace automodel
