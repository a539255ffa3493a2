#include "automodel/kernels/cuda/device_error.h"

#include <c10/util/Exception.h>

namespace automodel::kernels {

DeviceError::DeviceError(const std::string& where, const std::string& text)
    : SystemError(
          where, "the GPU failed: " + text.substr(0, text.find('\n')),
          "`nvidia-smi` and `dmesg | grep Xid` say more; a run that saves checkpoints goes on from the last one "
          "by the same command") {}

std::optional<SystemError> as_device_error(const std::exception& error) {
  if (const auto* fault = dynamic_cast<const c10::AcceleratorError*>(&error))
    return DeviceError("", fault->what_without_backtrace());
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error))
    return SystemError("GPU memory", "is full",
                       "take fewer tokens at once, or free the GPU: `nvidia-smi` says who has it");
  return std::nullopt;
}

}  // namespace automodel::kernels
