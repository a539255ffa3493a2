#include "automodel/data/preprocess.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "automodel/base/error.h"
#include "automodel/base/signals.h"
#include "automodel/data/megatron_md5.h"
#include "automodel/data/preprocess_encoder.h"

namespace automodel::data {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

// What a run must share with one that it goes on from.
Json fingerprint(const PreprocessOptions& options, MegatronType type) {
  Json print = {{"inputs", Json::array()},
                {"keys", options.keys},
                {"append_eod", options.append_eod},
                {"add_special", options.add_special},
                {"skip_bad_rows", options.skip_bad_rows},
                {"dtype", name_of(type)},
                {"tokenizer", Json::object()}};
  for (const auto& input : options.inputs) {
    struct stat info {};
    if (::stat(input.c_str(), &info) != 0) throw SystemError(input, "cannot be read: it is not there");
    if (!S_ISREG(info.st_mode)) throw DataError(input, "is no file, expected JSON lines");
    print["inputs"].push_back(
        Json{{"path", input}, {"bytes", info.st_size}, {"changed", info.st_mtim.tv_sec}, {"ns", info.st_mtim.tv_nsec}});
  }
  for (const auto& file : tokenizer::tokenizer_files(options.model))
    print["tokenizer"][file.filename().string()] = md5(read_file(file));
  return print;
}

// The file PREFIX.preprocess.json: from where a killed run goes on. It stands as long as the outputs are not whole.
// Where it says that nothing was written yet, any other run may take its place.
class Journal {
 public:
  Journal(const PreprocessOptions& options, Json print)
      : path_(options.output_prefix + ".preprocess.json"), prefix_(options.output_prefix), print_(std::move(print)) {
    for (const auto& key : options.keys) prefixes_.push_back(prefix_of(key));
    if (options.restart) discard();
    if (fs::exists(path_)) load();
    if (found_) return;
    for (const auto& prefix : prefixes_)
      for (const char* ending : {".bin", ".idx"})
        if (fs::exists(prefix + ending))
          throw ConfigError(prefix + ending, "exists already", "--restart writes it anew");
  }

  bool found() const { return found_; }
  bool finished() const { return finished_; }
  const std::vector<std::string>& prefixes() const { return prefixes_; }
  PreprocessOutput::Mark mark(size_t key) const { return marks_.empty() ? PreprocessOutput::Mark{} : marks_[key]; }
  LinePlace place;
  PreprocessProgress counts;

  void save(std::vector<std::unique_ptr<PreprocessOutput>>& outputs, bool finished) {
    Json json = {{"version", 1},
                 {"finished", finished},
                 {"run", print_},
                 {"file", place.file},
                 {"offset", place.offset},
                 {"line", place.line},
                 {"input_bytes", counts.input_bytes},
                 {"documents", counts.documents},
                 {"tokens", counts.tokens},
                 {"bad_rows", counts.bad_rows},
                 {"outputs", Json::array()}};
    for (auto& output : outputs) json["outputs"].push_back(output->mark().to_json());
    write_file_atomically(path_, json.dump(1) + "\n");
  }

  void publish() {
    for (const auto& prefix : prefixes_) PreprocessOutput::publish(prefix);
    fs::remove(path_);
  }

 private:
  void discard() {
    fs::remove(path_);  // first: parts without a journal are nothing
    for (const auto& prefix : prefixes_) {
      PreprocessOutput::discard(prefix);
      for (const char* ending : {".idx", ".bin"}) fs::remove(prefix + ending);
    }
  }

  std::string prefix_of(const std::string& key) const { return fmt::format("{}_{}_document", prefix_, key); }

  int64_t number(const Json& json, const char* name) const {
    if (!json.is_object() || !json.contains(name) || !json[name].is_number_integer() || json[name].get<int64_t>() < 0)
      throw DataError(path_, fmt::format("has no count '{}'", name), "begin again with --restart");
    return json[name].get<int64_t>();
  }

