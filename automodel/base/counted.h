// Numbers of things, as people write them.
#pragma once

#include <cstdint>
#include <string>

namespace automodel {

/// "step" for (1, "step"), else "steps"; `many` where an s will not do.
std::string noun_for(int64_t count, const std::string& one, const std::string& many = "");

/// "1 microbatch" for (1, "microbatch", "microbatches"); "2 steps" for (2, "step").
std::string counted(int64_t count, const std::string& one, const std::string& many = "");

}  // namespace automodel
