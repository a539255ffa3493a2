#include "automodel/metrics/logger.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/base/text.h"
#include "automodel/metrics/event_reader_test.h"
#include "automodel/metrics/process_memory.h"

namespace automodel::metrics {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<Json> lines_of(const std::filesystem::path& file) {
  std::vector<Json> lines;
  const std::string text = read_file(file);
  EXPECT_TRUE(text.empty() || text.back() == '\n');
  for (const auto& line : split(text, '\n'))
    if (!line.empty()) lines.push_back(Json::parse(line));
  return lines;
}

std::vector<int64_t> steps_of(const std::filesystem::path& file) {
  std::vector<int64_t> steps;
  for (const auto& line : lines_of(file)) steps.push_back(line["step"]);
  return steps;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

StepRecord record(int64_t step) {
  StepRecord r;
  r.step = step;
  r.loss = 2.0 / static_cast<double>(step + 1);
  r.grad_norm = 0.5;
  r.lr = 1.9e-6;
  r.num_tokens_per_step = 1000;
  r.num_label_tokens = 400;
  r.memory_bytes = uint64_t{3} << 29;
  return r;
}

// A clock that the test moves.
struct Clock {
  double now = 100;
};

LoggerSettings settings(const std::filesystem::path& folder, Clock& clock, int64_t next_step = 0) {
  LoggerSettings s;
  s.folder = folder;
  s.next_step = next_step;
  s.total_steps = 10;
  s.ranks = 2;
  s.clock = [&clock] { return clock.now; };
  return s;
}

void train(Logger& logger, Clock& clock, int64_t from, int64_t to) {
  for (int64_t step = from; step < to; ++step) {
    clock.now += 2;
    logger.log_train(record(step));
  }
}

TEST(Logger, LinesHaveNemosFieldsInItsOrder) {
  const TemporaryFolder folder;
  Clock clock;
  Logger logger(settings(folder, clock));
  train(logger, clock, 0, 1);
  const auto lines = lines_of(folder / "training.jsonl");  // while the logger is open: every line is flushed
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(keys_of(lines[0]), ElementsAre("step", "epoch", "timestamp", "loss", "grad_norm", "lr", "mem", "tps",
                                             "tps_per_gpu", "mfu", "num_tokens_per_step", "num_label_tokens"));
  EXPECT_EQ(lines[0]["loss"], 2.0);
  EXPECT_EQ(lines[0]["lr"], 1.9e-6);
  EXPECT_EQ(lines[0]["mem"], 1.5);
  EXPECT_EQ(lines[0]["tps"], 500.0);
  EXPECT_EQ(lines[0]["tps_per_gpu"], 250.0);
  EXPECT_TRUE(lines[0]["mfu"].is_null());
  EXPECT_THAT(lines[0]["timestamp"].get<std::string>(), testing::MatchesRegex("....-..-..T..:..:..\\....Z"));

  ValRecord validation;
  validation.val_loss = 1.25;
  validation.num_label_tokens = 7;
  validation.extra["accuracy"] = 0.5;
  logger.log_validation(validation);
  validation.name = "gsm8k";
  logger.log_validation(validation);
  for (const char* file : {"validation.jsonl", "validation_gsm8k.jsonl"}) {
    const auto val = lines_of(folder / file);
    ASSERT_EQ(val.size(), 1u) << file;
    EXPECT_THAT(keys_of(val[0]),
                ElementsAre("step", "epoch", "timestamp", "val_loss", "lr", "num_label_tokens", "mem", "accuracy"));
    EXPECT_EQ(val[0]["val_loss"], 1.25);
    EXPECT_GT(val[0]["mem"].get<double>(), 0) << "the process's own memory";
  }
  validation.name = "../out";
  EXPECT_THROW(logger.log_validation(validation), ConfigError);
}

TEST(Logger, AResumedRunTellsOneHistory) {
  const TemporaryFolder folder;
  Clock clock;
  {
    Logger logger(settings(folder, clock));
    train(logger, clock, 0, 6);  // a checkpoint after step 3, then a crash
    for (const int64_t step : {3, 5}) logger.log_validation({"default", step, 0, 1.0, 0, 1, {}, {}});
    logger.log_validation({"other", 5, 0, 1.0, 0, 1, {}, {}});
  }
  {
    std::ofstream torn(folder / "training.jsonl", std::ios::app);
    torn << R"({"step": 6, "lo)";
  }
  {
    Logger logger(settings(folder, clock, 4));
    EXPECT_THAT(steps_of(folder / "training.jsonl"), ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(steps_of(folder / "validation.jsonl"), ElementsAre(3));
    EXPECT_TRUE(steps_of(folder / "validation_other.jsonl").empty());
    train(logger, clock, 4, 10);
    logger.log_validation({"default", 7, 0, 1.0, 0, 1, {}, {}});
  }
  EXPECT_THAT(steps_of(folder / "training.jsonl"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(steps_of(folder / "validation.jsonl"), ElementsAre(3, 7));
  std::map<std::string, std::vector<int64_t>> scalars;
  for (const auto& scalar : load_scalars(folder / "tensorboard")) scalars[scalar.tag].push_back(scalar.step);
  EXPECT_THAT(scalars["train/loss"], ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(scalars["val/loss"], ElementsAre(3, 7));
  EXPECT_TRUE(scalars["val/other/loss"].empty());
}

TEST(Logger, RemoteIntervalsAndTheSectionRuleTensorBoard) {
  const TemporaryFolder folder;
  Clock clock;
  auto s = settings(folder, clock);
  s.tensorboard.dir = (folder / "elsewhere").string();
  Logger logger(s);
  auto quiet = record(0);
  quiet.log_remote = false;
  logger.log_train(quiet);
  logger.log_train(record(1));
  for (const auto& scalar : load_scalars(folder / "elsewhere")) EXPECT_EQ(scalar.step, 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "tensorboard"));

  const TemporaryFolder other;
  s = settings(other, clock);
  s.tensorboard.enabled = false;
  Logger silent(s);
  EXPECT_FALSE(std::filesystem::exists(other / "tensorboard"));
}

TEST(Logger, NumbersThatAreNotFiniteBecomeNullAndAreNotPlotted) {
  const TemporaryFolder folder;
  Clock clock;
  Logger logger(settings(folder, clock));
  auto r = record(0);
  r.loss = std::numeric_limits<double>::quiet_NaN();
  r.grad_norm.reset();
  r.extra["moe/load"] = std::numeric_limits<double>::infinity();
  logger.log_train(r);
  const auto line = lines_of(folder / "training.jsonl").at(0);
  for (const char* name : {"loss", "grad_norm", "moe/load"}) EXPECT_TRUE(line.at(name).is_null()) << name;
  for (const auto& scalar : load_scalars(folder / "tensorboard")) EXPECT_NE(scalar.tag, "train/loss");
}

TEST(Logger, AFullDiskIsAnErrorThatNamesTheFile) {
  const TemporaryFolder folder;
  Clock clock;
  std::filesystem::create_symlink("/dev/full", folder / "training.jsonl");
  try {
    Logger logger(settings(folder, clock));
    logger.log_train(record(0));
    FAIL() << "not noticed";
  } catch (const SystemError& error) {
    EXPECT_THAT(error.what(), HasSubstr("training.jsonl: cannot be written: No space left on device"));
    EXPECT_THAT(error.what(), HasSubstr("free some space"));
  }
}

TEST(ProgressLine, BeginsAsNemosLine) {
  StepSpeed speed;
  speed.tps = 512.5;
  speed.tps_per_gpu = 256.25;
  speed.mem_gib = 1.5;
  speed.window_trained_tps = 100;
  speed.seconds_left = 245;
  EXPECT_EQ(step_line(record(3), speed),
            "step 3 | epoch 0 | loss 0.5000 | grad_norm 0.5000 | lr 1.90e-06 | mem 1.50 GiB | tps 512.50(256.25/gpu) | "
            "num_label_tokens 400 | "
            "trained_tps 100.00 | left 4:05");
  EXPECT_EQ(validation_line({"default", 3, 1, 1.25, 1e-5, 9, {}, {}}),
            "[val] name \"default\" | step 3 | epoch 1 | loss 1.2500 | lr 1.00e-05 | num_label_tokens 9");
}

TEST(ProgressLine, WritesExtrasAsAPersonWould) {
  const auto written = [](double value) {
    ValRecord r;
    r.extra["x"] = value;
    const auto line = validation_line(r);
    return line.substr(line.rfind("| x ") + 4);
  };
  for (const auto& [value, text] : {std::pair{65536.0, "65536"},
                                    {0.0, "0"},
                                    {-3.0, "-3"},
                                    {0.0123, "0.0123"},
                                    {1.2e-7, "1.2e-07"},
                                    {0.123456, "0.1235"},
                                    {12345.678, "12345.7"},
                                    {0.5, "0.5"},
                                    {1073741824.0, "1073741824"},
                                    {1e30, "1e+30"}})
    EXPECT_EQ(written(value), text);
  EXPECT_EQ(written(INFINITY), "inf");
  auto step = record(3);
  step.extra["loss_scale"] = 65536;
  EXPECT_THAT(step_line(step, {}), HasSubstr(" | loss_scale 65536 | trained_tps"));
}

TEST(ProgressLine, StatusFitsTheTerminal) {
  StepSpeed speed;
  speed.total_steps = 100;
  speed.average_loss = 0.25;
  speed.window_tps = 1234;
  speed.window_trained_tps = 600;
  speed.mem_gib = 1.5;
  speed.seconds_left = 245;
  EXPECT_EQ(status_line(record(3), speed, 200),
            "step 4/100 | loss 0.2500 | " + format_count(1234) +
                " tokens/s (600 trained) | grad 0.50 | lr 1.90e-06 | 1.50 GiB | 4:05 left");
  EXPECT_EQ(status_line(record(3), speed, 40).size(), 40u);
}

TEST(Rates, TheWindowMovesAndTheFirstStepDoesNotCount) {
  Rates rates(4);
  EXPECT_EQ(rates.tokens_per_second(), 0);
  EXPECT_FALSE(rates.seconds_left(5));
  rates.add(100, 50, 10);  // the start
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 0.5);
  rates.add(1, 50, 10);
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 50);
  for (int i = 0; i < 4; ++i) rates.add(2, 50, 10);
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 25);
  EXPECT_DOUBLE_EQ(rates.trained_tokens_per_second(), 5);
  EXPECT_DOUBLE_EQ(*rates.seconds_left(7), 14);
  rates.add(1000, 50, 10);  // a pause counts as three steps
  EXPECT_DOUBLE_EQ(*rates.seconds_left(4), 3 * 2 + 6);
  EXPECT_DOUBLE_EQ(*rates.seconds_left(-1), 0);
}

TEST(ProcessMemory, IsWhatTheKernelSays) {
  const auto memory = parse_process_status("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n");
  EXPECT_EQ(memory.resident_bytes, 1u << 20);
  EXPECT_EQ(memory.peak_resident_bytes, 2u << 20);
  EXPECT_EQ(parse_process_status("VmRSS:").resident_bytes, 0u);
  const auto now = read_process_memory();
  EXPECT_GT(now.resident_bytes, 1u << 20);
  EXPECT_GE(now.peak_resident_bytes, now.resident_bytes / 2);
}

}  // namespace
}  // namespace automodel::metrics
