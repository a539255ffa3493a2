#include "automodel/data/megatron_index.h"

#include <fmt/format.h>

#include <cstring>

#include "automodel/base/error.h"

namespace automodel::data {

static constexpr std::string_view kMagic("MMIDIDX\0\0", 9);

template <class T>
static T load_at(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

int64_t size_of(MegatronType type) {
  static constexpr int64_t kSizes[] = {0, 1, 1, 2, 4, 8, 8, 4, 2};
  return static_cast<size_t>(type) < std::size(kSizes) ? kSizes[static_cast<size_t>(type)] : 0;
}

std::string_view name_of(MegatronType type) {
  static constexpr std::string_view kNames[] = {"",      "uint8",   "int8",    "int16", "int32",
                                                "int64", "float64", "float32", "uint16"};
  return static_cast<size_t>(type) < std::size(kNames) ? kNames[static_cast<size_t>(type)] : "";
}

MegatronHeader MegatronHeader::parse(std::string_view bytes, const std::string& where) {
  if (bytes.starts_with("TNTIDX"))
    throw UnsupportedError(where, "is an index of Megatron's old cached or lazy format (TNTIDX)",
                           "write the data set again: `automodel preprocess` makes the current format");
  if (bytes.size() < kBytes || !bytes.starts_with(kMagic))
    throw DataError(where, "is no index of a Megatron data set: it does not begin with MMIDIDX");
  const auto version = load_at<uint64_t>(bytes, 9);
  if (version != 1) throw UnsupportedError(where, fmt::format("has version {}, expected 1", version));
  MegatronHeader header;
  header.type = static_cast<MegatronType>(load_at<uint8_t>(bytes, 17));
  if (size_of(header.type) == 0)
    throw DataError(where, fmt::format("names dtype {}, expected 1 to 8", static_cast<int>(header.type)));
  const auto sequences = load_at<uint64_t>(bytes, 18), borders = load_at<uint64_t>(bytes, 26);
  const uint64_t room = bytes.size() - kBytes;
  const bool bounded = sequences <= room / 12 && borders <= room / 8;  // no product below can overflow
  const uint64_t plain = bounded ? 12 * sequences + 8 * borders : 0;
  if (!bounded || (room != plain && room != plain + sequences))
    throw DataError(where,
                    fmt::format("has {} bytes, which do not hold {} sequences and {} document borders", bytes.size(),
                                sequences, borders),
                    "the file is damaged or was cut off");
  if (borders == 0) throw DataError(where, "has no document borders, expected at least one");
  header.sequences = static_cast<int64_t>(sequences);
  header.borders = static_cast<int64_t>(borders);
  header.has_modes = room != plain;
  return header;
}

std::string MegatronHeader::bytes() const {
  std::string text(kMagic);
  const auto append = [&](auto value) { text.append(reinterpret_cast<const char*>(&value), sizeof value); };
  append(uint64_t{1});
  append(static_cast<uint8_t>(type));
  append(static_cast<uint64_t>(sequences));
  append(static_cast<uint64_t>(borders));
  return text;
}

std::string megatron_prefix(const std::string& path) {
  for (const std::string_view ending : {".bin", ".idx"})
    if (path.ends_with(ending)) return path.substr(0, path.size() - ending.size());
  return path;
}

MegatronFile::MegatronFile(const std::string& prefix)
    : prefix_(megatron_prefix(prefix)), index_name_(prefix_ + ".idx"), tokens_name_(prefix_ + ".bin") {
  if (prefix.starts_with("s3://") || prefix.starts_with("msc://"))
    throw UnsupportedError(prefix, "lies in object storage, which this build does not read", "copy it to a disk");
  files_.emplace_back(index_name_);
  files_.emplace_back(tokens_name_);
  index_ = files_[0].text(), tokens_ = files_[1].text();
  header_ = MegatronHeader::parse(index_, index_name_);
  check_borders();
}

MegatronFile::MegatronFile(std::string_view index, std::string_view tokens, const std::string& where)
    : prefix_(where), index_name_(where + ".idx"), tokens_name_(where + ".bin"), index_(index), tokens_(tokens) {
  header_ = MegatronHeader::parse(index_, index_name_);
  check_borders();
}

static size_t lengths_at() { return MegatronHeader::kBytes; }
static size_t pointers_at(const MegatronHeader& header) {
  return lengths_at() + 4 * static_cast<size_t>(header.sequences);
}
static size_t borders_at(const MegatronHeader& header) {
  return pointers_at(header) + 8 * static_cast<size_t>(header.sequences);
}

void MegatronFile::check_borders() const {
  const size_t at = borders_at(header_), last = at + 8 * static_cast<size_t>(header_.borders - 1);
  const auto end = load_at<int64_t>(index_, last);
  if (load_at<int64_t>(index_, at) != 0 || end != header_.sequences)
    throw DataError(index_name_,
                    fmt::format("its documents span sequences {} to {}, expected 0 to {}", load_at<int64_t>(index_, at),
                                end, header_.sequences),
                    "the file is damaged");
}

int64_t MegatronFile::length(int64_t sequence) const {
  AM_CHECK(sequence >= 0 && sequence < header_.sequences, "sequence {} of {}", sequence, header_.sequences);
  const auto count = int64_t{load_at<int32_t>(index_, lengths_at() + 4 * static_cast<size_t>(sequence))};
  const auto begin = load_at<int64_t>(index_, pointers_at(header_) + 8 * static_cast<size_t>(sequence));
  const auto size = static_cast<int64_t>(tokens_.size());
  if (count < 0 || begin < 0 || begin > size || count * size_of(header_.type) > size - begin)
    throw DataError(fmt::format("{}: sequence {}", index_name_, sequence),
                    fmt::format("says {} tokens from byte {} on, which do not lie in the {} bytes of {}", count, begin,
                                size, tokens_name_),
                    "the two files do not belong together, or one was cut off");
  return count;
}

int8_t MegatronFile::mode(int64_t sequence) const {
  AM_CHECK(header_.has_modes && sequence >= 0 && sequence < header_.sequences, "sequence {}", sequence);
  return load_at<int8_t>(index_, borders_at(header_) + static_cast<size_t>(8 * header_.borders + sequence));
}

std::pair<int64_t, int64_t> MegatronFile::document(int64_t document) const {
  AM_CHECK(document >= 0 && document < documents(), "document {} of {}", document, documents());
  const size_t at = borders_at(header_) + 8 * static_cast<size_t>(document);
  const auto begin = load_at<int64_t>(index_, at), end = load_at<int64_t>(index_, at + 8);
  if (begin < 0 || begin > end || end > header_.sequences)
    throw DataError(fmt::format("{}: document {}", index_name_, document),
                    fmt::format("spans sequences {} to {} of {}", begin, end, header_.sequences),
                    "the file is damaged");
  return {begin, end};
}

template <class T>
static void append(std::string_view bytes, int64_t count, const std::string& where, std::vector<int32_t>& ids) {
  const size_t first = ids.size();
  ids.resize(first + static_cast<size_t>(count));
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const T value = load_at<T>(bytes, i * sizeof(T));
    if constexpr (sizeof(T) == 8)
      if (value < INT32_MIN || value > INT32_MAX)
        throw DataError(where, fmt::format("holds {}, which is no token id", value));
    ids[first + i] = static_cast<int32_t>(value);
  }
}

void MegatronFile::read(int64_t sequence, int64_t offset, int64_t count, std::vector<int32_t>& ids) const {
  const int64_t tokens = length(sequence), size = size_of(header_.type);
  if (offset < 0 || count < 0 || offset > tokens || count > tokens - offset)
    throw DataError(fmt::format("{}: sequence {}", prefix_, sequence),
                    fmt::format("has {} tokens; {} from {} on were asked for", tokens, count, offset),
                    "a cached order belongs to other data: delete it");
  const auto begin = load_at<int64_t>(index_, pointers_at(header_) + 8 * static_cast<size_t>(sequence));
  const auto bytes = tokens_.substr(static_cast<size_t>(begin + offset * size), static_cast<size_t>(count * size));
  const std::string& where = tokens_name_;
  switch (header_.type) {
    case MegatronType::Uint8:
      return append<uint8_t>(bytes, count, where, ids);
    case MegatronType::Int8:
      return append<int8_t>(bytes, count, where, ids);
    case MegatronType::Int16:
      return append<int16_t>(bytes, count, where, ids);
    case MegatronType::Int32:
      return append<int32_t>(bytes, count, where, ids);
    case MegatronType::Int64:
      return append<int64_t>(bytes, count, where, ids);
    case MegatronType::Uint16:
      return append<uint16_t>(bytes, count, where, ids);
    case MegatronType::Float32:
    case MegatronType::Float64:
      break;
  }
  throw UnsupportedError(index_name_, fmt::format("holds {} values, which are no token ids", name_of(header_.type)));
}

}  // namespace automodel::data
