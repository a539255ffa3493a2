// libautomodel_arrow.so: Parquet and Arrow IPC files as rows, each group of rows decoded once.
#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/properties.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "automodel/data/arrow_table.h"
#include "automodel/data/arrow_values_plugin.h"

namespace automodel::data {
namespace {

constexpr int64_t kKeptBytes = 64 << 20;  // a file that unpacks to less stays in memory
constexpr int64_t kBatchRows = 1024;      // decoded at a time
constexpr int64_t kMaxRows = int64_t{1} << 48;

void check(const arrow::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}
template <class T>
T take(arrow::Result<T> result) {
  check(result.status());
  return std::move(result).ValueUnsafe();
}

using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

class MappedRegion : public arrow::Buffer {
 public:
  MappedRegion(void* data, int64_t size) : Buffer(static_cast<const uint8_t*>(data), size), mapped_(data) {}
  ~MappedRegion() override { ::munmap(mapped_, static_cast<size_t>(size())); }

 private:
  void* mapped_;
};

/// Decoded groups in a nameless file, mapped: memory that the system can take back.
class Spill {
 public:
  explicit Spill(int fd) : fd_(fd) {}
  ~Spill() { ::close(fd_); }
  Spill(const Spill&) = delete;

  Batches keep(arrow::RecordBatchReader& reader) {
    const int64_t begin = end_;
    auto out = take(arrow::io::FileOutputStream::Open(::dup(fd_)));
    auto writer = take(arrow::ipc::MakeStreamWriter(out.get(), reader.schema()));
    std::shared_ptr<arrow::RecordBatch> batch;
    for (check(reader.ReadNext(&batch)); batch; check(reader.ReadNext(&batch))) {
      check(batch->ValidateFull());  // writing follows its offsets
      check(writer->WriteRecordBatch(*batch));
    }
    check(writer->Close());
    const int64_t written = take(out->Tell());
    end_ = (written + 4095) / 4096 * 4096;
    if (::ftruncate(fd_, end_) != 0 || ::lseek(fd_, end_, SEEK_SET) < 0)
      throw std::runtime_error(std::string("cannot be unpacked: ") + std::strerror(errno));
    void* mapped = ::mmap(nullptr, static_cast<size_t>(end_ - begin), PROT_READ, MAP_SHARED, fd_, begin);
    if (mapped == MAP_FAILED) throw std::runtime_error(std::string("cannot be mapped: ") + std::strerror(errno));
    auto stream = std::make_shared<arrow::io::BufferReader>(std::make_shared<MappedRegion>(mapped, end_ - begin));
    return take(take(arrow::ipc::RecordBatchStreamReader::Open(stream))->ToRecordBatches());
  }

 private:
  int fd_;
  int64_t end_ = 0;
};

/// Rows in groups, of which any can be decoded alone.
class Groups {
 public:
  virtual ~Groups() = default;
  std::vector<int64_t> rows;  // of each group
  int64_t bytes = 0;          // of all groups unpacked, as far as that is known
  /// The group's batches; `lies_in_file` says that they refer to the mapped file itself.
  virtual std::shared_ptr<arrow::RecordBatchReader> read(size_t group, bool& lies_in_file) = 0;
};

class ParquetGroups : public Groups {
 public:
  explicit ParquetGroups(const std::string& path) {
    parquet::arrow::FileReaderBuilder builder;
    check(builder.Open(take(arrow::io::ReadableFile::Open(path)), parquet::default_reader_properties()));
    parquet::ArrowReaderProperties properties(/*use_threads=*/false);
    properties.set_batch_size(kBatchRows);
    properties.set_pre_buffer(false);
    builder.properties(properties);
    reader_ = take(builder.Build());
    reader_->set_use_threads(false);
    const auto& metadata = *reader_->parquet_reader()->metadata();
    for (int group = 0; group < metadata.num_row_groups(); ++group) {
      rows.push_back(metadata.RowGroup(group)->num_rows());
      bytes += std::clamp<int64_t>(metadata.RowGroup(group)->total_byte_size(), 0, kKeptBytes * 2);
    }
  }
  std::shared_ptr<arrow::RecordBatchReader> read(size_t group, bool&) override {
    return take(reader_->GetRecordBatchReader({static_cast<int>(group)}));
  }

 private:
  std::unique_ptr<parquet::arrow::FileReader> reader_;
};

/// Whether every buffer of an array lies within the mapped file: then nothing was unpacked.
bool lies_in(const arrow::ArrayData& data, const uint8_t* begin, const uint8_t* end) {
  for (const auto& buffer : data.buffers)
    if (buffer && buffer->size() > 0 && (buffer->data() < begin || buffer->data() >= end)) return false;
  for (const auto& child : data.child_data)
    if (!lies_in(*child, begin, end)) return false;
  return !data.dictionary || lies_in(*data.dictionary, begin, end);
}

class IpcGroups : public Groups {
 public:
  explicit IpcGroups(const std::string& path)
      : file_(take(arrow::io::MemoryMappedFile::Open(path, arrow::io::FileMode::READ))) {
    const int64_t size = take(file_->GetSize());
    if (size == 0) throw std::runtime_error("it is empty");
    whole_ = take(file_->ReadAt(0, size));
    arrow::ipc::IpcReadOptions options;
    options.use_threads = false;
    // Values that lie crooked in a file are copied: reading them where they lie is undefined.
    options.ensure_alignment = arrow::ipc::Alignment::kDataTypeSpecificAlignment;
    if (size >= 6 && std::memcmp(whole_->data(), "ARROW1", 6) == 0) {
      reader_ = take(arrow::ipc::RecordBatchFileReader::Open(file_, options));
      for (int i = 0; i < reader_->num_record_batches(); ++i)
        rows.push_back(take(reader_->ReadRecordBatch(i))->num_rows());
    } else {
      read_stream(options);
    }
    bytes = 2 * kKeptBytes;  // what must be unpacked is not kept in memory
  }

