#include "automodel/base/counted.h"

namespace automodel {

std::string noun_for(int64_t count, const std::string& one, const std::string& many) {
  return count == 1 ? one : many.empty() ? one + "s" : many;
}

std::string counted(int64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + noun_for(count, one, many);
}

}  // namespace automodel
