// What may change while a run goes on, and what makes another run of it.
#include "automodel/config/same_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace automodel::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kSources =
    "dataset:\n  _target_: chat\n  sources:\n  - path_or_dataset_id: a.jsonl\n    weight: 1.0\n"
    "  - path_or_dataset_id: b.jsonl\n    weight: 3.0\n";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  text.replace(text.find(from), from.size(), to);
  return text;
}

std::vector<std::string> differences(const std::string& saved, const std::string& now) {
  return differences_of_run(saved, now, "out/config.yaml");
}

TEST(SameRun, ValuesThatChangedPlacesAreADifference) {
  auto swapped = replaced(replaced(kSources, "1.0", "?"), "3.0", "1.0");
  swapped = replaced(swapped, "?", "3.0");
  EXPECT_THAT(differences(kSources, kSources), IsEmpty());
  EXPECT_THAT(differences(kSources, swapped), ElementsAre("dataset.sources[0].weight: 3.0, saved with 1.0",
                                                          "dataset.sources[1].weight: 1.0, saved with 3.0"));
  EXPECT_THAT(differences("a: {b: 1, c: 2}\n", "a: {b: 2, c: 1}\n"),
              ElementsAre("a.b: 2, saved with 1", "a.c: 1, saved with 2"));
}

TEST(SameRun, AValueThatAnotherKeyHasTooIsADifference) {
  EXPECT_THAT(differences("model:\n  a: 1\n  config:\n    b: 2\n", "model:\n  a: 1\n  config:\n    b: 1\n"),
              ElementsAre("model.config.b: 1, saved with 2"));
  EXPECT_THAT(differences(kSources, replaced(kSources, "3.0", "1.0")),
              ElementsAre("dataset.sources[1].weight: 1.0, saved with 3.0"));
}

TEST(SameRun, NamesKeysThatOnlyOneOfThemHas) {
  EXPECT_THAT(differences("peft: {dim: 8}\nseed: 1\n", "seed: 1\ntokenizer: {path: t}\n"),
              ElementsAre("peft.dim: not set, saved with 8", "tokenizer.path: t, saved without it"));
  EXPECT_THAT(differences("optimizer: {betas: [0.9, 0.95]}\n", "optimizer: {betas: [0.95, 0.9]}\n"),
              ElementsAre("optimizer.betas: [0.95, 0.9], saved with [0.9, 0.95]"));
}

TEST(SameRun, KeysThatMayChangeAreNamedByTheirWholePath) {
  const std::string before =
      "step_scheduler: {max_steps: 4, num_epochs: 1, ckpt_every_steps: 2, global_batch_size: 8}\n"
      "dataloader: {num_workers: 0}\ncheckpoint: {checkpoint_dir: a}\nwandb: {project: p}\n";
  const std::string after =
      "step_scheduler: {max_steps: 8, num_epochs: 2, ckpt_every_steps: null, global_batch_size: 8}\n"
      "dataloader: {num_workers: 2}\ncheckpoint: {checkpoint_dir: b}\n";
  EXPECT_THAT(differences(before, after), IsEmpty());
  EXPECT_THAT(differences("dataset: {num_epochs: 1}\n", "dataset: {num_epochs: 2}\n"),
              ElementsAre("dataset.num_epochs: 2, saved with 1"))
      << "only step_scheduler's may change";
}

}  // namespace
}  // namespace automodel::config