  std::shared_ptr<arrow::RecordBatchReader> read(size_t group, bool& lies_in_file) override {
    auto batch = reader_ ? take(reader_->ReadRecordBatch(static_cast<int>(group))) : stream_.at(group);
    lies_in_file = true;
    for (const auto& column : batch->columns())
      lies_in_file = lies_in_file && lies_in(*column->data(), whole_->data(), whole_->data() + whole_->size());
    return take(arrow::RecordBatchReader::Make({batch}, batch->schema()));
  }

 private:
  void read_stream(const arrow::ipc::IpcReadOptions& options) {
    auto reader = take(arrow::ipc::RecordBatchStreamReader::Open(file_, options));
    std::shared_ptr<arrow::RecordBatch> batch;
    for (check(reader->ReadNext(&batch)); batch; check(reader->ReadNext(&batch))) {
      stream_.push_back(batch);  // its buffers refer to the mapped file
      rows.push_back(batch->num_rows());
    }
  }
  std::shared_ptr<arrow::io::MemoryMappedFile> file_;
  std::shared_ptr<arrow::Buffer> whole_;
  std::shared_ptr<arrow::ipc::RecordBatchFileReader> reader_;
  Batches stream_;
};

class Table : public ArrowTable {
 public:
  Table(std::unique_ptr<Groups> groups, int (*open_nameless_file)())
      : groups_(std::move(groups)), open_file_(open_nameless_file), loaded_(groups_->rows.size()) {
    for (const int64_t rows : groups_->rows) {
      if (rows < 0 || rows > kMaxRows - rows_) throw std::runtime_error("its row counts are damaged");
      first_.push_back(rows_);
      rows_ += rows;
    }
  }
  int64_t rows() const override { return rows_; }

  bool row(int64_t index, Json& value, std::string& fault) override {
    try {
      const auto after = std::upper_bound(first_.begin(), first_.end(), index);
      const auto group = static_cast<size_t>(after - first_.begin() - 1);
      int64_t at = index - first_[group];
      for (const auto& batch : batches_of(group)) {
        if (at < batch->num_rows()) {
          value = object(*batch, at);
          return true;
        }
        at -= batch->num_rows();
      }
      fault = "is not there, though the file's own counts say so";
    } catch (const std::exception& error) {
      fault = error.what();
    }
    return false;
  }

 private:
  static Json object(const arrow::RecordBatch& batch, int64_t at) {
    Json row = Json::object();
    for (int k = 0; k < batch.num_columns(); ++k) {
      try {
        row[batch.column_name(k)] = arrow_value(*batch.column(k), at);
      } catch (const std::exception& error) {
        throw std::runtime_error("column '" + batch.column_name(k) + "': " + error.what());
      }
    }
    return row;
  }

  const Batches& batches_of(size_t group) {
    std::lock_guard lock(mutex_);
    auto& batches = loaded_[group];
    if (batches) return *batches;
    bool lies_in_file = false;
    const auto reader = groups_->read(group, lies_in_file);
    Batches read;
    if (lies_in_file || groups_->bytes <= kKeptBytes) {
      read = take(reader->ToRecordBatches());
      for (const auto& batch : read) check(batch->ValidateFull());  // no offset leads outside, every text is UTF-8
    } else {
      if (!spill_) spill_.emplace(open_file_());
      read = spill_->keep(*reader);
    }
    return batches.emplace(std::move(read));
  }

  std::unique_ptr<Groups> groups_;
  int (*open_file_)();
  std::optional<Spill> spill_;
  std::mutex mutex_;
  std::vector<std::optional<Batches>> loaded_;
  std::vector<int64_t> first_;
  int64_t rows_ = 0;
};

}  // namespace
}  // namespace automodel::data

extern "C" __attribute__((visibility("default"))) automodel::data::ArrowTable* automodel_open_arrow_table(
    const automodel::data::ArrowRequest& request, std::string& fault) {
  using namespace automodel::data;
  try {
    std::unique_ptr<Groups> groups;
    if (request.parquet)
      groups = std::make_unique<ParquetGroups>(request.path);
    else
      groups = std::make_unique<IpcGroups>(request.path);
    return new Table(std::move(groups), request.open_nameless_file);
  } catch (const std::exception& error) {
    fault = error.what();
    return nullptr;
  }
}
