#include "automodel/checkpoint/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"

namespace automodel::checkpoint {
namespace fs = std::filesystem;

static constexpr std::string_view kSaving = ".saving-", kDeleting = ".deleting-", kMoving = ".moving-",
                                  kDamaged = ".damaged-";

std::string checkpoint_name(int64_t epoch, int64_t step) { return fmt::format("epoch_{}_step_{}", epoch, step); }

// The step of a checkpoint's name, nothing for other names.
static std::optional<int64_t> step_of(const std::string& name) {
  long long epoch = 0, step = 0;
  if (std::sscanf(name.c_str(), "epoch_%18lld_step_%18lld", &epoch, &step) != 2) return std::nullopt;
  return name == checkpoint_name(epoch, step) ? std::optional<int64_t>(step) : std::nullopt;
}

RunFolder::RunFolder(const fs::path& folder, RunFolderOptions options) : folder_(folder), options_(options) {
  make_folders(folder_);
  const fs::path path = folder_ / ".lock";
  lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    throw SystemError(folder_.string(), fmt::format("cannot be written to: {}", std::strerror(errno)),
                      "choose another checkpoint.checkpoint_dir");
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {  // file systems without locks go on without
    ::close(lock_);
    throw CheckpointError(folder_.string(), "another process is writing to this folder",
                          "stop it first, or choose another checkpoint.checkpoint_dir");
  }
  clear_leftovers();
}

RunFolder::~RunFolder() { ::close(lock_); }

static void rename_path(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw SystemError(to.string(), fmt::format("cannot be put into its place: {}", error.message()));
}

static std::optional<std::string> link_target(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) return std::nullopt;
  return target.filename().string();
}

// A link is made ready under another name and renamed over the old one: there is no moment without it.
void RunFolder::prepare_link(const std::string& link, const std::string& target) {
  const fs::path fresh = folder_ / (std::string(kMoving) + link);
  std::error_code error;
  fs::remove(fresh, error);
  fs::create_directory_symlink(target, fresh, error);
  if (error) throw SystemError((folder_ / link).string(), fmt::format("the link cannot be made: {}", error.message()));
}

void RunFolder::publish_link(const std::string& link) {
  const fs::path fresh = folder_ / (std::string(kMoving) + link);
  if (fs::is_symlink(fresh)) rename_path(fresh, folder_ / link);
}

void RunFolder::clear_leftovers() {
  for (const std::string link : {"LATEST", "BEST"}) {  // killed after it published a checkpoint, before the links moved
    const auto target = link_target(folder_ / (std::string(kMoving) + link));
    if (target && why_not_whole(folder_ / *target).empty()) publish_link(link);
  }
  std::vector<fs::path> leftovers;
  for (const auto& item : fs::directory_iterator(folder_)) {
    const std::string name = item.path().filename().string();
    if (name.starts_with(kSaving) || name.starts_with(kDeleting) || name.starts_with(kMoving))
      leftovers.push_back(item.path());
  }
  for (const auto& path : leftovers) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error)
      log_warning(
          fmt::format("{}: left by a run that was killed, and cannot be removed: {}", path.string(), error.message()));
  }
}

bool RunFolder::is_best(double metric) const {
  const auto best = link_target(folder_ / "BEST");
  if (!best || !why_not_whole(folder_ / *best).empty()) return true;
  const auto lowest = load_manifest(folder_ / *best).metric;
  return !lowest || metric < *lowest;
}

fs::path RunFolder::save(int64_t epoch, int64_t step, std::optional<double> metric,
                         const std::function<std::vector<FileRecord>(const fs::path&)>& write) {
  const std::string name = checkpoint_name(epoch, step);
  const fs::path target = folder_ / name, hidden = folder_ / (std::string(kSaving) + name);
  const auto refuse = [&] {
    if (fs::exists(fs::symlink_status(target)))
      throw CheckpointError(target.string(), "is there already, and a published checkpoint is never overwritten",
                            "choose another checkpoint.checkpoint_dir, or move the newer checkpoints away");
  };
  const auto undo = [&] {
    std::error_code ignored;
    fs::remove_all(hidden, ignored);
    for (const char* link : {"LATEST", "BEST"}) fs::remove(folder_ / (std::string(kMoving) + link), ignored);
  };
  refuse();
  if (metric && !std::isfinite(*metric)) metric.reset();
  try {
    fs::remove_all(hidden);
    make_folders(hidden);
    const auto records = write(hidden);
    write_manifest(hidden, {epoch, step, metric, "", {}}, records);
    refuse();
    prepare_link("LATEST", name);
    if (metric && is_best(*metric)) prepare_link("BEST", name);
    sync_folder(folder_);
    rename_path(hidden, target);
  } catch (const fs::filesystem_error& fault) {
    undo();
    throw SystemError(fault.path1().string(),
                      fmt::format("the checkpoint cannot be written: {}", fault.code().message()));
  } catch (...) {
    undo();
    throw;
  }
  sync_folder(folder_);
  publish_link("LATEST");
  publish_link("BEST");
  sync_folder(folder_);
  remove_old();
  return target;
}

static std::vector<CheckpointEntry> whole_checkpoints(const fs::path& folder, std::vector<std::string>* damaged) {
  std::vector<CheckpointEntry> found;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string name = item.path().filename().string();
    if (!step_of(name) || !item.is_directory()) continue;
    const std::string reason = why_not_whole(item.path());
    if (reason.empty()) {
      const auto manifest = load_manifest(item.path());
      found.push_back({item.path(), manifest.epoch, manifest.step, manifest.metric});
    } else if (damaged) {
      damaged->push_back(name + ": " + reason);
    }
  }
  std::sort(found.begin(), found.end(), [](const CheckpointEntry& a, const CheckpointEntry& b) {
    return std::pair(a.step, a.epoch) < std::pair(b.step, b.epoch);
  });
  if (damaged) std::sort(damaged->begin(), damaged->end());
  return found;
}

