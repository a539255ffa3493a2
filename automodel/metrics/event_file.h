// TensorBoard event files: scalars that `tensorboard --logdir` shows, written without TensorBoard.
//
// A file is a row of records: length (uint64 little endian), masked CRC-32C of those 8 bytes, data, masked CRC-32C of
// the data, where masked(c) = rotate_right(c, 15) + 0xa282ead8. Data are protobuf messages:
//   Event {1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary, 7: SessionLog}
//   Summary {1: repeated Value {1: string tag, 2: float simple_value}}    SessionLog {1: status, 1 = START}
// The first record has the file version "brain.Event:2". A resumed run starts a further file whose SessionLog START at
// its first step makes TensorBoard drop what an earlier file holds of steps from there on.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace automodel::metrics {

class EventFile {
 public:
  /// Starts "events.out.tfevents.SECONDS.HOST.PID" in `folder` (made if missing), whose name sorts after those already
  /// there. `next_step` is the first step that will be written. Throws SystemError.
  EventFile(const std::filesystem::path& folder, int64_t next_step, double wall_time);
  ~EventFile();
  EventFile(const EventFile&) = delete;

  /// One event with several scalars, flushed to the kernel. wall_time: seconds since 1970.
  void add(int64_t step, double wall_time, const std::vector<std::pair<std::string, double>>& scalars);
  const std::filesystem::path& path() const { return path_; }

 private:
  void write(const std::string& event);

  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
};

}  // namespace automodel::metrics
