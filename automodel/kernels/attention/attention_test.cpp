#include "automodel/kernels/attention/attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>

#include "automodel/base/error.h"
#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

struct Case {
  std::vector<int64_t> queries, keys;  // of each document
  int64_t heads, kv_heads, D, window;
  double softcap = 0;
  bool sinks = false;
};

std::vector<int64_t> borders(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> out = {0};
  for (const int64_t length : lengths) out.push_back(out.back() + length);
  return out;
}

AttentionPlan plan_of(const Case& c) {
  AttentionPlan plan{borders(c.queries), borders(c.keys), c.window, 0.7 / std::sqrt(static_cast<double>(c.D))};
  plan.softcap = c.softcap;
  return plan;
}

// q, k and v lie one after the other in one flat tensor, so that one input carries all three.
struct Heads {
  at::Tensor q, k, v;
};
Heads heads_of(const at::Tensor& flat, const Case& c) {
  const int64_t Tq = borders(c.queries).back(), Tk = borders(c.keys).back(), nq = Tq * c.heads * c.D,
                nk = Tk * c.kv_heads * c.D;
  return {flat.narrow(0, 0, nq).reshape({Tq, c.heads, c.D}), flat.narrow(0, nq, nk).reshape({Tk, c.kv_heads, c.D}),
          flat.narrow(0, nq + nk, nk).reshape({Tk, c.kv_heads, c.D})};
}
int64_t flat_size(const Case& c) {
  return (borders(c.queries).back() * c.heads + 2 * borders(c.keys).back() * c.kv_heads) * c.D;
}

// One document, one head after the other, as the formula says it.
at::Tensor plain_document(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttentionPlan& plan,
                          const std::vector<at::Tensor>& sinks) {
  const int64_t nq = q.size(0), nk = k.size(0), group = q.size(1) / k.size(1);
  const auto integers = q.options().dtype(at::kLong).requires_grad(false);
  const auto row = at::arange(nk - nq, nk, integers).unsqueeze(1), column = at::arange(nk, integers).unsqueeze(0);
  auto hidden = column > row;
  if (plan.window > 0) hidden = hidden.logical_or(column < row - (plan.window - 1));
  std::vector<at::Tensor> out;
  for (int64_t h = 0; h < q.size(1); ++h) {
    auto scores = q.select(1, h).matmul(k.select(1, h / group).t()) * plan.scale;
    if (plan.softcap > 0) scores = (scores / plan.softcap).tanh() * plan.softcap;
    scores = scores.masked_fill(hidden, -INFINITY);
    if (!sinks.empty()) scores = at::cat({scores, sinks[0][h].expand({nq, 1})}, 1);
    out.push_back(scores.softmax(-1).narrow(1, 0, nk).matmul(v.select(1, h / group)).unsqueeze(1));
  }
  return at::cat(out, 1);
}

at::Tensor plain(const Heads& x, const AttentionPlan& plan, const std::vector<at::Tensor>& sinks = {}) {
  std::vector<at::Tensor> out = {x.q.narrow(0, 0, 0)};
  for (size_t d = 0; d + 1 < plan.q_begin.size(); ++d) {
    const int64_t k0 = plan.k_begin[d], nk = plan.k_begin[d + 1] - k0;
    out.push_back(plain_document(x.q.narrow(0, plan.q_begin[d], plan.q_begin[d + 1] - plan.q_begin[d]),
                                 x.k.narrow(0, k0, nk), x.v.narrow(0, k0, nk), plan, sinks));
  }
  return at::cat(out, 0);
}

using Implementation = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&, const AttentionPlan&);
const std::pair<const char*, Implementation> kImplementations[] = {{"fused", attention},
                                                                   {"reference", attention_reference}};