  // The first thing in which the run of the journal is another one; "" if it is this one.
  std::string difference(const Json& json) const {
    for (const auto& [name, value] : print_.items()) {
      if (json.contains("run") && json["run"].contains(name) && json["run"][name] == value) continue;
      if (name == "skip_bad_rows" && number(json, "bad_rows") == 0) continue;  // so far both write the same
      return name;
    }
    return "";
  }

  void load() {
    const Json json = load_json(path_);
    if (number(json, "version") != 1) throw DataError(path_, "is of another version", "begin again with --restart");
    std::vector<PreprocessOutput::Mark> marks;
    if (json.contains("outputs") && json["outputs"].is_array())
      for (const auto& mark : json["outputs"]) marks.push_back(PreprocessOutput::Mark::from_json(mark));
    if (const auto other = difference(json); !other.empty()) {
      if (number(json, "documents") == 0 && !json.value("finished", false)) return forget(json);
      throw ConfigError(path_, fmt::format("belongs to an unfinished run with other {}", other),
                        "repeat its command to go on with it, or throw it away with --restart");
    }
    place = {number(json, "file"), number(json, "offset"), std::max<int64_t>(number(json, "line"), 1)};
    counts.input_bytes = counts.input_bytes_before = number(json, "input_bytes");
    counts.documents = number(json, "documents"), counts.tokens = number(json, "tokens");
    counts.bad_rows = number(json, "bad_rows");
    finished_ = json.value("finished", false);
    if (marks.size() != prefixes_.size())
      throw DataError(path_, "does not name every output", "begin again with --restart");
    marks_ = std::move(marks);
    found_ = true;
  }

  // Clears away the empty parts of a run with other keys. Those of our own are cut when they are opened, which, as
  // here, fails where another process writes them.
  void forget(const Json& json) const {
    if (!json.contains("run") || !json["run"].contains("keys") || !json["run"]["keys"].is_array()) return;
    for (const auto& key : json["run"]["keys"]) {
      if (!key.is_string()) continue;
      const std::string prefix = prefix_of(key.get<std::string>());
      if (std::find(prefixes_.begin(), prefixes_.end(), prefix) != prefixes_.end()) continue;
      PreprocessOutput(prefix, MegatronType::Int32, {});
      PreprocessOutput::discard(prefix);
    }
  }

  std::string path_, prefix_;
  Json print_;
  std::vector<std::string> prefixes_;
  std::vector<PreprocessOutput::Mark> marks_;
  bool found_ = false, finished_ = false;
};

// Chunks are read and encoded by threads and handed out in order; so many are under way at most.
class Workers {
 public:
  struct Done {
    EncodedChunk encoded;
    LinePlace end;
    int64_t bytes = 0;
    std::exception_ptr error;
  };

  Workers(const PreprocessOptions& options, const PreprocessEncoder& encoder, LinePlace from)
      : inputs_(options.inputs), encoder_(encoder), chunks_(options.inputs, from) {
    const auto cores = std::max(1u, std::thread::hardware_concurrency());
    const auto count = static_cast<size_t>(options.workers > 0 ? options.workers : cores);
    under_way_ = static_cast<int64_t>(2 * count + 2);
    for (size_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Workers() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    room_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  /// Waits for the next chunk, at most half a second: then `late` is set. Nothing after the last.
  std::optional<Done> take(bool& late) {
    std::unique_lock lock(mutex_);
    const auto ready = [&] { return done_.contains(next_out_) || (ended_ && next_out_ == next_in_); };
    late = !made_.wait_for(lock, std::chrono::milliseconds(500), ready);
    if (late || !done_.contains(next_out_)) return std::nullopt;
    Done done = std::move(done_.extract(next_out_).mapped());
    ++next_out_;
    lock.unlock();
    room_.notify_one();
    if (done.error) std::rethrow_exception(done.error);
    return done;
  }

 private:
  // Reads under the lock: a megabyte takes far less time than its tokens.
  bool read(std::optional<LineChunk>& chunk, int64_t& number) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return stop_ || ended_ || next_in_ < next_out_ + under_way_; });
    if (stop_ || ended_) return false;
    try {
      chunk = chunks_.next();
      ended_ = !chunk;
    } catch (...) {
      Done failed;
      failed.error = std::current_exception();
      done_.emplace(next_in_++, std::move(failed));
      ended_ = true;
    }
    if (ended_) {
      made_.notify_all();
      room_.notify_all();
      return false;
    }
    number = next_in_++;
    return true;
  }

