// bench_data: chats to packed batches, timed; bench/data.py runs it and its peer.
//
//   bench_data MODEL FILE TEMPLATE [--threads N] [--shuffle] [--tokens N] [--cache DIR]
//
// Prints one JSON object: seconds until the first batch, rows, tokens, trained tokens and seconds of the whole, packs'
// filling, highest resident size. Packs have 4,096 tokens; reading stops after an epoch, or after --tokens.
#include <sys/resource.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/data/chat.h"
#include "automodel/data/loader.h"
#include "automodel/tokenizer/tokenizer.h"

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

int64_t peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

int run(const std::vector<std::string>& words) {
  using namespace automodel;
  if (words.size() < 3) throw ConfigError("bench_data", "expected MODEL FILE TEMPLATE");
  data::LoaderOptions options;
  options.read.shuffle = false;
  options.pack.packed_sequence_size = 4096;
  options.epochs = 1;
  int64_t limit = INT64_MAX;
  for (size_t i = 3; i < words.size(); ++i) {
    if (words[i] == "--shuffle") options.read.shuffle = true;
    if (words[i] == "--threads") options.threads = std::stoll(words.at(i + 1));
    if (words[i] == "--tokens") limit = std::stoll(words.at(i + 1));
    if (words[i] == "--cache") options.read.cache = std::make_shared<data::TokenCache>(words.at(i + 1), "bench");
  }
  const auto began = Clock::now();
  const auto tokenizer = tokenizer::load(words[0]);
  const double tokenizer_s = seconds_since(began);
  const int64_t tokenizer_bytes = peak_bytes();
  const auto opened = Clock::now();
  data::Loader loader(data::open_rows({.paths = {words[1]}}),
                      std::make_shared<data::ChatBuilder>(tokenizer, data::ChatOptions{.chat_template = words[2]}),
                      options);
  double first_s = 0;
  while (loader.next()) {
    if (first_s == 0) first_s = seconds_since(opened);
    if (loader.statistics().tokens_out >= limit) break;
  }
  const auto& counts = loader.statistics();
  const double all_s = seconds_since(opened);
  std::cout << Json({{"tokenizer_s", tokenizer_s},
                     {"first_batch_s", first_s},
                     {"seconds", all_s},
                     {"rows", counts.rows},
                     {"tokens", counts.tokens_out},
                     {"trained_tokens", counts.trained_tokens},
                     {"tokens_per_s", static_cast<double>(counts.tokens_out) / all_s},
                     {"rows_per_s", static_cast<double>(counts.rows) / all_s},
                     {"packing_efficiency", counts.packing_efficiency()},
                     {"peak_mib", peak_bytes() >> 20},
                     {"tokenizer_peak_mib", tokenizer_bytes >> 20}})
            << "\n";
  return 0;
}

}  // namespace

int main(int count, char** words) {
  try {
    return run({words + 1, words + count});
  } catch (const automodel::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return error.exit_code();
  }
}
