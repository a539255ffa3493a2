// A sink: a score without a value that each head's softmax sees beside the keys' (Xiao et al. 2023, arXiv:2309.17453;
// gpt-oss). What computes attention without sinks is completed by its log-sum-exp L alone:
//
//   L' = log(exp(L) + exp(sink)),  O' = exp(L - L') O
//
// and its backward, given O' and L', makes the right dQ, dK and dV.
#pragma once

#include "automodel/kernels/attention/attention.h"

namespace automodel::kernels {

/// L -> L' and O -> O' in place. lse [..., Hq] fp32 and o [..., Hq, D] of the same leading dims, any strides.
void add_sinks(const at::Tensor& o, const at::Tensor& lse, const Parameter& sinks);

/// d sink_h = - sum over queries of exp(sink_h - L') (dO' . O'), to the parameter's sink. Shapes as above.
void add_sinks_gradient(const at::Tensor& d_o, const at::Tensor& o, const at::Tensor& lse, Parameter& sinks);

}  // namespace automodel::kernels
