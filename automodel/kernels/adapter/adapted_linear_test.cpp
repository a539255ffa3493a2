#include "automodel/kernels/adapter/adapted_linear.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

struct Case {
  int64_t T, in, out, rank;
  std::vector<AdapterPiece> pieces;
};

// Columns that no piece names are the base's alone.
const std::vector<AdapterPiece> kThree = {{2, 4, 0}, {6, 2, 4}, {15, 3, 6}};
const std::vector<Case> kCases = {{0, 8, 20, 3, kThree},        {1, 8, 20, 3, kThree},
                                  {13, 7, 20, 8, kThree},       {40, 32, 20, 17, kThree},
                                  {33, 16, 8, 64, {{0, 8, 0}}}, {130, 24, 48, 16, {{0, 24, 0}, {24, 24, 24}}}};
// Aligned, and with more rows and columns than a block of the GPU's kernel has; columns 200 to 208 have no adapter.
const std::vector<AdapterPiece> kAligned = {{0, 200, 0}, {208, 136, 200}, {344, 8, 336}};
const std::vector<Case> kLargeCases = {{1, 40, 352, 16, kAligned},
                                       {1030, 40, 352, 13, kAligned},
                                       {700, 40, 352, 24, kAligned},
                                       {129, 40, 352, 4, kAligned}};

at::Tensor plain(const Case& c, const at::Tensor& x, const std::vector<at::Tensor>& w, double scale,
                 const DropoutMask& dropout = {}) {
  auto y = x.matmul(w[0].t()) + w[1];
  const auto mask = drop(at::ones({c.T, c.out}, at::kDouble), dropout).to(y.device());
  for (size_t j = 0; j < c.pieces.size(); ++j) {
    const auto& piece = c.pieces[j];
    const auto a = w[2].narrow(0, static_cast<int64_t>(j) * c.rank, c.rank),
               b = w[3].narrow(0, piece.b_begin, piece.rows);
    const auto delta = x.matmul(a.t()).matmul(b.t()) * scale * mask.narrow(1, piece.begin, piece.rows);
    std::vector<at::Tensor> parts = {y.narrow(1, 0, piece.begin), y.narrow(1, piece.begin, piece.rows) + delta,
                                     y.narrow(1, piece.begin + piece.rows, c.out - piece.begin - piece.rows)};
    y = at::cat(parts, 1);
  }
  return y;
}

enum class Room { None, Behind };

void expect_adapted(const Case& c, const Precision& precision, bool all_trained, Room room,
                    const DropoutMask& dropout = {}) {
  int64_t b_rows = 0;
  for (const auto& piece : c.pieces) b_rows += piece.rows;
  const auto weight = random_parameter({c.out, c.in}, 1, precision.dtype, all_trained),
             bias = random_parameter({c.out}, 2, precision.dtype, all_trained),
             a = random_parameter({static_cast<int64_t>(c.pieces.size()) * c.rank, c.in}, 3, precision.dtype),
             b = random_parameter({b_rows, c.rank}, 4, precision.dtype);
  AdapterStorage storage(*weight, *a, *b, c.rank, 0.3, c.pieces);
  storage.refresh(true);
  const auto x = random_tensor({c.T, c.in}, 5, precision.dtype);
  expect_equals_plain(
      [&](const at::Tensor& given) {
        const auto y = adapted_linear(given, storage, bias.get(), {}, dropout);
        EXPECT_EQ(row_padding(y), storage.extra());
        return y;
      },
      [&](const at::Tensor& x, const std::vector<at::Tensor>& w) { return plain(c, x, w, 0.3, dropout); },
      room == Room::Behind ? padded(x, storage.extra()) : x,
      {{weight.get(), bias.get(), a.get(), b.get()}, true, precision.tolerance * 2});
}

TEST(AdaptedLinear, EqualsThePlainFormulaForwardAndBackward) {
  for (const auto& c : kCases)
    for (const auto& precision : kPrecisions)
      for (const bool all_trained : {false, true})
        for (const Room room : {Room::None, Room::Behind}) {
          SCOPED_TRACE(testing::Message() << "T " << c.T << " rank " << c.rank << " " << precision.dtype << " trained "
                                          << all_trained << " room " << (room == Room::Behind));
          expect_adapted(c, precision, all_trained, room);
        }
}

TEST(AdaptedLinear, EqualsThePlainFormulaInManyTiles) {
  for (const auto& c : kLargeCases)
    for (const auto& precision : kPrecisions)
      for (const Room room : {Room::None, Room::Behind}) {
        SCOPED_TRACE(testing::Message() << "T " << c.T << " rank " << c.rank << " " << precision.dtype << " room "
                                        << (room == Room::Behind));
        expect_adapted(c, precision, false, room);
      }
}

TEST(AdaptedLinear, DropsWhatTheAdaptersAdd) {
  for (const double p : {0.1, 0.7, 1.0})
    for (const auto* cases : {&kCases, &kLargeCases})
      for (const auto& c : *cases)
        for (const auto& precision : kPrecisions) {
          SCOPED_TRACE(testing::Message() << "p " << p << " T " << c.T << " rank " << c.rank << " " << precision.dtype);
          expect_adapted(c, precision, false, c.T % 2 ? Room::None : Room::Behind, dropout_mask(p, RandomKey{7, 9}));
        }
}

