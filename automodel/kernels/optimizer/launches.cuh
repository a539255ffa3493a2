// The functions of the optimizer's table; each has a source of its own.
#pragma once

#include "automodel/kernels/optimizer/optimizer_cuda.h"

namespace automodel::kernels::cuda {

Status gradient_norm(const GradientNorm&, Stream);
Status adam_update(const AdamUpdate&, Stream);
Status adam_steps(const AdamSteps&, Stream);
Status copy_matrices(const CopyMatrices&, Stream);

}  // namespace automodel::kernels::cuda
