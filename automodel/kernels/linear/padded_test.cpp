#include "automodel/kernels/linear/padded.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>

#include "automodel/kernels/activation/activation.h"
#include "automodel/kernels/layer_norm/layer_norm.h"
#include "automodel/kernels/op_check.h"
#include "automodel/kernels/qkv/qkv.h"
#include "automodel/kernels/rms_norm/rms_norm.h"

namespace automodel::kernels {
namespace {

TEST(Padded, KnowsItsOwnAndNobodyElses) {
  const auto options = random_tensor({1}, 1).options();
  const auto x = empty_padded(5, 6, 8, options);
  EXPECT_EQ(x.sizes(), (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(row_padding(x), 8);
  EXPECT_EQ(row_padding(x.view({5, 2, 3})), 8);
  EXPECT_EQ(with_padding(x).sizes(), (std::vector<int64_t>{5, 14}));
  EXPECT_EQ(with_padding(x).data_ptr(), x.data_ptr());
  const auto wide = random_tensor({5, 14}, 1);
  EXPECT_EQ(row_padding(wide.narrow(1, 0, 6)), 0) << "its neighbours are data";
  EXPECT_EQ(row_padding(x.narrow(1, 0, 4)), 0);
  EXPECT_EQ(row_padding(x.narrow(0, 1, 4)), 0);
  EXPECT_EQ(row_padding(x.narrow(0, 0, 4)), 0);
  EXPECT_EQ(row_padding(random_tensor({5, 6}, 1)), 0);
  EXPECT_EQ(row_padding(random_tensor({5}, 1)), 0);
}

TEST(Padded, CopiesOnlyWhatHasNoRoom) {
  const auto x = random_tensor({3, 4}, 1);
  const auto y = padded(x, 8);
  EXPECT_EQ(row_padding(y), 8);
  EXPECT_TRUE(y.equal(x));
  EXPECT_TRUE(padded(y, 8).is_same(y));
  EXPECT_EQ(row_padding(padded(y, 16)), 16);
  EXPECT_EQ(row_padding(empty_padded_like(y.view({3, 2, 2}))), 8);
  EXPECT_EQ(row_padding(empty_padded(0, 4, 8, x.options())), 8);
}

// --- ops that read and write rows with room: as if there were none, and gradients have the room of what they belong to

constexpr int64_t kRoom = 16;

// On a GPU the room goes through; the CPU's code may drop it.
void expect_room(const at::Tensor& x) {
  if (x.is_cuda()) {
    EXPECT_EQ(row_padding(x), kRoom);
  }
}

at::Tensor gradient(const at::Tensor& y, const at::Tensor& x) {
  return torch::autograd::grad({y}, {x}, {random_tensor(y.sizes(), 7, y.scalar_type())})[0];
}

TEST(Room, BehindANormAndTheStreamThatPassesIt) {
  for (const auto& [dtype, tolerance] : kPrecisions)
    for (const bool room : {false, true})
      for (const int64_t rows : {0, 1, 70}) {
        SCOPED_TRACE(testing::Message() << dtype << " room " << room << " rows " << rows);
        const auto weight = random_parameter({48}, 2, dtype), bias = random_parameter({48}, 3, dtype);
        const auto x = padded(random_tensor({rows, 48}, 1, dtype), room ? kRoom : 0);
        expect_equals_plain(
            [&](const at::Tensor& given) {
              const auto out = pass_rms_norm(given, *weight, 1e-5, true, kRoom);
              expect_room(out.y);
              return at::cat({out.h, out.y}, 1);
            },
            [](const at::Tensor& given, const std::vector<at::Tensor>& w) {
              const auto normal = given * (given.pow(2).mean({-1}, true) + 1e-5).rsqrt() * (w[0] + 1);
              return at::cat({given, normal}, 1);
            },
            x, {{weight.get()}, true, tolerance * 2});
        expect_equals_plain(
            [&](const at::Tensor& given) {
              const auto out = pass_layer_norm(given, *weight, bias.get(), 1e-5, kRoom);
              expect_room(out.y);
              return at::cat({out.h, out.y}, 1);
            },
            [](const at::Tensor& given, const std::vector<at::Tensor>& w) {
              const auto centred = given - given.mean({-1}, true);
              const auto normal = centred * (centred.pow(2).mean({-1}, true) + 1e-5).rsqrt() * w[0] + w[1];
              return at::cat({given, normal}, 1);
            },
            x, {{weight.get(), bias.get()}, true, tolerance * 2});
      }
  const auto weight = random_parameter({48}, 2);
  const auto x = padded(random_tensor({5, 48}, 1), kRoom).requires_grad_();
  expect_room(gradient(pass_rms_norm(x, *weight, 1e-5).y, x));
}

TEST(Room, BehindGateAndUp) {
  for (const auto& [dtype, tolerance] : kPrecisions) {
    SCOPED_TRACE(dtype);
    const auto x = padded(random_tensor({33, 48}, 1, dtype), kRoom);
    expect_equals_plain(
        [&](const at::Tensor& given) {
          const auto y = gated_activation(given, Activation::Silu, kRoom);
          expect_room(y);
          return y;
        },
        [](const at::Tensor& given, const auto&) { return at::silu(given.narrow(1, 0, 24)) * given.narrow(1, 24, 24); },
        x, {{}, true, tolerance});
    const auto leaf = x.detach().requires_grad_();
    expect_room(gradient(gated_activation(leaf, Activation::Silu), leaf));
  }
}

TEST(Room, BehindQueriesKeysAndValues) {
  for (const bool with_norm : {false, true})
    for (const auto& [dtype, tolerance] : kPrecisions) {
      SCOPED_TRACE(testing::Message() << dtype << " norm " << with_norm);
      const QkvHeads heads{4, 2, 8};
      const auto q_weight = random_parameter({8}, 2, dtype), k_weight = random_parameter({8}, 3, dtype);
      QkNorm norm;
      if (with_norm) norm = {q_weight.get(), k_weight.get(), 1e-5, false};
      const RopeTable rope{random_tensor({9, 4}, 4), random_tensor({9, 4}, 5)};
      const auto dense = random_tensor({9, 64}, 1, dtype);
      const auto join = [](const Qkv& x) { return at::cat({x.q.flatten(1), x.k.flatten(1), x.v.flatten(1)}, 1); };
      const auto run = [&](const at::Tensor& x) {  // writes over x
        for (auto* parameter : {q_weight.get(), k_weight.get()}) parameter->clear_grad();
        const auto leaf = x.detach().requires_grad_();
        const auto y = join(split_qkv_in_place(leaf, heads, norm, rope));
        const auto dx = gradient(y, leaf);
        return std::vector<at::Tensor>{y.detach(), dx};
      };
      const auto plain = run(dense.clone()), room = run(padded(dense, kRoom));
      EXPECT_TRUE(is_close(room[0], plain[0], tolerance) && is_close(room[1], plain[1], tolerance));
      const auto leaf = padded(dense, kRoom).requires_grad_();
      const auto out = split_qkv(leaf, heads, norm, rope);
      expect_room(gradient(join(out), leaf));
    }
}

}  // namespace
}  // namespace automodel::kernels
