// bench_tokenizer TOKENIZER.json TEXTS.json THREADS: loads the tokenizer, encodes every text of a JSON list once (so
// all caches are cold), prints one line of JSON: {"load_s", "bytes", "tokens", "seconds", ...}; "waits": how often its
// threads slept waiting for something, "preempted": how often another process took a core. Run by bench/tokenizer.py.
#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/tokenizer/pipeline.h"

using namespace automodel;

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static double cpu() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }  // of all threads

int main(int count, char** words) {
  if (count != 4) {
    std::cerr << "usage: bench_tokenizer TOKENIZER.json TEXTS.json THREADS\n";
    return 2;
  }
  try {
    const auto texts = load_json(words[2]).get<std::vector<std::string>>();
    const double start = now(), start_cpu = cpu();
    const auto tokenizer = tokenizer::load_pipeline(words[1]);
    const double loaded = now(), loaded_cpu = cpu();
    std::atomic<size_t> next{0}, tokens{0};
    std::vector<std::thread> threads;
    for (int i = std::stoi(words[3]); i > 0; --i)
      threads.emplace_back([&] {
        for (size_t at; (at = next++) < texts.size();) tokens += tokenizer->encode(texts[at], false).size();
      });
    for (std::thread& thread : threads) thread.join();
    const double done = now(), done_cpu = cpu();
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    size_t bytes = 0;
    for (const std::string& text : texts) bytes += text.size();
    const Json report = {{"load_s", loaded - start},
                         {"bytes", bytes},
                         {"tokens", tokens.load()},
                         {"seconds", done - loaded},
                         {"load_cpu_s", loaded_cpu - start_cpu},
                         {"cpu_s", done_cpu - loaded_cpu},
                         {"waits", used.ru_nvcsw},
                         {"preempted", used.ru_nivcsw}};
    std::cout << report.dump() << "\n";
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
