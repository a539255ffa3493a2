// Generation with a cache on every golden checkpoint: greedy ids are the likeliest of a whole forward at each length.
#include "automodel/generate/generate.h"

#include "tests/parity/golden.h"

namespace automodel::parity {
namespace {

class Generation : public testing::TestWithParam<std::string> {};

TEST_P(Generation, GreedyWithACacheEqualsTheFullForward) {
  const auto model = on_test_device(load_model(GetParam()));
  const auto batch = load_batch(golden_folder() / GetParam() / "batch.json");
  std::vector<int32_t> ids;  // the start of the longest document
  const int64_t begin = batch.cu_seqlens[static_cast<size_t>(batch.documents()) - 1];
  for (int64_t t = 0; t < 6; ++t) ids.push_back(static_cast<int32_t>(batch.ids[begin + t].item<int64_t>()));
  const auto found = generate::generate(*model, ids, {.max_new_tokens = 24});
  for (size_t i = 0; i < found.size(); ++i) {
    Context context;
    const auto hidden = nn::forward_hidden(*model, make_batch({ids}).to(model->device), context);
    const auto logits = model->head->logits(hidden.narrow(0, hidden.size(0) - 1, 1)).flatten();
    ASSERT_EQ(found[i], logits.argmax().item<int64_t>()) << "token " << i;
    ids.push_back(found[i]);
  }
}

// Frequencies that change with the length do so under keys that are cached already, as in transformers.
std::vector<std::string> cases() {
  auto names = cases_with("batch.json");
  std::erase_if(names, [](const auto& name) { return name.ends_with("_dynamic") || name.ends_with("longrope"); });
  return names;
}

INSTANTIATE_TEST_SUITE_P(Golden, Generation, testing::ValuesIn(cases()), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace automodel::parity
