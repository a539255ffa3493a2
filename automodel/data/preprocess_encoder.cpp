#include "automodel/data/preprocess_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/json_cursor.h"

namespace automodel::data {

static constexpr int64_t kShortVocabulary = 65500;  // Megatron's DType.optimal_dtype

struct PreprocessEncoder::Row {
  std::vector<std::vector<std::string>> texts;  // of each key
  std::vector<bool> there;
  std::string buffer;
};

static constexpr const char* kRemedy =
    "--json-keys names the keys that hold texts; --skip-bad-rows leaves such rows out and counts them";

PreprocessEncoder::PreprocessEncoder(const PreprocessOptions& options,
                                     std::shared_ptr<const tokenizer::Tokenizer> tokenizer)
    : tokenizer_(std::move(tokenizer)),
      keys_(options.keys),
      append_eod_(options.append_eod),
      add_special_(options.add_special),
      skip_bad_rows_(options.skip_bad_rows),
      type_(tokenizer_->vocab_size() < kShortVocabulary ? MegatronType::Uint16 : MegatronType::Int32) {
  if (append_eod_ && !tokenizer_->eos_id)
    throw ConfigError("--append-eod", fmt::format("the tokenizer of {} names no eos token", options.model));
  auto sorted = keys_;
  std::sort(sorted.begin(), sorted.end());
  if (keys_.empty() || std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    throw ConfigError("--json-keys", "expected one or more different keys");
}

void PreprocessEncoder::read_row(std::string_view line, const std::string& where, Row& row) const {
  row.there.assign(keys_.size(), false);
  row.texts.resize(keys_.size());
  tokenizer::JsonCursor cursor(line, where);
  cursor.object([&](std::string_view name) {
    const auto found = std::find(keys_.begin(), keys_.end(), name);
    if (found == keys_.end()) {
      cursor.skip();
      return;
    }
    const auto k = static_cast<size_t>(found - keys_.begin());
    auto& texts = row.texts[k];
    texts.clear();  // of two equal names the last counts, as in Python
    row.there[k] = true;
    if (cursor.peek() == '[')
      cursor.array([&] { texts.emplace_back(cursor.string(row.buffer)); });
    else
      texts.emplace_back(cursor.string(row.buffer));
  });
  if (cursor.peek() != 0) throw DataError(where, "expected the end of the line after the object");
  for (size_t k = 0; k < keys_.size(); ++k)
    if (!row.there[k]) throw DataError(where, fmt::format("has no key '{}'", keys_[k]), kRemedy);
}

// What a row that is JSON lacks, as users know it: by key. REQUIRES a row that read_row() refused.
void PreprocessEncoder::say_what_is_wrong(const Json& row, const std::string& where) const {
  if (!row.is_object()) throw DataError(where, fmt::format("expected a JSON object, got {}", row.type_name()));
  for (const auto& key : keys_) {
    const auto found = row.find(key);
    if (found == row.end()) throw DataError(where, fmt::format("has no key '{}'", key), kRemedy);
    const auto is_text = [](const Json& value) { return value.is_string(); };
    if (!found->is_string() && !(found->is_array() && std::all_of(found->begin(), found->end(), is_text)))
      throw DataError(where, fmt::format("'{}' is no text and no list of texts", key), kRemedy);
  }
}

template <class T>
static void append_ids(const std::vector<int32_t>& ids, std::string& bytes) {
  const size_t at = bytes.size();
  bytes.resize(at + ids.size() * sizeof(T));
  auto* to = bytes.data() + at;
  for (const int32_t id : ids) {
    const T value = static_cast<T>(id);
    std::memcpy(to, &value, sizeof(T));
    to += sizeof(T);
  }
}

void PreprocessEncoder::append_document(const std::vector<std::string>& texts, EncodedDocuments& documents,
                                        int64_t& tokens) const {
  int32_t sequences = 0;
  std::vector<int32_t> last;  // written when the next comes: eos belongs to the last that has tokens
  const auto write = [&] {
    if (last.empty()) return;
    if (type_ == MegatronType::Uint16)
      append_ids<uint16_t>(last, documents.tokens);
    else
      append_ids<int32_t>(last, documents.tokens);
    documents.lengths.push_back(static_cast<int32_t>(last.size()));
    tokens += static_cast<int64_t>(last.size());
    ++sequences;
  };
  for (const auto& text : texts) {
    auto ids = tokenizer_->encode(text, add_special_);
    if (ids.empty()) continue;
    write();
    last = std::move(ids);
  }
  if (append_eod_ && !last.empty()) last.push_back(*tokenizer_->eos_id);
  write();
  documents.sequences.push_back(sequences);
}

EncodedChunk PreprocessEncoder::encode(const LineChunk& chunk, const std::string& file) const {
  EncodedChunk encoded;
  encoded.keys.resize(keys_.size());
  Row row;
  int64_t number = chunk.begin.line;
  const std::string_view text = chunk.text;
  for (size_t at = 0; at < text.size(); ++number) {
    const size_t newline = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, newline - at);
    if (at == 0 && chunk.begin.offset == 0 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    at = newline + 1;
    if (trim(line).empty()) continue;
    try {
      read_row(line, fmt::format("{}:{}", file, number), row);
    } catch (const DataError&) {
      if (skip_bad_rows_) {
        ++encoded.bad_rows;
        continue;
      }
      say_what_is_wrong(parse_json(line, file, number), fmt::format("{}:{}", file, number));
      throw;
    }
    for (size_t k = 0; k < keys_.size(); ++k) append_document(row.texts[k], encoded.keys[k], encoded.tokens);
    ++encoded.documents;
  }
  return encoded;
}

}  // namespace automodel::data
