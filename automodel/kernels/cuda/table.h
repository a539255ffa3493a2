// The table of kernels that libautomodel_cuda.so fills when it is loaded.
//
// Every function takes a plain struct of raw device pointers and sizes, and the stream to run on; it launches and
// returns, allocates nothing and never waits. Sizes are 64-bit, strides count elements, empty inputs launch nothing.
// The structs are declared beside each kernel (rms_norm/norm_cuda.h, ...); a library and a program fit only if they
// were built from the same declarations: the version that both were compiled with is a hash of all of them.
#pragma once

#include "automodel/kernels/activation/activation_cuda.h"
#include "automodel/kernels/adapter/adapter_cuda.h"
#include "automodel/kernels/adapter/gated_adapter_cuda.h"
#include "automodel/kernels/attention/attention_cuda.h"
#include "automodel/kernels/cross_entropy/softmax_loss_cuda.h"
#include "automodel/kernels/cuda/types.h"
#include "automodel/kernels/dropout/dropout_cuda.h"
#include "automodel/kernels/embedding/embedding_cuda.h"
#include "automodel/kernels/optimizer/optimizer_cuda.h"
#include "automodel/kernels/product/product_cuda.h"
#include "automodel/kernels/qkv/qkv_cuda.h"
#include "automodel/kernels/rms_norm/norm_cuda.h"

namespace automodel::kernels::cuda {

struct Table {
  const char* archs;                  // what the library was compiled for, "90a" or "80 89 90a 120"
  const char* compiler;               // "nvcc 13.0.88, CUDA 13.0": what it was compiled with
  const char* (*error_text)(Status);  // what a status means
  Norm norm;
  Gated gated;
  SplitQkv split_qkv;
  Embedding embedding;
  Optimizer optimizer;
  CrossEntropy cross_entropy;
  Attention attention;
  Product product;
  Adapter adapter;
  GatedAdapter gated_adapter;
  Dropout dropout;
};

/// The one exported function, "automodel_cuda_open". Fills `table` and returns its own version; where `version`
/// differs from that it fills nothing.
using Open = const char*(const char* version, Table* table);

}  // namespace automodel::kernels::cuda