// Called only after a checkpoint was published, so a good one remains whatever goes. Damaged ones count for nothing and
// stay.
void RunFolder::remove_old() {
  if (options_.max_recent_checkpoints <= 0) return;
  const auto latest = link_target(folder_ / "LATEST"), best = link_target(folder_ / "BEST");
  const auto found = whole_checkpoints(folder_, nullptr);
  const auto keep = static_cast<size_t>(options_.max_recent_checkpoints);
  for (size_t i = 0; i + keep < found.size(); ++i) {
    const std::string name = found[i].path.filename().string();
    if (name == latest || name == best || fs::is_symlink(found[i].path)) continue;
    // Renamed first: a checkpoint that is half removed must not look like one.
    const fs::path hidden = folder_ / (std::string(kDeleting) + name);
    std::error_code error;
    fs::remove_all(hidden, error);
    fs::rename(found[i].path, hidden, error);
    if (!error) fs::remove_all(hidden, error);
    if (error)
      log_warning(fmt::format("{}: an old checkpoint cannot be removed: {}", found[i].path.string(), error.message()));
  }
}

static fs::path free_name(const fs::path& folder, const std::string& name) {
  fs::path path = folder / name;
  for (int copy = 2; fs::exists(fs::symlink_status(path)); ++copy) path = folder / fmt::format("{}-{}", name, copy);
  return path;
}

void RunFolder::set_damaged_aside(int64_t first_step) {
  std::vector<std::string> told;
  whole_checkpoints(folder_, &told);
  for (auto& damaged : told) {  // "epoch_0_step_5: model/config.json is missing"
    const std::string name = damaged.substr(0, damaged.find(':'));
    if (*step_of(name) < first_step) continue;
    const fs::path aside = free_name(folder_, std::string(kDamaged) + name);
    rename_path(folder_ / name, aside);
    damaged += fmt::format(" (renamed to {})", aside.filename().string());
  }
  if (told.empty()) return;
  sync_folder(folder_);
  log_warning(fmt::format("{}: not whole, passed over: {}", folder_.string(), join(told, "; ")));
}

static std::optional<CheckpointEntry> named_by(const RunView& run, const char* link) {
  for (const auto& prefix : {std::string(kMoving), std::string()}) {
    const auto name = link_target(run.path / (prefix + link));
    for (const auto& entry : run.checkpoints)
      if (name && entry.path.filename() == *name) return entry;
  }
  return std::nullopt;
}

static RunView view_run(const fs::path& folder) {
  RunView run{folder, {}, {}, {}, {}};
  run.checkpoints = whole_checkpoints(folder, &run.damaged);
  run.latest = named_by(run, "LATEST");
  if (!run.latest && !run.checkpoints.empty()) run.latest = run.checkpoints.back();
  run.best = named_by(run, "BEST");
  return run;
}

RunView open_run(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw CheckpointError(folder.string(), "is no folder", "give the checkpoint.checkpoint_dir of a run");
  RunView run = view_run(folder);
  if (run.checkpoints.empty() && run.damaged.empty())
    throw CheckpointError(folder.string(), "is not the folder of a run: it holds no epoch_E_step_S folder",
                          "give the checkpoint.checkpoint_dir of a run");
  return run;
}

std::optional<CheckpointEntry> find_latest(const fs::path& folder) {
  if (!fs::is_directory(folder)) return std::nullopt;
  const RunView run = view_run(folder);
  for (const auto& damaged : run.damaged)
    log_warning(fmt::format("{}: not whole, passed over: {}", folder.string(), damaged));
  return run.latest;
}

std::optional<CheckpointEntry> RunFolder::latest() const { return view_run(folder_).latest; }

bool holds_checkpoints(const fs::path& folder) {
  if (!fs::is_directory(folder)) return false;
  const RunView run = view_run(folder);
  return !run.checkpoints.empty() || !run.damaged.empty();
}

CheckpointEntry find_checkpoint(const fs::path& folder, const std::string& restore_from) {
  const auto from_link = [&](const std::optional<CheckpointEntry>& entry) {
    if (!entry)
      throw CheckpointError(folder.string(), fmt::format("has no whole checkpoint that {} names", restore_from));
    return *entry;
  };
  if (restore_from == "LATEST") return from_link(open_run(folder).latest);
  if (restore_from == "BEST") return from_link(open_run(folder).best);
  fs::path path = folder / restore_from;  // an absolute path replaces the folder
  if (!fs::is_directory(path)) path = restore_from;
  if (!fs::is_directory(path)) {
    std::vector<std::string> names;
    if (fs::is_directory(folder))
      for (const auto& entry : view_run(folder).checkpoints) names.push_back(entry.path.filename().string());
    throw CheckpointError(restore_from, fmt::format("is neither a folder nor a checkpoint in {}", folder.string()),
                          names.empty() ? "" : fmt::format("there are {}", join(names, ", ")));
  }
  if (!fs::exists(path / "manifest.json")) {
    const RunView run = view_run(path);
    if (run.latest) return *run.latest;
  }
  if (const std::string reason = why_not_whole(path); !reason.empty())
    throw CheckpointError(path.string(), fmt::format("cannot be restored from: {}", reason),
                          "choose another checkpoint of the run");
  const auto manifest = load_manifest(path);
  return {path, manifest.epoch, manifest.step, manifest.metric};
}

}  // namespace automodel::checkpoint
