#include "automodel/checkpoint/load_weights.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <atomic>
#include <set>
#include <unordered_set>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/checkpoint/convert.h"
#include "automodel/checkpoint/device_copy.h"

namespace automodel::checkpoint {
namespace {

constexpr int64_t kPieceElements = 1 << 18;  // of one task: 0.5-2 MiB, small enough to share evenly

// One slice and the tensor that fills it.
struct Read {
  Parameter* parameter;
  const ParameterSlice* slice;
  WeightSource::Found found;
};

bool matches_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const auto& pattern) { return wildcard_match(pattern, name); });
}

std::vector<int64_t> stored_shape(const Parameter& parameter, const ParameterSlice& slice) {
  std::vector<int64_t> shape = parameter.shape();
  shape[0] = slice.rows;
  if (slice.transposed) {
    AM_CHECK(shape.size() == 2, "{} is transposed and has {} dims", slice.name, shape.size());
    std::swap(shape[0], shape[1]);
  }
  return shape;
}

std::vector<Read> plan_reads(std::span<const ParameterPtr> parameters, const WeightSource& source) {
  std::vector<Read> reads;
  std::vector<std::string> missing, wrong;
  std::set<const Parameter*> seen;  // tied parameters come more than once
  for (const auto& parameter : parameters) {
    if (!seen.insert(parameter.get()).second) continue;
    for (const auto& slice : parameter->slices()) {
      const auto found = source.find(slice.name);
      if (!found) {
        missing.push_back(slice.name);
        continue;
      }
      const auto shape = stored_shape(*parameter, slice);
      const auto& entry = *found->entry;
      if (entry.shape != shape)
        wrong.push_back(fmt::format("[{}] expected {}, the file has {}", entry.name, format_shape(shape),
                                    format_shape(entry.shape)));
      else if (!convertible(entry.dtype, parameter->dtype()))
        wrong.push_back(fmt::format("[{}] expected a floating dtype, the file has {}", entry.name,
                                    *safetensors_dtype(entry.dtype)));
      else
        reads.push_back({parameter.get(), &slice, *found});
    }
  }
  const std::string where = source.path().string();
  if (!missing.empty()) {
    const std::string near = nearest(missing.front(), source.names());
    throw CheckpointError(where,
                          fmt::format("{} of the model's tensors {} missing: {}", missing.size(),
                                      noun_for(std::ssize(missing), "is", "are"), list_some(missing)),
                          near.empty() ? "is this the checkpoint of another model?"
                                       : fmt::format("the nearest name in it is '{}'", near));
  }
  if (!wrong.empty())
    throw CheckpointError(where,
                          fmt::format("{} not fit the model: {}",
                                      counted(std::ssize(wrong), "tensor does", "tensors do"), list_some(wrong)),
                          "config.json and the weights are of different models");
  return reads;
}

void refuse_unexpected(const std::vector<Read>& reads, const WeightSource& source, const LoadOptions& options,
                       LoadReport& report) {
  std::unordered_set<std::string> read;
  for (const auto& item : reads) read.insert(item.found.entry->name);
  std::vector<std::string> unexpected;
  for (const auto& name : source.names()) {
    if (read.contains(name)) continue;
    bool ignored = matches_any(options.ignore, name);
    for (const auto& prefix : source.prefixes()) ignored = ignored || matches_any(options.ignore, prefix + name);
    (ignored ? report.ignored : unexpected).push_back(name);
  }
  if (!unexpected.empty())
    throw CheckpointError(
        source.path().string(),
        fmt::format("{} to no part of the model: {}",
                    counted(std::ssize(unexpected), "tensor belongs", "tensors belong"), list_some(unexpected)),
        "is this the checkpoint of another model, or does config.json leave something out?");
}

// The mapped bytes become the parameter's storage; their values are still looked at if asked.
bool stays_mapped(const Read& read, const LoadOptions& options) {
  const auto& parameter = *read.parameter;
  const auto data = read.found.file->bytes(*read.found.entry);
  const bool may =
      options.map == LoadOptions::Map::All || (options.map == LoadOptions::Map::Frozen && !parameter.trainable);
  return may && parameter.slices().size() == 1 && !read.slice->transposed &&
         read.found.entry->dtype == parameter.dtype() && !data.empty() &&
         reinterpret_cast<uintptr_t>(data.data()) % c10::elementSize(parameter.dtype()) == 0 &&
         (!parameter.has_value() || parameter.value().is_cpu());
}

struct Piece {
  size_t job;
  int64_t begin, end;  // rows
};

