#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "hidreamer/config/config.h"

namespace hidreamer::pipeline {

struct AgentRunOptions {
  std::filesystem::path directory;
  std::string command;  // as given, for run.json
  bool force = false;   // begin anew where the directory holds an agent with other settings, which
                        // is kept until the new one is done
  std::function<void()> begun = [] {};  // called once all is checked, before the work
};

// hidreamer agent: plays and learns online, resumable to the bit. Writes
//   RUN/config.yaml, run.json
//   RUN/agent/begun.json or stage.json  what it was begun with; done
//   RUN/agent/{checkpoints, metrics.jsonl, events.out…, model.safetensors}
//   RUN/agent/curve.json  training games and evaluations by real steps
//   RUN/agent/dream.webp  its dream beside a game that it plays
//   RUN/report.html       one page of what was learned
//   RUN/replay/           the real steps, for resuming
void RunAgent(const config::Config& config, const AgentRunOptions& options);

}  // namespace hidreamer::pipeline
