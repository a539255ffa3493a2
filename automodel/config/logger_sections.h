// wandb, mlflow, comet, tensorboard: where metrics go besides training.jsonl.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace automodel::config {

struct TensorboardSection {
  bool enabled = true;
  std::string dir;  ///< "": the checkpoint folder

  template <class F>
  void describe(F& f) {
    f("enabled", enabled, "write TensorBoard event files");
    f("dir", dir, "folder of the event files; not set: tensorboard/ in the run's folder");
  }
};

struct WandbSection {
  bool enable = true;  ///< false drops the section
  std::string project = "automodel", entity, name, group, notes, mode = "online", dir, id, resume;
  std::vector<std::string> tags;

  template <class F>
  void describe(F& f) {
    f("enable", enable, "false: as if the section were not there");
    f("project", project, "project", "text");
    f("entity", entity, "user or team", "text|null");
    f("name", name, "name of the run; not set: made from the model's name", "text|null");
    f("group", group, "group of runs", "text|null");
    f("notes", notes, "notes", "text|null");
    f("mode", mode, "online, offline, disabled or shared", "=online|=offline|=disabled|=shared");
    f("dir", dir, "folder of local files", "text|null");
    f("id", id, "id of the run", "text|null");
    f("resume", resume, "resume the run of this id", "text|null");
    f("tags", tags, "tags", "list<text>|null");
  }
};

struct MlflowSection {
  bool enable = true;
  std::string experiment_name = "automodel-experiment", run_name, tracking_uri, artifact_location, description;
  bool resume = true;
  int64_t flatten_depth = 1;

  template <class F>
  void describe(F& f) {
    f("enable", enable, "false: as if the section were not there");
    f("experiment_name", experiment_name, "experiment", "text");
    f("run_name", run_name, "name of the run", "text|null");
    f("tracking_uri", tracking_uri, "server or folder", "text|null");
    f("artifact_location", artifact_location, "where artifacts lie", "text|null");
    f("description", description, "description", "text|null");
    f("resume", resume, "go on with the run of the same folder");
    f("flatten_depth", flatten_depth, "depth to which config keys become parameters", "int[0,]");
  }
};

struct CometSection {
  bool enable = true;
  std::string project_name = "automodel", workspace, api_key, experiment_name;
  bool auto_metric_logging = false;
  std::vector<std::string> tags;

  template <class F>
  void describe(F& f) {
    f("enable", enable, "false: as if the section were not there");
    f("project_name", project_name, "project", "text");
    f("workspace", workspace, "workspace", "text|null");
    f("api_key", api_key, "key; never printed", "text|null");
    f("experiment_name", experiment_name, "name of the run", "text|null");
    f("auto_metric_logging", auto_metric_logging, "let Comet find metrics by itself");
    f("tags", tags, "tags", "list<text>|null");
  }
};

}  // namespace automodel::config