// Runs all jobs, cut into pieces of about equal size; returns for each whether its values are finite.
std::vector<char> run_jobs(const std::vector<ConvertJob>& jobs) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const int64_t rows = std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, jobs[i].columns));
    for (int64_t row = 0; row < jobs[i].rows; row += rows)
      pieces.push_back({i, row, std::min(row + rows, jobs[i].rows)});
  }
  std::vector<std::atomic<char>> finite(jobs.size());
  for (auto& flag : finite) flag = 1;
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      if (!convert_rows(jobs[pieces[i].job], pieces[i].begin, pieces[i].end)) finite[pieces[i].job] = 0;
  });
  return {finite.begin(), finite.end()};
}

ConvertJob make_job(const Read& read, const at::Tensor& target) {
  const auto& entry = *read.found.entry;
  const int64_t rows = read.slice->rows, numel = entry.numel();
  return {read.found.file->bytes(entry).data(), entry.dtype,           target.data_ptr(), target.scalar_type(), rows,
          rows == 0 ? 0 : numel / rows,         read.slice->transposed};
}

// Which of them hold NaN or Inf; waits for the device once.
std::vector<size_t> not_finite(const std::vector<DeviceCopy>& copies) {
  std::vector<size_t> bad;
  if (copies.empty()) return bad;
  std::vector<at::Tensor> flags;
  for (const auto& copy : copies) flags.push_back(at::isfinite(copy.to).all());
  const auto finite = at::stack(flags).cpu();
  for (size_t i = 0; i < copies.size(); ++i)
    if (!finite[static_cast<int64_t>(i)].item<bool>()) bad.push_back(i);
  return bad;
}

}  // namespace

LoadReport load_weights(std::span<const ParameterPtr> parameters, const WeightSource& source,
                        const LoadOptions& options) {
  at::NoGradGuard guard;
  LoadReport report;
  const auto reads = plan_reads(parameters, source);
  refuse_unexpected(reads, source, options, report);
  for (const auto& file : source.files()) file.prefetch();

  std::vector<ConvertJob> jobs;
  std::vector<size_t> read_of_job;
  std::vector<DeviceCopy> copies;                         // for parameters on a device: bytes as they are, and
  std::vector<std::pair<at::Tensor, at::Tensor>> staged;  // converted on the CPU -> where it goes
  std::vector<size_t> read_of_copy;
  for (size_t i = 0; i < reads.size(); ++i) {
    const auto& read = reads[i];
    auto& parameter = *read.parameter;
    ++report.tensors;
    report.bytes += read.found.entry->bytes();
    if (stays_mapped(read, options)) {
      parameter.set_value(read.found.file->view(*read.found.entry));
      report.mapped_bytes += read.found.entry->bytes();
      if (options.check_finite) {
        jobs.push_back(make_job(read, parameter.value()));
        jobs.back().target = nullptr;
        read_of_job.push_back(i);
      }
      continue;
    }
    if (!parameter.has_value()) parameter.allocate(at::kCPU);
    at::Tensor target = parameter.view(*read.slice);
    AM_CHECK(target.is_contiguous(), "{} is not contiguous", parameter.name());
    if (!target.is_cpu() && read.found.entry->dtype == target.scalar_type() && !read.slice->transposed) {
      copies.push_back({read.found.file->bytes(*read.found.entry).data(), target});
      read_of_copy.push_back(i);
      continue;
    }
    if (!target.is_cpu()) {
      staged.emplace_back(at::empty(target.sizes(), target.options().device(at::kCPU)), target);
      target = staged.back().first;
    }
    jobs.push_back(make_job(read, target));
    read_of_job.push_back(i);
  }
  copy_to_device(copies);
  const auto finite = run_jobs(jobs);
  for (const auto& [from, to] : staged) to.copy_(from);

  std::vector<std::string> bad;
  if (options.check_finite)
    for (const size_t i : not_finite(copies)) bad.push_back(reads[read_of_copy[i]].found.entry->name);
  for (size_t i = 0; i < jobs.size(); ++i)
    if (!finite[i]) bad.push_back(reads[read_of_job[i]].found.entry->name);
  if (options.check_finite && !bad.empty())
    throw CheckpointError(
        source.path().string(),
        fmt::format("{} NaN or Inf: {}", counted(std::ssize(bad), "tensor holds", "tensors hold"), list_some(bad)),
        "the checkpoint is damaged, or was saved by a run that had diverged");
  return report;
}

}  // namespace automodel::checkpoint
