// What a run is told when its GPU fails.
#pragma once

#include <optional>

#include "automodel/base/error.h"

namespace automodel::kernels {

/// A GPU failed while it computed: a fault of the hardware or driver (Xid), or of a kernel. From then on nothing on it
/// can be computed or read by this process, so nothing can be saved. Exit code 1.
struct DeviceError : SystemError {
  /// `text` is the library's own account, of which the first line counts.
  DeviceError(const std::string& where, const std::string& text);
};

/// What the user is told of a fault that libtorch threw: that the GPU failed, or that its memory is full. Nothing where
/// it is another one.
std::optional<SystemError> as_device_error(const std::exception& error);

}  // namespace automodel::kernels