void expect_attention(const Case& c, const Precision& precision) {
  SCOPED_TRACE(testing::Message() << "queries " << testing::PrintToString(c.queries) << " keys "
                                  << testing::PrintToString(c.keys) << " heads " << c.heads << "/" << c.kv_heads
                                  << " D " << c.D << " window " << c.window << " softcap " << c.softcap
                                  << (c.sinks ? " sinks " : " ") << precision.dtype);
  auto plan = plan_of(c);
  const auto sinks = random_parameter({c.heads}, 7);
  if (c.sinks) plan.sinks = sinks.get();
  for (const auto& [name, op] : kImplementations) {
    SCOPED_TRACE(name);
    const auto run = op;
    expect_equals_plain(
        [&](const at::Tensor& flat) {
          const auto x = heads_of(flat, c);
          return run(x.q, x.k, x.v, plan);
        },
        [&](const at::Tensor& flat, const auto& weights) { return plain(heads_of(flat, c), plan, weights); },
        random_tensor({flat_size(c)}, 1, precision.dtype) * 2,
        {c.sinks ? std::vector{sinks.get()} : std::vector<Parameter*>{}, true, precision.tolerance});
  }
}

const std::vector<int64_t> kUneven = {5, 1, 17, 1, 64, 65, 3};

TEST(Attention, EqualsThePlainFormulaForDocumentsOfAnyLength) {
  for (const auto& precision :
       {Precision{at::kFloat, 5e-6}, Precision{at::kBFloat16, 0x1p-5}, Precision{at::kHalf, 0x1p-8}}) {
    expect_attention({{}, {}, 2, 1, 4, 0}, precision);
    expect_attention({{1}, {1}, 1, 1, 1, 0}, precision);
    expect_attention({kUneven, kUneven, 4, 2, 8, 0}, precision);
    expect_attention({{64}, {64}, 2, 2, 16, 0}, precision);
    expect_attention({{200}, {200}, 6, 2, 5, 0}, precision);  // over three blocks of queries, the last one uneven
    expect_attention({{3, 130, 2}, {3, 130, 2}, 4, 1, 64, 0}, precision);
  }
}

TEST(Attention, SeesNoFurtherThanItsWindow) {
  for (const int64_t window : {1, 2, 7, 63, 64, 65, 129, 1000})
    for (const auto& lengths : {kUneven, std::vector<int64_t>{150, 4}})
      expect_attention({lengths, lengths, 2, 1, 8, window}, {at::kFloat, 5e-6});
}

TEST(Attention, CapsItsScores) {
  for (const auto& precision : {Precision{at::kFloat, 5e-6}, Precision{at::kBFloat16, 0x1p-5}})
    for (const double softcap : {0.3, 2.0, 50.0})
      for (const int64_t window : {0, 7}) expect_attention({kUneven, kUneven, 4, 2, 8, window, softcap}, precision);
  expect_attention({{3, 1, 2}, {10, 70, 2}, 2, 1, 8, 0, 2.0}, {at::kFloat, 5e-6});
}

TEST(Attention, SeesItsSinksBesideTheKeys) {
  for (const auto& precision : {Precision{at::kFloat, 5e-6}, Precision{at::kBFloat16, 0x1p-5}})
    for (const int64_t window : {0, 7}) {
      expect_attention({kUneven, kUneven, 4, 2, 8, window, 0, true}, precision);
      expect_attention({kUneven, kUneven, 4, 2, 8, window, 2.0, true}, precision);
    }
  expect_attention({{3, 1, 2}, {10, 70, 2}, 2, 1, 8, 0, 0, true}, {at::kFloat, 5e-6});
}

TEST(Attention, TakesMoreKeysThanQueriesFromACache) {
  for (const int64_t window : {0, 5, 33, 500}) {
    expect_attention({{1}, {1}, 2, 1, 8, window}, {at::kFloat, 5e-6});
    expect_attention({{1}, {90}, 4, 2, 8, window}, {at::kFloat, 5e-6});
    expect_attention({{70}, {201}, 2, 2, 8, window}, {at::kFloat, 5e-6});
    expect_attention({{3, 1, 2}, {10, 70, 2}, 2, 1, 8, window}, {at::kFloat, 5e-6});
  }
}

TEST(Attention, TakesHeadsWithGaps) {
  const Case c{{5, 9}, {5, 9}, 4, 2, 4, 0};
  const auto turned = [](const at::Tensor& x) { return x.transpose(0, 1).contiguous().transpose(0, 1); };
  expect_equals_plain(
      [&](const at::Tensor& flat) {
        const auto x = heads_of(flat, c);
        EXPECT_FALSE(turned(x.v).is_contiguous());
        return attention(turned(x.q), turned(x.k), turned(x.v), plan_of(c));
      },
      [&](const at::Tensor& flat, const auto&) { return plain(heads_of(flat, c), plan_of(c)); },
      random_tensor({flat_size(c)}, 1), {{}, true, 5e-6});
}

