#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/safetensors.h"

namespace automodel::checkpoint {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and so must the machine be");

int64_t TensorEntry::numel() const {
  int64_t product = 1;
  for (const int64_t dim : shape) product *= dim;
  return product;
}

std::string format_shape(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

static constexpr std::pair<std::string_view, at::ScalarType> kDtypes[] = {
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"F8_E8M0", at::kFloat8_e8m0fnu},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U64", at::kUInt64},
    {"U32", at::kUInt32},
    {"U16", at::kUInt16},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
    {"C64", at::kComplexFloat},
};

std::optional<std::string_view> safetensors_dtype(at::ScalarType dtype) {
  for (const auto& [word, known] : kDtypes)
    if (known == dtype) return word;
  return std::nullopt;
}

std::optional<at::ScalarType> parse_safetensors_dtype(std::string_view word) {
  for (const auto& [known, dtype] : kDtypes)
    if (known == word) return dtype;
  return std::nullopt;
}

namespace {

std::string printable(const std::string& name) {
  return name.size() <= 200 ? name : fmt::format("{}...", std::string_view(name).substr(0, 200));
}

// Takes the header apart without building a tree: a header may name a million tensors, and a tree would hide a name
// that comes twice. Depth 1 holds the names, depth 2 the fields of a tensor or the metadata, depth 3 the numbers.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(SafetensorsHeader& header, const std::string& where) : header_(header), where_(where) {}

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t value) override {
    fail(fmt::format("'{}' has the number {}, expected none below 0", field_, value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    fail(fmt::format("'{}' has the number {}, expected a whole one", field_, text));
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_) return unexpected("a number");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail(fmt::format("'{}' has the number {}, which is beyond 64-bit integers", field_, value));
    if (numbers_.size() >= kMaxDims) fail(fmt::format("'{}' has more than {} numbers", field_, kMaxDims));
    numbers_.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(string_t& text) override {
    if (depth_ == 2 && in_metadata_) {
      if (!header_.metadata.emplace(field_, text).second) fail(fmt::format("the key '{}' comes twice", field_));
    } else if (depth_ == 2 && !in_array_ && field_ == "dtype") {
      const auto dtype = parse_safetensors_dtype(text);
      if (!dtype) fail(fmt::format("dtype '{}' is not known", printable(text)), known_dtypes());
      entry_.dtype = *dtype;
      take_field(kDtype);
    } else {
      return unexpected("a string");
    }
    return true;
  }

  bool start_object(size_t) override {
    if (in_array_ || depth_ >= 2) return unexpected("an object");
    if (++depth_ == 2) seen_ = 0;
    return true;
  }

  bool key(string_t& text) override {
    if (depth_ == 1) {
      in_metadata_ = text == "__metadata__";
      entry_ = TensorEntry{};
      entry_.name = text;
      field_.clear();
      if (!in_metadata_ && !names_.emplace(text, 0).second) fail("the name comes twice");
      if (in_metadata_ && std::exchange(had_metadata_, true)) fail("the name comes twice");
    } else {
      field_ = printable(text);
    }
    return true;
  }

  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) {
      if (seen_ != (kDtype | kShape | kOffsets)) fail("expected the fields dtype, shape and data_offsets");
      header_.tensors.push_back(std::move(entry_));
    }
    return true;
  }

  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || in_array_ || (field_ != "shape" && field_ != "data_offsets"))
      return unexpected("a list");
    in_array_ = true;
    numbers_.clear();
    return true;
  }

  bool end_array() override {
    in_array_ = false;
    if (field_ == "shape") {
      entry_.shape = numbers_;
      take_field(kShape);
      return true;
    }
    if (numbers_.size() != 2) fail(fmt::format("data_offsets has {} numbers, expected 2", numbers_.size()));
    entry_.begin = static_cast<uint64_t>(numbers_[0]);
    entry_.end = static_cast<uint64_t>(numbers_[1]);
    take_field(kOffsets);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    std::string reason = error.what();
    if (const size_t at = reason.find(": "); at != std::string::npos) reason = reason.substr(at + 2);
    throw CheckpointError(where_, fmt::format("the header is not valid JSON (byte {}): {}", position, reason),
                          "the file is damaged: fetch or write it again");
  }

 private:
  enum Field { kDtype = 1, kShape = 2, kOffsets = 4 };

  void take_field(Field field) {
    if (seen_ & field) fail(fmt::format("the field '{}' comes twice", field_));
    seen_ |= field;
  }
  bool unexpected(const char* what) {
    if (depth_ == 0) throw CheckpointError(where_, fmt::format("the header is {}, expected an object", what));
    fail(fmt::format("'{}' is {}, which no safetensors header has there", field_, what));
  }
  [[noreturn]] void fail(const std::string& text, const std::string& hint = "") {
    throw CheckpointError(where_ + ": " + printable(entry_.name), "damaged header: " + text, hint);
  }
  static std::string known_dtypes() {
    std::vector<std::string> words;
    for (const auto& [word, dtype] : kDtypes) words.emplace_back(word);
    return "known are " + join(words, ", ");
  }

  SafetensorsHeader& header_;
  const std::string& where_;
  TensorEntry entry_;
  std::string field_;
  std::vector<int64_t> numbers_;
  std::unordered_map<std::string, int> names_;
  int depth_ = 0, seen_ = 0;
  bool in_metadata_ = false, had_metadata_ = false, in_array_ = false;
};

