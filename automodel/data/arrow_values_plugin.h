// Cells of Arrow arrays as JSON. Part of libautomodel_arrow.so.
#pragma once

#include <arrow/type_fwd.h>

#include <nlohmann/json.hpp>

#include "automodel/base/json.h"

namespace automodel::data {

/// The value at `index`; what each type becomes is said in arrow_file.h. REQUIRES a validated array. Throws
/// std::runtime_error for types without a JSON form (unions, durations with months), and for JSON columns that hold
/// none.
Json arrow_value(const arrow::Array& array, int64_t index);

}  // namespace automodel::data
