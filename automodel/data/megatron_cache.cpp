#include "automodel/data/megatron_cache.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <system_error>

#include "automodel/base/error.h"
#include "automodel/base/place_file.h"

namespace automodel::data {
namespace fs = std::filesystem;

static std::string python_float(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

static void append_json(const Json& value, size_t depth, std::string& text) {
  if (!value.is_structured() || value.empty()) {
    text += value.is_number_float() ? python_float(value.get<double>()) : value.dump(-1, ' ', true);
    return;
  }
  const std::string indent(4 * (depth + 1), ' ');
  text += value.is_object() ? "{\n" : "[\n";
  bool first = true;
  for (const auto& item : value.items()) {
    text += (first ? "" : ",\n") + indent;
    if (value.is_object()) text += Json(item.key()).dump(-1, ' ', true) + ": ";
    append_json(item.value(), depth + 1, text);
    first = false;
  }
  text += "\n" + std::string(4 * depth, ' ') + (value.is_object() ? "}" : "]");
}

std::string indented_python_json(const Json& value) {
  std::string text;
  append_json(value, 0, text);
  return text;
}

static std::string shape_text(const std::vector<int64_t>& sizes) {
  return sizes.size() == 1 ? fmt::format("({},)", sizes[0]) : fmt::format("({}, {})", sizes[0], sizes[1]);
}

static int64_t value_bytes(const NpyShape& shape) {
  int64_t bytes = shape.item_bytes;
  for (const int64_t size : shape.sizes) bytes *= size;
  return bytes;
}

std::string npy_header(const NpyShape& shape) {
  static constexpr size_t kGrowthDigits = 21, kAlign = 64, kBefore = 10;  // numpy leaves room for a longer first size
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", shape.type, shape_text(shape.sizes));
  header.append(kGrowthDigits - std::min(kGrowthDigits, fmt::format("{}", shape.sizes[0]).size()), ' ');
  header.append(kAlign - (kBefore + header.size() + 1) % kAlign, ' ');
  header += '\n';
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(header.size() & 0xff);
  text += static_cast<char>(header.size() >> 8);
  return text + header;
}

void write_npy(const fs::path& file, const NpyShape& shape, const void* values) {
  const fs::path temporary = temporary_beside(file);
  FileWriter writer(temporary);
  writer.write(npy_header(shape));
  writer.write(values, static_cast<size_t>(value_bytes(shape)));
  writer.close();
  place_file(temporary, file);
}

NpyFile::NpyFile(const fs::path& file, const NpyShape& shape) : file_(file) {
  const std::string_view text = file_.text();
  const auto fail = [&](const std::string& what) {
    throw DataError(file.string(), what, "delete this cached order: it is made again");
  };
  if (text.size() < 12 || !text.starts_with("\x93NUMPY")) fail("is no .npy file");
  const auto byte = [&](size_t at) { return static_cast<size_t>(static_cast<unsigned char>(text[at])); };
  const size_t begins = byte(6) == 1 ? 10 : 12;
  size_t size = byte(8) | byte(9) << 8;
  if (begins == 12) size |= byte(10) << 16 | byte(11) << 24;
  if (size > text.size() - begins) fail("was cut off");
  const std::string_view header = text.substr(begins, size);
  begin_ = begins + size;
  for (const auto& part : {fmt::format("'descr': '{}'", shape.type), std::string("'fortran_order': False"),
                           fmt::format("'shape': {}", shape_text(shape.sizes))})
    if (header.find(part) == std::string_view::npos)
      fail(fmt::format("should hold {} of the type {}, its header says {}", shape_text(shape.sizes), shape.type,
                       header.substr(0, header.find_last_not_of(" \n") + 1)));
  if (static_cast<int64_t>(text.size() - begin_) != value_bytes(shape)) fail("was cut off");
}

}  // namespace automodel::data