void check_layout(SafetensorsHeader& header, uint64_t data_bytes, const std::string& where) {
  std::stable_sort(header.tensors.begin(), header.tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t next = 0;
  for (const auto& entry : header.tensors) {
    const auto fail = [&](const std::string& text, const std::string& hint = "") {
      throw CheckpointError(where + ": " + printable(entry.name), text, hint);
    };
    uint64_t size = c10::elementSize(entry.dtype);
    for (const int64_t dim : entry.shape)
      if (__builtin_mul_overflow(size, static_cast<uint64_t>(dim), &size) || size > uint64_t{1} << 62)
        fail(fmt::format("damaged header: shape {} is too large", format_shape(entry.shape)));
    if (entry.end < entry.begin || entry.bytes() != size)
      fail(fmt::format("damaged header: data_offsets [{}, {}] do not hold {} of {}, which has {} bytes", entry.begin,
                       entry.end, format_shape(entry.shape), *safetensors_dtype(entry.dtype), size));
    if (entry.begin != next)
      fail(fmt::format("damaged header: the data start at byte {}, {} byte {} where those before end", entry.begin,
                       entry.begin < next ? "overlapping" : "with a gap after", next));
    if (entry.end > data_bytes)
      fail(fmt::format("the file is cut short: the tensor ends at byte {} of the data, the file holds {}", entry.end,
                       data_bytes),
           "fetch or write the file again");
    next = entry.end;
  }
  if (next != data_bytes)
    throw CheckpointError(where, fmt::format("{} bytes follow the last tensor, expected none", data_bytes - next));
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& where) {
  uint64_t length = 0;
  if (file.size() < sizeof length)
    throw CheckpointError(where,
                          fmt::format("is no safetensors file: it has {} bytes, expected at least 8", file.size()));
  std::memcpy(&length, file.data(), sizeof length);
  if (length > kMaxHeaderBytes)
    throw CheckpointError(
        where, fmt::format("is no safetensors file: its header would have {} bytes, expected at most {}", length,
                           kMaxHeaderBytes));
  if (length > file.size() - sizeof length)
    throw CheckpointError(
        where, fmt::format("the file is cut short: its header has {} bytes, the file {}", length, file.size()),
        "fetch or write the file again");
  const auto* text = reinterpret_cast<const char*>(file.data()) + sizeof length;
  if (length == 0 || text[0] != '{')
    throw CheckpointError(where, "is no safetensors file: its header is no JSON object");
  SafetensorsHeader header;
  header.data_begin = sizeof length + length;
  HeaderReader reader(header, where);
  nlohmann::json::sax_parse(text, text + length, &reader);
  check_layout(header, file.size() - header.data_begin, where);
  return header;
}

}  // namespace automodel::checkpoint