  void work() {
    std::optional<LineChunk> chunk;
    int64_t number = 0;
    while (read(chunk, number)) {
      Done done;
      try {
        done.encoded = encoder_.encode(*chunk, inputs_[static_cast<size_t>(chunk->begin.file)]);
      } catch (...) {
        done.error = std::current_exception();
      }
      done.end = chunk->end;
      done.bytes = static_cast<int64_t>(chunk->text.size());
      std::lock_guard lock(mutex_);
      done_.emplace(number, std::move(done));
      made_.notify_all();
    }
  }

  const std::vector<std::string>& inputs_;
  const PreprocessEncoder& encoder_;
  LineChunks chunks_;
  std::mutex mutex_;
  std::condition_variable room_, made_;
  std::map<int64_t, Done> done_;
  int64_t next_in_ = 0, next_out_ = 0, under_way_ = 0;
  bool ended_ = false, stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

PreprocessReport preprocess(const PreprocessOptions& options, std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                            const std::function<void(const PreprocessProgress&)>& show) {
  if (options.inputs.empty()) throw ConfigError("--input", "names no file");
  if (options.output_prefix.empty()) throw ConfigError("--output-prefix", "is missing");
  const PreprocessEncoder encoder(options, std::move(tokenizer));
  if (const auto folder = fs::path(options.output_prefix).parent_path(); !folder.empty()) make_folders(folder);
  const Json print = fingerprint(options, encoder.type());
  Journal journal(options, print);
  PreprocessReport report;
  report.outputs = journal.prefixes();
  report.resumed = journal.found();
  auto& counts = journal.counts;
  bool plain = true;  // else their whole length is known at their end only
  for (const auto& input : options.inputs) plain = plain && !input.ends_with(".gz") && !input.ends_with(".zst");
  for (const auto& input : print["inputs"]) counts.input_bytes_all += plain ? input["bytes"].get<int64_t>() : 0;
  const auto started = Clock::now();

  if (!journal.finished()) {
    std::vector<std::unique_ptr<PreprocessOutput>> outputs;
    for (size_t k = 0; k < options.keys.size(); ++k)
      outputs.push_back(std::make_unique<PreprocessOutput>(journal.prefixes()[k], encoder.type(), journal.mark(k)));
    Workers workers(options, encoder, journal.place);
    auto marked = Clock::now(), shown = marked;
    if (!journal.found()) journal.save(outputs, false);  // so that the parts are known as ours
    while (true) {
      bool late = false;
      const auto done = workers.take(late);
      if (!done && !late) break;
      if (done) {
        for (size_t k = 0; k < outputs.size(); ++k) outputs[k]->append(done->encoded.keys[k]);
        journal.place = done->end;
        counts.input_bytes += done->bytes;
        counts.documents += done->encoded.documents;
        counts.tokens += done->encoded.tokens;
        counts.bad_rows += done->encoded.bad_rows;
      }
      counts.seconds = since(started);
      report.stopped_by = stop_signal();
      if (report.stopped_by != 0 || since(marked) >= options.mark_seconds) {
        journal.save(outputs, false);
        marked = Clock::now();
      }
      if (show && since(shown) >= 0.5) show(counts), shown = Clock::now();
      if (report.stopped_by != 0) {
        report.progress = counts;
        return report;
      }
    }
    for (auto& output : outputs) output->finish();
    journal.save(outputs, true);
  }
  journal.publish();
  counts.seconds = since(started);
  report.progress = counts;
  return report;
}

}  // namespace automodel::data
