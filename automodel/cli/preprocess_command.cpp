// preprocess: JSON lines to Megatron's .bin/.idx.
#include <fmt/format.h>
#include <glob.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/base/log.h"
#include "automodel/base/signals.h"
#include "automodel/base/text.h"
#include "automodel/cli/commands.h"

namespace automodel::cli {

// Patterns that the shell left as they are, because they were quoted.
static std::vector<std::string> input_files(const std::vector<std::string>& given) {
  std::vector<std::string> files;
  for (const auto& word : given) {
    if (word.find_first_of("*?[") == std::string::npos) {
      files.push_back(word);
      continue;
    }
    glob_t found{};
    const int failed = ::glob(word.c_str(), 0, nullptr, &found);
    for (size_t i = 0; failed == 0 && i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
    if (failed != 0) throw ConfigError("--input", fmt::format("no file matches '{}'", word));
  }
  return files;
}

static std::string progress_line(const data::PreprocessProgress& progress) {
  const double here = static_cast<double>(progress.input_bytes - progress.input_bytes_before);
  const double rate = progress.seconds > 0 ? here / progress.seconds : 0;
  const auto counts =
      fmt::format("{} documents, {} tokens, {}/s", format_count(static_cast<uint64_t>(progress.documents)),
                  format_count(static_cast<uint64_t>(progress.tokens)), format_bytes(static_cast<uint64_t>(rate)));
  if (progress.input_bytes_all == 0)  // packed: how much there is shows at the end
    return fmt::format("{} of text  {}", format_bytes(static_cast<uint64_t>(progress.input_bytes)), counts);
  const double left = rate > 0 ? static_cast<double>(progress.input_bytes_all - progress.input_bytes) / rate : 0;
  return fmt::format("{:5.1f} %  {}, {} left",
                     100.0 * static_cast<double>(progress.input_bytes) / static_cast<double>(progress.input_bytes_all),
                     counts, format_duration(left));
}

int run_preprocess(const PreprocessCommand& command) {
  data::PreprocessOptions options = command.options;
  options.inputs = input_files(options.inputs);
  const auto tokenizer = tokenizer::load(options.model);
  install_stop_signals();
  double told = 0;
  const auto report = data::preprocess(options, tokenizer, [&](const data::PreprocessProgress& progress) {
    if (stderr_is_terminal()) {
      log_status(progress_line(progress));
    } else if (progress.seconds - told >= 10) {
      told = progress.seconds;
      log_info(progress_line(progress));
    }
  });
  finish_status();
  const auto& done = report.progress;
  if (report.stopped_by != 0) {
    log_info("stopped: the same command goes on from here");
    return 128 + report.stopped_by;
  }
  if (done.bad_rows > 0)
    log_warning(fmt::format(
        "{} left out", counted(done.bad_rows, "row could not be used and was", "rows could not be used and were")));
  if (command.json) {
    std::cout << Json{{"outputs", report.outputs}, {"documents", done.documents}, {"tokens", done.tokens},
                      {"bad_rows", done.bad_rows}, {"bytes", done.input_bytes},   {"seconds", done.seconds},
                      {"resumed", report.resumed}}
                     .dump(2)
              << "\n";
    return 0;
  }
  std::cout << fmt::format("{}{}, {} in {}\n", report.resumed ? "resumed: " : "", counted(done.documents, "document"),
                           counted(done.tokens, "token"), format_duration(done.seconds));
  for (const auto& output : report.outputs) std::cout << output << ".bin, " << output << ".idx\n";
  return 0;
}

}  // namespace automodel::cli