TEST(AdaptedLinear, AddsAResidual) {
  for (const auto& [dtype, tolerance] : kPrecisions)
    for (const bool with_bias : {false, true}) {
      SCOPED_TRACE(testing::Message() << dtype << " bias " << with_bias);
      const Case c{70, 24, 24, 16, {{0, 16, 0}}};
      const auto weight = random_parameter({24, 24}, 1, dtype, false), bias = random_parameter({24}, 2, dtype),
                 a = random_parameter({16, 24}, 3, dtype), b = random_parameter({16, 16}, 4, dtype);
      AdapterStorage storage(*weight, *a, *b, c.rank, 0.3, c.pieces);
      storage.refresh(true);
      expect_equals_plain(
          [&](const at::Tensor& x) { return adapted_linear(x, storage, with_bias ? bias.get() : nullptr, x * 2); },
          [&](const at::Tensor& x, std::vector<at::Tensor> w) {
            if (!with_bias) w.insert(w.begin() + 1, at::zeros({24}, w[0].options().requires_grad(false)));
            return plain(c, x, w, 0.3) + x * 2;
          },
          random_tensor({c.T, 24}, 5, dtype),
          {with_bias ? std::vector<Parameter*>{weight.get(), bias.get(), a.get(), b.get()}
                     : std::vector<Parameter*>{weight.get(), a.get(), b.get()},
           true, tolerance * 2});
    }
}

TEST(AdaptedLinear, TakesAGradientWithRoomAndOneWithout) {
  const Case& c = kCases[5];
  const auto weight = random_parameter({c.out, c.in}, 1, at::kFloat, false),
             a = random_parameter({2 * c.rank, c.in}, 3), b = random_parameter({c.out, c.rank}, 4);
  AdapterStorage storage(*weight, *a, *b, c.rank, 0.3, c.pieces);
  storage.refresh(true);
  const auto dy = random_tensor({c.T, c.out}, 6);
  std::vector<at::Tensor> dx, da, db;
  for (const int64_t extra : {storage.extra(), int64_t{0}}) {
    const auto x = padded(random_tensor({c.T, c.in}, 5), extra).requires_grad_();
    a->clear_grad(), b->clear_grad();
    const auto y = adapted_linear(x, storage, nullptr);
    // What is behind the rows of a gradient is nobody's: rubbish there must not show.
    auto given = extra ? padded(dy, extra) : dy;
    if (extra) with_padding(given).narrow(1, c.out, extra).fill_(NAN);
    dx.push_back(torch::autograd::grad({y}, {x}, {given})[0]);
    EXPECT_EQ(row_padding(dx.back()), extra);
    da.push_back(a->grad().clone()), db.push_back(b->grad().clone());
  }
  EXPECT_TRUE(is_close(dx[0], dx[1], 1e-6) && is_close(da[0], da[1], 1e-6) && is_close(db[0], db[1], 1e-6));
}

TEST(AdaptedLinear, TwoReadersOfOneInputDoNotDisturbEachOther) {
  const Case& c = kCases[5];
  std::vector<std::unique_ptr<Parameter>> own;
  const auto make = [&](std::vector<int64_t> shape, bool trained) {
    own.push_back(random_parameter(std::move(shape), 10 + own.size(), at::kFloat, trained));
    return own.back().get();
  };
  std::vector<std::unique_ptr<AdapterStorage>> storages;
  for (int i = 0; i < 2; ++i) {
    auto* weight = make({c.out, c.in}, false);
    auto* a = make({2 * c.rank, c.in}, true);
    auto* b = make({c.out, c.rank}, true);
    storages.push_back(std::make_unique<AdapterStorage>(*weight, *a, *b, c.rank, 0.3, c.pieces));
    storages.back()->refresh(true);
  }
  const auto dy = random_tensor({c.T, c.out}, 6);
  const auto grad_of_b = [&](bool together) {
    const auto x = padded(random_tensor({c.T, c.in}, 5), storages[0]->extra()).requires_grad_();
    for (auto& parameter : own) parameter->clear_grad();
    const auto first = adapted_linear(x, *storages[0], nullptr);
    if (together) adapted_linear(x, *storages[1], nullptr);
    first.backward(dy);
    return storages[0]->b().grad().clone();
  };
  EXPECT_TRUE(grad_of_b(true).equal(grad_of_b(false)));
}

TEST(AdapterStorage, HoldsTheWeightAndFollowsTheAdapters) {
  const Case& c = kCases[3];
  const auto weight = random_parameter({c.out, c.in}, 1), a = random_parameter({3 * c.rank, c.in}, 3),
             b = random_parameter({9, c.rank}, 4);
  const auto before = weight->value();
  AdapterStorage storage(*weight, *a, *b, c.rank, 2, c.pieces);
  EXPECT_EQ(storage.step(), 24);
  EXPECT_EQ(storage.extra(), 128);
  storage.refresh(true);
  EXPECT_TRUE(weight->value().equal(before));
  EXPECT_TRUE(storage.b_padded().narrow(0, 6, 2).narrow(1, 24, 17).equal(b->value().narrow(0, 4, 2) * 2));
  EXPECT_EQ(storage.b_padded().narrow(0, 0, 2).abs().max().item<float>(), 0);
  b->value().fill_(1);
  storage.refresh(false);
  EXPECT_FALSE(storage.b_padded().narrow(0, 6, 2).narrow(1, 24, 17).equal(b->value().narrow(0, 4, 2) * 2));
  storage.refresh(true);
  EXPECT_TRUE(storage.b_padded().narrow(0, 6, 2).narrow(1, 24, 17).equal(b->value().narrow(0, 4, 2) * 2));
  weight->set_value(before * 3);  // somebody gave it another value
  storage.refresh(false);
  EXPECT_TRUE(weight->value().equal(before * 3));
  EXPECT_TRUE(weight->value().is_alias_of(storage.rows()));
}

}  // namespace
}  // namespace automodel::kernels
