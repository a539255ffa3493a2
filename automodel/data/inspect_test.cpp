#include "automodel/data/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/data/testdata/byte_tokenizer.h"

namespace automodel::data {
namespace {
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

class ListRows : public Rows {
 public:
  explicit ListRows(std::vector<std::string> texts) : texts_(std::move(texts)) {}
  bool has(int64_t index) override { return index < size(); }
  int64_t size() override { return static_cast<int64_t>(texts_.size()); }
  Row at(int64_t index) override {
    return {{{"text", texts_[static_cast<size_t>(index)]}}, "list:" + std::to_string(index), index};
  }

 private:
  std::vector<std::string> texts_;
};

/// "prompt>answer": the answer is trained; "!" is a bad row.
class ArrowBuilder : public SampleBuilder {
 public:
  Sample build(const Row& row) const override {
    const std::string text = row.value["text"];
    if (text == "!") throw DataError(row.where, "is bad", "mend it");
    const auto encoding = ByteTokenizer().encode_with_offsets(text, false);
    std::vector<bool> trained;
    for (const auto& [begin, end] : encoding.offsets)
      trained.push_back(begin > text.find('>') && begin != text.rfind("<|im_end|>"));
    return shift(encoding.ids, trained);
  }
  std::vector<std::string> notes() const override { return {"a note"}; }
};

Inspection look(const std::vector<std::string>& texts, LoaderOptions options = {}) {
  options.read.shuffle = false;
  return inspect(std::make_shared<ListRows>(texts), std::make_shared<ArrowBuilder>(), ByteTokenizer(), options, 2);
}

// Byte tokens: <|im_end|> is special. "ab<|im_end|>\n<|im_end|>" with all but the last trained ends in a stop and a
// blank.
TEST(Faults, OfATurnThatEndsInASpecialTokenAndALineAreNone) {
  const ByteTokenizer tokenizer;
  const auto faults = [&](const std::string& text, size_t trained_tokens) {
    const auto ids = tokenizer.encode_with_offsets(text, false).ids;
    std::vector<bool> trained(ids.size(), false);
    for (size_t i = 1; i < trained_tokens; ++i) trained[i] = true;
    return faults_of(shift(ids, trained), tokenizer, tokenizer.vocab_size());
  };
  EXPECT_FALSE(faults("ab<|im_end|>\n<|im_end|>c", 4).no_stop);
  EXPECT_TRUE(faults("ab\n<|im_end|>c", 3).no_stop);
  EXPECT_TRUE(faults("ab<|im_end|>x<|im_end|>c", 4).no_stop);
}

TEST(Faults, SeeTheLastTargetToo) {
  const ByteTokenizer tokenizer;
  const auto sample = shift({97, 98, 300}, {false, true, true});
  EXPECT_EQ(faults_of(sample, tokenizer, 300).outside, 300);
  EXPECT_FALSE(faults_of(sample, tokenizer, 301).outside);
}

TEST(Inspect, ShowsTextWithWhatIsTrained) {
  const auto report = look({"ask>tell", "x>yz", "third>1"});
  ASSERT_EQ(report.samples.size(), 2u);
  ASSERT_EQ(report.samples[0].segments.size(), 2u);
  EXPECT_EQ(report.samples[0].segments[0].text, "ask>");
  EXPECT_EQ(report.samples[0].segments[1].text, "tell");
  EXPECT_TRUE(report.samples[0].segments[1].trained);
  EXPECT_EQ(report.samples[0].trained_tokens, 4);
  EXPECT_EQ(report.samples[1].where, "list:1");
  EXPECT_EQ(report.counts.rows, 3);
  EXPECT_EQ(report.shortest, 3);
  EXPECT_EQ(report.longest, 7);
  EXPECT_THAT(report.warnings, testing::ElementsAre("a note"));
  EXPECT_EQ(report.to_json()["samples"][0]["segments"][1]["text"], "tell");
}

TEST(Inspect, WarnsAboutWhatIsWrong) {
  LoaderOptions options;
  options.read.max_tokens = 20;
  options.read.vocab_size = 259;
  const auto report = look({"!", "a>", "a>" + std::string(30, 'b'), std::string(30, 'a') + ">b", "<s><s>a>b",
                            "<|im_end|>>b", "q>a<|im_end|>>b<|im_end|>"},
                           options);
  EXPECT_THAT(report.warnings,
              Contains("1 of 7 rows cannot be used and will stop the run (first: list:0: is bad; mend it)"));
  EXPECT_THAT(report.warnings,
              Contains(HasSubstr("1 of 7 rows have no trained tokens and will stop the run (first: list:1)")));
  EXPECT_THAT(report.warnings, Contains(HasSubstr("1 of 7 rows are truncated at the length limit (first: list:2)")));
  EXPECT_THAT(report.warnings,
              Contains(HasSubstr(
                  "lose all their trained tokens by the cut at the length limit and are dropped (first: list:3)")));
  EXPECT_THAT(report.warnings, Contains(HasSubstr("begin with two bos tokens")));
  EXPECT_THAT(report.warnings,
              Contains("2 of 7 rows hold token ids outside the model's vocabulary and will stop the run "
                       "(first: list:5, id 259 of a vocabulary of 259; 2 such tokens in all)"));
  EXPECT_EQ(report.outside_rows, 2);
  EXPECT_EQ(report.outside_tokens, 2);
  EXPECT_EQ(report.counts.bad_rows, 3);  // as the run counts it, where it may go on
  const auto& counts = report.counts;
  EXPECT_EQ(counts.tokens_in, counts.tokens_out + counts.truncated_tokens + counts.dropped_tokens);
}

TEST(Inspect, SaysWhereTheLengthLimitWillStopTheRun) {
  LoaderOptions options;
  options.read.max_tokens = 20;
  options.read.over_long = OverLong::Error;
  const auto report = look({"a>b", "a>" + std::string(30, 'b')}, options);
  EXPECT_THAT(report.warnings, Contains("1 of 2 rows are longer than the limit and will stop the run (first: list:1)"));
}

TEST(Inspect, SeesAnUntrainedEndOfTurn) {
  const auto report = look({"q>ab<|im_end|>x"});
  EXPECT_THAT(report.warnings, Contains(HasSubstr("does not learn to stop")));
}

// What `data` says of each source of a mixture is what a run's loader counts for it.
TEST(Inspect, CountsTheSourcesOfAMixture) {
  const auto mixture = [] {
    return std::make_shared<Mixture>(std::vector<MixtureSource>{
        {"a", std::make_shared<ListRows>(std::vector<std::string>{"a>bc", "x>", "q>abcdef", "a>b"}), 2.0, 1},
        {"b", std::make_shared<ListRows>(std::vector<std::string>{"!", "long>answer"}), 1.0, 1.5}});
  };
  const auto builder = std::make_shared<ArrowBuilder>();
  LoaderOptions options;
  options.read.bad_rows = options.read.untrained_rows = OnFault::Skip;
  options.read.sources = {{"a", OnFault::Skip, OnFault::Skip}, {"b", OnFault::Skip, OnFault::Skip}};
  options.pack.packed_sequence_size = 16;
  const auto report = inspect(mixture(), builder, ByteTokenizer(), options, 1);
  ASSERT_EQ(report.sources.size(), 2u);
  EXPECT_TRUE(report.all_rows);
  EXPECT_EQ(report.sources[0].share.rows_of_epoch, 4);
  EXPECT_EQ(report.sources[1].share.rows_of_epoch, 2);
  EXPECT_EQ(report.sources[1].share.weight, 1.0);
  EXPECT_EQ(report.sources[0].rows, 4);
  EXPECT_EQ(report.sources[0].unusable_rows, 1);
  EXPECT_EQ(report.sources[0].documents, 3);
  EXPECT_EQ(report.sources[1].unusable_rows, 1);
  Loader loader(mixture(), builder, options);
  while (loader.next()) {
  }
  EXPECT_EQ(loader.statistics().sources, report.counts.sources);
  EXPECT_EQ(loader.statistics().bad_rows, report.counts.bad_rows);
  EXPECT_EQ(loader.statistics().untrained_rows, report.counts.untrained_rows);
  EXPECT_EQ(report.to_json()["sources"][1]["tokens"], report.counts.sources[1].tokens_out);
  EXPECT_FALSE(inspect(mixture(), builder, ByteTokenizer(), options, 1, 2).all_rows);
}

}  // namespace
}  // namespace automodel::data
