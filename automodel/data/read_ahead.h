// ReadAhead: rows read, tokenised and masked by threads before they are asked for, handed out in order.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "automodel/data/row_reader.h"

namespace automodel::data {

class ReadAhead {
 public:
  /// `threads` >= 1; at most `ahead` rows are held. Reading starts with begin().
  ReadAhead(std::shared_ptr<const RowReader> reader, int64_t threads, int64_t ahead);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;

  /// Reads on from this position; what was read ahead elsewhere is forgotten.
  void begin(int64_t epoch, int64_t position);
  /// The next position's row: waits for it and, unless no more come, for a few behind it, but for these no longer than
  /// 20 ms: a slow source's rows are handed on as they come. REQUIRES begin(). What is handed out does not depend on
  /// the number of threads.
  ReadRow take();

 private:
  void work();
  bool worth_waking() const;
  std::shared_ptr<const RowReader> reader_;
  std::mutex mutex_;
  std::condition_variable room_, done_;
  std::vector<std::optional<ReadRow>> ring_;
  int64_t epoch_ = 0, next_read_ = 0, next_take_ = 0;
  uint64_t generation_ = 0;  // counts begin(): results of an older one are dropped
  bool reading_ = false, stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace automodel::data
