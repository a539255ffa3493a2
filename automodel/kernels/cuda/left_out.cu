// What the table holds for a .cc that was left out because its library's headers were missing. In a source of its own:
// a compiler takes the values of a constant that it sees, weak or not.
#include "automodel/kernels/cuda/table.h"

namespace automodel::kernels::cuda {

extern const Attention kAttention __attribute__((weak)) = {nullptr, nullptr, nullptr, nullptr};
extern const Product kProduct __attribute__((weak)) = {nullptr, nullptr, nullptr, nullptr};

}  // namespace automodel::kernels::cuda