TEST(Attention, OfAGreatScoreNeitherOverflowsNorLosesTheRest) {
  Case c{{40}, {40}, 1, 1, 4, 0};
  const auto plan = plan_of(c);
  const auto flat = random_tensor({flat_size(c)}, 1) * 60;  // scores up to a few thousand
  const auto x = heads_of(flat, c);
  EXPECT_TRUE(is_close(attention(x.q, x.k, x.v, plan), plain(heads_of(flat.to(at::kDouble), c), plan), 3e-3));
}

TEST(Attention, ReadsNothingAcrossADocumentsBorder) {
  const Case c{{7, 70, 9}, {7, 70, 9}, 2, 1, 8, 0};
  const auto plan = plan_of(c);
  auto x = heads_of(random_tensor({flat_size(c)}, 1), c);
  const auto before = attention(x.q, x.k, x.v, plan).clone();
  for (auto* tensor : {&x.q, &x.k, &x.v}) tensor->narrow(0, 7, 70).fill_(NAN);
  const auto after = attention(x.q, x.k, x.v, plan);
  EXPECT_TRUE(after.narrow(0, 0, 7).equal(before.narrow(0, 0, 7)));
  EXPECT_TRUE(after.narrow(0, 77, 9).equal(before.narrow(0, 77, 9)));
}

TEST(Attention, DoesNotDependOnThreads) {
  expect_same_on_one_and_two_threads([] {
    const Case c{{5, 1, 300, 64, 20}, {5, 1, 300, 64, 20}, 4, 2, 32, 100};
    const auto flat = random_tensor({flat_size(c)}, 1).requires_grad_();
    const auto x = heads_of(flat, c);
    const auto y = attention(x.q, x.k, x.v, plan_of(c));
    y.backward(random_tensor(y.sizes(), 2));
    return std::vector<at::Tensor>{y.detach(), flat.grad()};
  });
}

TEST(AttentionDropout, IsDrawnFromItsKey) {
  const Case c{{20, 3}, {20, 3}, 2, 1, 4, 0};
  auto plan = plan_of(c);
  plan.dropout = 0.5;
  const auto run = [&](RandomKey key) {
    plan.key = key;
    const auto flat = random_tensor({flat_size(c)}, 1).requires_grad_();
    const auto x = heads_of(flat, c);
    const auto y = attention(x.q, x.k, x.v, plan);
    y.backward(random_tensor(y.sizes(), 2));
    return std::pair{y.detach(), flat.grad()};
  };
  const auto one = run({1}), again = run({1}), other = run({2});
  EXPECT_TRUE(one.first.equal(again.first));
  EXPECT_TRUE(one.second.equal(again.second));
  EXPECT_FALSE(one.first.equal(other.first));
}

TEST(AttentionDropout, KeepsTheMeanAndDropsProbabilitiesNotScores) {
  // All values are 1, so a row's output is the sum of its kept probabilities / (1 - p): on average 1, and one token
  // sees itself alone: its output is 0 or 2.
  const int64_t T = 400;
  AttentionPlan plan{{0, T}, {0, T}, 0, 1, 0.5, RandomKey{3}};
  const auto q = random_tensor({T, 1, 4}, 1), v = q * 0 + 1;
  const auto y = attention(q, q, v, plan).flatten();
  EXPECT_NEAR(y.mean().item<double>(), 1, 0.03);
  const float first = y[0].item<float>();
  EXPECT_TRUE(first == 0 || first == 2) << first;
}

TEST(Attention, RefusesHeadsThatDoNotGroup) {
  const auto q = random_tensor({3, 3, 4}, 1), k = random_tensor({3, 2, 4}, 2);
  EXPECT_THROW(attention(q, k, k, {{0, 3}, {0, 3}}), CheckError);
}

TEST(Attention, RefusesBordersThatAreNotTheTensors) {
  const auto q = random_tensor({3, 2, 4}, 1);
  EXPECT_THROW(attention(q, q, q, {{0, 4}, {0, 4}}), CheckError);
  EXPECT_THROW(attention(q, q, q, {{0, 2}, {0, 2}}), CheckError);
}

}  // namespace
}  // namespace automodel::kernels
