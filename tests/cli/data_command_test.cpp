// `data`: samples as the model will see them, what is counted, and what it warns of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "automodel/base/file.h"
#include "tests/program/tiny.h"

namespace automodel::program {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class DataCommand : public testing::Test {
 protected:
  static std::string config() {
    static const TemporaryFolder folder;
    static const std::string file = write_run(folder.path()).string();
    return file;
  }
  static std::string model() { return tiny_base().string(); }

  TemporaryFolder folder_;
};

TEST_F(DataCommand, ShowsSamplesWithTheirTrainedTokens) {
  const auto shown = run({"data", config(), "--n", "2"});
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_THAT(shown.out, testing::AllOf(HasSubstr("train.jsonl:2"), HasSubstr("<|im_start|>user"),
                                        HasSubstr("[[Natalia sold 48/2")));
  EXPECT_EQ(json_of({"data", config(), "--n", "2", "--json"}).at("samples").size(), 2u);
}

TEST_F(DataCommand, AnEmptyDataSetIsAnErrorOfDataAndPlan) {
  const std::string empty = folder_.write("empty.jsonl", "\n");
  for (const std::string command : {"data", "plan"})
    expect_error(run({command, config(), "--dataset.path_or_dataset_id", empty}), 1,
                 {"dataset: " + empty + " has no rows", "hint:"});
  expect_error(
      run({config(), "--dataset.path_or_dataset_id", empty, "--checkpoint.checkpoint_dir", (folder_ / "out").string()}),
      1, {"dataset: " + empty + " has no rows"});
}

// Tokens in are tokens out and those that are counted, whichever way over-long samples go.
TEST_F(DataCommand, CountsWhatBecomesOfOverLongSamples) {
  for (const auto& [way, count] : {std::pair("truncate", "truncated_samples"), std::pair("split", "split_samples"),
                                   std::pair("drop", "dropped_documents")}) {
    const auto counts =
        json_of({"data", config(), "--dataset.seq_length", "30", "--dataset.overlong", way, "--json"}).at("statistics");
    EXPECT_GT(counts.at(count), 0) << way;
    EXPECT_EQ(counts.at("tokens_in").get<int>(), counts.at("tokens_out").get<int>() +
                                                     counts.at("truncated_tokens").get<int>() +
                                                     counts.at("dropped_tokens").get<int>())
        << way;
  }
}

TEST_F(DataCommand, ARunWithoutOneUsableRowSaysWhy) {
  expect_error(run({config(), "--packed_sequence.packed_sequence_size", "3", "--checkpoint.checkpoint_dir",
                    (folder_ / "out").string()}),
               1, {"none of its 60 rows can be used: 60 are longer than 3 tokens", "packed_sequence_size"});
}

TEST_F(DataCommand, ReadsCsvAndMixtures) {
  const std::string csv = folder_.write("qa.csv", "q,a\n\"Why, so?\",it is\nHow?,7\n");
  const auto mixed = folder_.write(
      "mixed.yaml", "recipe: finetune\nmodel: " + model() +
                        "\ndataset:\n  _target_: column_mapped\n  column_mapping: {question: q, answer: a}\n"
                        "  sources:\n  - {path_or_dataset_id: " +
                        csv + "}\n  - {path_or_dataset_id: " + csv + ", epochs: 2}\n");
  const auto shown = json_of({"data", mixed, "--json"});
  EXPECT_EQ(shown.at("statistics").at("rows"), 6);
  EXPECT_THAT(shown.dump(), HasSubstr("Why, so?"));
  const auto& sources = shown.at("sources");
  ASSERT_EQ(sources.size(), 2u);
  for (const int i : {0, 1}) {
    EXPECT_EQ(sources[i].at("name"), csv);
    EXPECT_EQ(sources[i].at("rows_there"), 2);
    EXPECT_EQ(sources[i].at("rows_of_epoch"), 2 + 2 * i);
    EXPECT_EQ(sources[i].at("documents"), 2 + 2 * i);
  }
  EXPECT_EQ(2 * sources[0].at("tokens").get<int>(), sources[1].at("tokens").get<int>());
  EXPECT_THAT(run({"data", mixed}).out,
              HasSubstr("qa.csv: epochs 2; an epoch reads 4 rows, 2.00 times its 2; looked at 4 rows: 4 documents, "));
}

// What is built with the program is enough for it.
TEST_F(DataCommand, ReadsParquetWhereArrowIsThere) {
#ifndef AUTOMODEL_HAS_ARROW
  GTEST_SKIP() << "this build was configured without Arrow";
#endif
  const auto file = fs::path(AUTOMODEL_SOURCE_DIR) / "automodel/data/testdata/sources/chats.snappy.parquet";
  const auto shown = json_of({"data", config(), "--dataset.path_or_dataset_id", file.string(), "--n", "1", "--json"});
  EXPECT_EQ(shown.at("samples").size(), 1u);
}

TEST_F(DataCommand, WarnsAboutTheDataSet) {
  const std::string bad = folder_.write(
      "bad.jsonl", R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ")" +
                       std::string(900, 'x') + "\"}]}\n" + R"({"messages": [{"role": "user", "content": "a"}]})" +
                       "\n");
  const auto warnings = [&](const std::string& source) {
    const auto shown = json_of({"data", config(), "--dataset.path_or_dataset_id", bad, "--dataset.seq_length", "20",
                                "--dataset.chat_template", folder_.write("t.jinja", source), "--json"});
    return shown.at("warnings").dump();
  };
  const std::string head = "{% for m in messages %}";
  EXPECT_THAT(warnings(head + "{{ m.role + ': ' + m.content }}{% endfor %}"),
              testing::AllOf(HasSubstr("1 of 2 rows cannot be used and will stop the run"),
                             HasSubstr("1 of 2 rows are truncated at the length limit"),
                             HasSubstr("has no {% generation %} marks")));
  EXPECT_THAT(warnings(head + "{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>{% endfor %}"),
              HasSubstr("leave out the token that ends the assistant's turn: it is trained all the same"));
  EXPECT_THAT(warnings(head + "{{ m.content }}{% generation %}{% endgeneration %}{% endfor %}"),
              HasSubstr("1 of 2 rows have no trained tokens and will stop the run"));
}

// A token too many at the front, and ids that the model has no row for.
TEST_F(DataCommand, AndRenderWarnAboutTwoBosAndIdsOutsideTheVocabulary) {
  const auto folder = folder_ / "bos";
  fs::create_directories(folder);
  for (const char* name : {"tokenizer.json", "config.json"}) fs::copy_file(fs::path(model()) / name, folder / name);
  Json of_tokenizer = load_json(fs::path(model()) / "tokenizer_config.json");
  of_tokenizer["bos_token"] = "<|im_start|>";
  write_file_atomically(folder / "tokenizer_config.json", of_tokenizer.dump());
  const auto source = folder_.write("t.jinja",
                                    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n"
                                    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n{% endfor %}");
  const auto warnings = [&](const Arguments& more) {
    Arguments all = {"data", config(), "--dataset.chat_template", source, "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return json_of(all).at("warnings").dump();
  };
  const std::string twice = "begin with two bos tokens", beyond = "hold token ids outside the model's vocabulary";
  const auto with_bos = warnings({"--tokenizer.pretrained_model_name_or_path", folder.string()});
  EXPECT_THAT(with_bos, testing::AllOf(HasSubstr("60 of 60 rows " + twice), testing::Not(HasSubstr(beyond))));
  const auto as_it_is = warnings({});
  EXPECT_THAT(as_it_is, testing::Not(testing::AnyOf(HasSubstr(twice), HasSubstr(beyond))));

  const std::string chat = R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
  const Arguments render = {"render", "--model", folder.string(), "--mask", "--template", source};
  const auto rendered = run(render, {.input = chat});
  EXPECT_THAT(rendered.err, testing::AllOf(HasSubstr("two bos tokens"), testing::Not(HasSubstr("outside"))));

  Json small = load_json(fs::path(model()) / "config.json");
  small["vocab_size"] = 300;
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) small.erase(key);
  write_file_atomically(folder / "config.json", small.dump());
  const std::string refusal = "the tokenizer has 4096 ids, the model's embedding only 300 rows";
  EXPECT_THAT(warnings({"--model.pretrained_model_name_or_path", folder.string()}),
              testing::AllOf(HasSubstr("a run is refused: "), HasSubstr(refusal), HasSubstr(beyond),
                             HasSubstr("will stop the run"), HasSubstr("of a vocabulary of 300")));
  for (const Arguments& command : {Arguments{"plan", config()}, Arguments{config()}}) {  // the same words
    Arguments all = command;
    all.insert(all.end(), {"--model.pretrained_model_name_or_path", folder.string(), "--model.load_base_model", "false",
                           "--checkpoint.checkpoint_dir", (folder_ / "refused").string()});
    expect_error(run(all), 1, {refusal});
  }
  EXPECT_THAT(run(render, {.input = chat}).err, HasSubstr("outside the vocabulary of 300"));
}

}  // namespace
}  // namespace automodel::program
