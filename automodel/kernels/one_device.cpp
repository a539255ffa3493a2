#include "automodel/kernels/one_device.h"

#include <fmt/ranges.h>

#include "automodel/base/error.h"

namespace automodel::kernels {

static std::string described(const OpInput& input) {
  const std::string of = input.parameter ? fmt::format(" ('{}')", input.parameter->name()) : "";
  return fmt::format("{} [{}]{}", input.name, fmt::join(input.tensor->sizes().vec(), ", "), of);
}

void refuse_devices(const char* op, const OpInput& first, const OpInput& other) {
  throw CheckError(fmt::format("{}: {} lies on {}, expected {}, where {} lies", op, described(other),
                               other.tensor->device().str(), first.tensor->device().str(), described(first)));
}

}  // namespace automodel::kernels
