// preprocess against Megatron's own builder (testdata/preprocess, made by tools/make_preprocess_goldens.py), and runs
// that are cut anywhere.
#include "automodel/data/preprocess.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/testing.h"
#include "automodel/data/megatron_md5.h"
#include "automodel/data/preprocess_lines.h"
#include "automodel/data/preprocess_output.h"

namespace automodel::data {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kFolder = "automodel/data/testdata/preprocess/";
const std::string kModel = "assets/quickstart/model";

class Preprocess : public testing::Test {
 protected:
  Preprocess() {
    std::string name = (fs::temp_directory_path() / "preprocess_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Preprocess() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
  PreprocessOptions options(std::vector<std::string> inputs) const {
    PreprocessOptions options;
    options.inputs = std::move(inputs);
    options.output_prefix = path("out");
    options.model = kModel;
    return options;
  }
  static PreprocessReport run(const PreprocessOptions& options) { return preprocess(options, tokenizer()); }
  static std::shared_ptr<const tokenizer::Tokenizer> tokenizer() {
    static const auto loaded = tokenizer::load(kModel);
    return loaded;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& file : fs::directory_iterator(folder_)) names.push_back(file.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  // 70,000 ids: tokens need int32.
  std::string large_model() const {
    fs::create_directories(folder_ / "large");
    std::string text = read_file(kFolder + "large_tokenizer.json"), words;
    for (int i = 3; i < 70000; ++i) words += fmt::format(",\"w{}\":{}", i, i);
    const std::string last = "\"</s>\":2";
    text.insert(text.find(last + "}") + last.size(), words);
    write("large/tokenizer.json", text);
    write("large/tokenizer_config.json", read_file(kFolder + "tokenizer_config.json"));
    return path("large");
  }
  fs::path folder_;
};

// Plain texts, empty ones, lists of sentences, several keys and files, with and without eos and special tokens.
TEST_F(Preprocess, WritesTheBytesOfMegatronsBuilder) {
  int compared = 0;
  for (const auto& golden : load_json(kFolder + "goldens.json")) {
    auto asked = options(golden["inputs"].get<std::vector<std::string>>());
    if (golden["model"] == "large") asked.model = large_model();
    asked.keys = golden["keys"].get<std::vector<std::string>>();
    asked.append_eod = golden["append_eod"].get<bool>();
    for (const int64_t workers : {1, 3}) {
      asked.workers = workers;
      asked.restart = true;
      const auto report = preprocess(asked, tokenizer::load(asked.model));
      ASSERT_EQ(report.outputs.size(), asked.keys.size());
      for (size_t k = 0; k < asked.keys.size(); ++k)
        for (const char* ending : {".bin", ".idx"}) {
          const auto expected = golden["prefix"].get<std::string>() + "_" + asked.keys[k] + "_document" + ending;
          EXPECT_EQ(read_file(report.outputs[k] + ending), read_file(expected)) << expected;
          ++compared;
        }
    }
  }
  EXPECT_GE(compared, 20);
  EXPECT_FALSE(fs::exists(path("out.preprocess.json")));
}

TEST_F(Preprocess, LeavesNothingButTheTwoFilesAndDoesNotOverwriteThem) {
  write("in.jsonl", "{\"text\": \"one\"}\n\n{\"text\": \"two\"}");
  const auto report = run(options({path("in.jsonl")}));
  EXPECT_EQ(report.progress.documents, 2);
  EXPECT_EQ(names(), (std::vector<std::string>{"in.jsonl", "out_text_document.bin", "out_text_document.idx"}));
  EXPECT_THAT(message_of([&] { run(options({path("in.jsonl")})); }), HasSubstr("exists already"));
  auto again = options({path("in.jsonl")});
  again.restart = true;
  run(again);
}

TEST_F(Preprocess, FaultsNameFileAndLine) {
  const auto fault = [&](const std::string& line) {
    write("in.jsonl", "{\"text\": \"fine\"}\n" + line + "\n");
    auto asked = options({path("in.jsonl")});
    asked.restart = true;
    return message_of([&] { run(asked); });
  };
  EXPECT_THAT(fault("{\"text\": \"cut"), HasSubstr("in.jsonl:2:"));
  EXPECT_THAT(fault("{\"txt\": \"x\"}"), testing::AllOf(HasSubstr("in.jsonl:2"), HasSubstr("no key 'text'")));
  for (const char* row : {"{\"text\": 5}", "{\"text\": [\"a\", 5]}", "{\"text\": null}", "{\"text\": {\"a\": 1}}"})
    EXPECT_THAT(fault(row), testing::AllOf(HasSubstr("in.jsonl:2: 'text' is no text and no list of texts"),
                                           HasSubstr("--skip-bad-rows")));
  EXPECT_THAT(fault("[1]"), HasSubstr("in.jsonl:2: expected a JSON object, got array"));
  EXPECT_THAT(fault("{\"text\": \"a\"} x"), HasSubstr("in.jsonl:2"));
  EXPECT_FALSE(fs::exists(path("out_text_document.bin")));
  EXPECT_FALSE(fs::exists(path("out_text_document.idx")));
  auto skipping = options({path("in.jsonl")});
  skipping.restart = skipping.skip_bad_rows = true;
  const auto report = run(skipping);
  EXPECT_EQ(report.progress.bad_rows, 1);
  EXPECT_EQ(report.progress.documents, 1);
  EXPECT_THAT(message_of([&] { run(options({path("none.jsonl")})); }), HasSubstr("not there"));
  EXPECT_THAT(message_of([&] { run(options({kFolder})); }), HasSubstr("no file"));
  EXPECT_THAT(message_of([&] { run(options({})); }), HasSubstr("--input"));
}

// A run that stopped before its first document was on disk stands in nobody's way: not its mended input's, not that of
// another key or option.
TEST_F(Preprocess, NothingWrittenYetBlocksNoOtherRun) {
  const auto fails_first = [&] {
    write("in.jsonl", "{\"text\": \"fine\"}\n{\"no\": 1}\n");
    EXPECT_THAT(message_of([&] { run(options({path("in.jsonl")})); }), HasSubstr("no key"));
    EXPECT_EQ(load_json(path("out.preprocess.json"))["documents"], 0);
  };
  fails_first();
  auto other = options({path("in.jsonl")});
  other.skip_bad_rows = true;
  EXPECT_EQ(run(other).progress.bad_rows, 1);
  EXPECT_EQ(names(), (std::vector<std::string>{"in.jsonl", "out_text_document.bin", "out_text_document.idx"}));
  for (const char* ending : {".bin", ".idx"}) fs::remove(path("out_text_document") + ending);

  fails_first();
  write("in.jsonl", "{\"text\": \"fine\"}\n{\"text\": \"mended\"}\n");
  EXPECT_EQ(run(options({path("in.jsonl")})).progress.documents, 2);
  for (const char* ending : {".bin", ".idx"}) fs::remove(path("out_text_document") + ending);

  fails_first();
  write("in.jsonl", "{\"body\": \"fine\"}\n");
  auto renamed = options({path("in.jsonl")});
  renamed.keys = {"body"};
  {  // as long as another process is at work, its empty files are left alone
    const AppendFile held(path("out_text_document.bin.part"), 0);
    EXPECT_THAT(message_of([&] { run(renamed); }), HasSubstr("is being written by another process"));
  }
  EXPECT_EQ(run(renamed).progress.documents, 1);
  EXPECT_EQ(names(), (std::vector<std::string>{"in.jsonl", "out_body_document.bin", "out_body_document.idx"}));
}

TEST_F(Preprocess, OfAnUnfinishedRunIsNotContinuedWithOtherOptions) {
  const std::string rows = read_file("assets/quickstart/pretrain/train.jsonl");
  std::string text;
  while (text.size() < (3u << 20)) text += rows;  // several chunks, of which the last fails
  write("in.jsonl", text + "{\"no\": 1}\n");
  auto first = options({path("in.jsonl")});
  first.keys = {"answer"};
  first.mark_seconds = 0;
  EXPECT_THAT(message_of([&] { run(first); }), HasSubstr("no key"));
  EXPECT_GT(load_json(path("out.preprocess.json"))["documents"], 0);
  auto other = first;
  other.append_eod = true;
  EXPECT_THAT(message_of([&] { run(other); }), HasSubstr("other append_eod"));
  auto longer = first;
  longer.inputs.push_back(path("in.jsonl"));
  EXPECT_THAT(message_of([&] { run(longer); }), HasSubstr("other inputs"));
  // What is there holds no bad row: leaving them out from here on gives what leaving them out from the start gives.
  auto skipping = first;
  skipping.skip_bad_rows = true;
  const auto report = run(skipping);
  EXPECT_TRUE(report.resumed);
  EXPECT_EQ(report.progress.bad_rows, 1);
  skipping.output_prefix = path("whole");
  const auto whole = run(skipping);
  EXPECT_EQ(whole.progress.documents, report.progress.documents);
  for (const char* ending : {".bin", ".idx"})
    EXPECT_EQ(md5(read_file(report.outputs[0] + ending)), md5(read_file(whole.outputs[0] + ending)));
  other.restart = true;
  other.skip_bad_rows = true;
  EXPECT_EQ(run(other).progress.documents, report.progress.documents);
}

TEST(LineChunks, GoOnFromAnyPlaceBetweenChunks) {
  const std::string name = (fs::temp_directory_path() / "line_chunks.jsonl").string();
  std::string text;
  for (int i = 0; i < 90000; ++i) text += std::string(static_cast<size_t>(i % 97), 'x') + std::to_string(i) + "\n";
  std::ofstream(name) << text << "last";
  LineChunks whole({name, name});
  std::string joined;
  std::vector<LineChunk> chunks;
  while (auto chunk = whole.next()) chunks.push_back(std::move(*chunk));
  ASSERT_GT(chunks.size(), 6u);
  for (const auto& chunk : chunks) {
    joined += chunk.text;
    LineChunks from({name, name}, chunk.begin);
    const auto again = from.next();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->text.substr(0, 1000), chunk.text.substr(0, 1000));
    EXPECT_EQ(again->begin, chunk.begin);
  }
  EXPECT_EQ(joined, text + "last" + text + "last");
  EXPECT_EQ(chunks.back().end, (LinePlace{2, 0, 1}));
  fs::remove(name);
}

// A copy packed by gzip in two members, or by zstd.
void pack(const std::string& from, const std::string& to) {
  const std::string text = read_file(from);
  if (to.ends_with(".zst")) {
    std::string packed(::ZSTD_compressBound(text.size()), '\0');
    packed.resize(::ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
    std::ofstream(to) << packed;
    return;
  }
  for (const auto& part : {text.substr(0, text.size() / 3), text.substr(text.size() / 3)}) {
    gzFile file = ::gzopen(to.c_str(), "ab");
    ::gzwrite(file, part.data(), static_cast<unsigned>(part.size()));
    ::gzclose(file);
  }
}

TEST_F(Preprocess, PackedInputsGiveTheBytesOfPlainOnes) {
  std::string text;
  for (int i = 0; i < 9; ++i) text += read_file("assets/quickstart/pretrain/train.jsonl");
  write("a.jsonl", text);  // several chunks
  pack(path("a.jsonl"), path("b.jsonl.gz"));
  pack(path("a.jsonl"), path("c.jsonl.zst"));
  auto asked = options({path("a.jsonl"), path("a.jsonl"), path("a.jsonl")});
  asked.keys = {"answer"};
  const auto plain = run(asked);
  asked.inputs = {path("b.jsonl.gz"), path("a.jsonl"), path("c.jsonl.zst")};
  asked.output_prefix = path("packed");
  const auto packed = run(asked);
  EXPECT_EQ(packed.progress.documents, plain.progress.documents);
  EXPECT_EQ(packed.progress.input_bytes, plain.progress.input_bytes);
  EXPECT_EQ(packed.progress.input_bytes_all, 0);
  for (const char* ending : {".bin", ".idx"})
    EXPECT_EQ(md5(read_file(packed.outputs[0] + ending)), md5(read_file(plain.outputs[0] + ending)));

  std::vector<std::string> files = asked.inputs;
  LineChunks whole(files);
  while (const auto chunk = whole.next()) {
    LineChunks from(files, chunk->begin);
    const auto again = from.next();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->begin, chunk->begin);
    EXPECT_EQ(md5(again->text.substr(0, 4096)), md5(chunk->text.substr(0, 4096)));
  }

  fs::resize_file(path("b.jsonl.gz"), fs::file_size(path("b.jsonl.gz")) - 9);
  asked.restart = true;
  EXPECT_THAT(message_of([&] { run(asked); }), testing::AllOf(HasSubstr("b.jsonl.gz"), HasSubstr("in the middle")));
  write("d.jsonl.bz2", "x");
  asked.inputs = {path("d.jsonl.bz2")};
  EXPECT_THAT(message_of([&] { run(asked); }), HasSubstr("bzip2 or xz cannot be read"));
}

// Killed at many moments, it always goes on, and its files are those of a run in one piece.
TEST_F(Preprocess, KilledAnywhereItGoesOnToTheSameBytes) {
  std::string text;
  const std::string rows = read_file("assets/quickstart/pretrain/train.jsonl");
  for (int i = 0; i < 4; ++i) text += rows;
  write("a.jsonl", text);
  write("b.jsonl", text.substr(0, text.rfind('\n', text.size() / 2) + 1));
  auto asked = options({path("a.jsonl"), path("b.jsonl")});
  asked.keys = {"answer", "question"};
  asked.append_eod = true;
  asked.mark_seconds = 0;  // after every chunk
  asked.workers = 2;
  asked.output_prefix = path("whole");
  const auto whole = run(asked);
  asked.output_prefix = path("cut");
  int kills = 0, resumed = 0;
  int64_t before = 0;
  // The outputs appear one after the other; the record of the run goes last.
  const auto ended = [&] {
    return fs::exists(path("cut_answer_document.idx")) && !fs::exists(path("cut.preprocess.json"));
  };
  for (int delay_ms = 5; !ended() && kills < 200; delay_ms += 5) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        preprocess(asked, tokenizer());
      } catch (...) {
        ::_exit(3);
      }
      ::_exit(0);
    }
    ::usleep(static_cast<useconds_t>(1000 * delay_ms));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) != 0) << "after " << delay_ms << " ms";
    ++kills;
    if (ended()) break;
    if (fs::exists(path("cut.preprocess.json"))) {
      const auto done = load_json(path("cut.preprocess.json"))["input_bytes"].get<int64_t>();
      EXPECT_GE(done, before) << "what was done is done again";
      resumed += done > before;
      before = done;
    }
  }
  if (!ended()) run(asked);
  for (const char* ending : {".bin", ".idx"})
    for (size_t k : {0, 1})
      EXPECT_EQ(md5(read_file(path(k == 0 ? "cut_answer_document" : "cut_question_document") + ending)),
                md5(read_file(whole.outputs[k] + ending)));
  EXPECT_GE(kills, 2);
  EXPECT_GE(resumed, 1);
  EXPECT_FALSE(fs::exists(path("cut.preprocess.json")));
}

}  // namespace
}  // namespace automodel::data
