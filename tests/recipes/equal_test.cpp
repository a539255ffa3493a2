// Ways to compute the same thing: the losses of short runs agree.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

std::vector<Json> steps_with(const Arguments& overrides) {
  TemporaryFolder folder;
  expect_success(run(with(write_run(folder.path()), overrides)));
  return read_lines(folder / "out/training.jsonl");
}

void expect_equal(const std::vector<Json>& a, const std::vector<Json>& b, double relative) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_FALSE(a.empty());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].at("num_label_tokens"), b[i].at("num_label_tokens"));
    for (const char* name : {"loss", "grad_norm"}) {
      const double x = a[i].at(name).get<double>(), y = b[i].at(name).get<double>();
      EXPECT_LE(std::abs(x - y), relative * std::abs(y)) << name << " of step " << i << ": " << x << " and " << y;
    }
  }
}

TEST(Equal, RecomputeChangesNoBit) {
  const Arguments lora = {"--peft._target_",
                          "nemo_automodel.components._peft.lora.PeftConfig",
                          "--peft.dropout",
                          "0.3",
                          "--step_scheduler.max_steps",
                          "6"};
  auto with_recompute = lora;
  with_recompute.insert(with_recompute.end(), {"--distributed.activation_checkpointing", "true"});
  expect_equal(steps_with(lora), steps_with(with_recompute), 0);
}

TEST(Equal, OneMicrobatchOfFourChatsIsFourOfOne) {
  const auto of_size = [](const char* size) {
    return steps_with({"--step_scheduler.max_steps", "6", "--step_scheduler.local_batch_size", size});
  };
  expect_equal(of_size("1"), of_size("4"), device_bound(2e-6));
}

// All 60 chats in one step, once as packs of 512 tokens and once as they come: the loss and the gradient are means over
// the same tokens.
TEST(Equal, PackedDocumentsLoseWhatTheyLoseUnpacked) {
  TemporaryFolder plain;
  const auto unpacked = steps_with({"--step_scheduler.num_epochs", "1", "--step_scheduler.global_batch_size", "60",
                                    "--step_scheduler.local_batch_size", "1"});
  const auto packed =
      steps_with({"--step_scheduler.num_epochs", "1", "--step_scheduler.global_batch_size", "60",
                  "--step_scheduler.local_batch_size", "1", "--packed_sequence.packed_sequence_size", "512"});
  ASSERT_EQ(unpacked.size(), 1u);
  expect_equal(packed, unpacked, device_bound(2e-6));
}

// Through the model: what stands in one document reaches no other one of its pack, in no bit.
TEST(Equal, AnotherTextInOneDocumentChangesNoBitOfTheOthers) {
  TemporaryFolder folder;
  const auto score = [&](const std::vector<int>& middle) {
    Json documents = Json::array();
    const std::vector<int> first = {5, 6, 7, 8, 400, 9}, last = {900, 31, 32, 33, 34, 35, 36};
    for (const auto& ids : {first, middle, last}) documents.push_back({{"input_ids", ids}});
    write_file_atomically(folder / "b.json", Json{{"documents", documents}}.dump());
    return json_of({"score", "--model", tiny_base().string(), "--batch", (folder / "b.json").string()})["documents"];
  };
  const Json one = score({10, 11, 12, 13, 14}), other = score({3000, 2, 17, 17, 4});
  ASSERT_EQ(one.size(), 3u);
  EXPECT_EQ(one[0]["log_probs"].dump(), other[0]["log_probs"].dump());
  EXPECT_EQ(one[2]["log_probs"].dump(), other[2]["log_probs"].dump());
  EXPECT_NE(one[1]["log_probs"].dump(), other[1]["log_probs"].dump());
}

}  // namespace
}  // namespace automodel::program
