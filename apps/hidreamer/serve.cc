#include "serve.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "commands.h"
#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/load_agent.h"
#include "hidreamer/base/cores.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/pipeline/agent_film.h"
#include "hidreamer/pipeline/agent_stage.h"
#include "hidreamer/report/film.h"
#include "hidreamer/report/run_watch.h"
#include "hidreamer/report/sections.h"
#include "hidreamer/web/serve_page.h"
#include "hidreamer/web/server.h"
#include "options.h"

namespace hidreamer::app {
namespace {

constexpr int kPort = 8080;

struct ServeArguments {
  std::vector<std::filesystem::path> runs;
  std::string host = "127.0.0.1";
  std::optional<int> port;
};

// What all open pages are told of the runs.
class Board {
 public:
  explicit Board(const std::vector<std::filesystem::path>& runs) {
    for (const std::filesystem::path& run : runs) {
      watches_.emplace_back(RealPath(run), NameAmong(RealPath(run), runs));
    }
  }

  nlohmann::json Runs(const nlohmann::json& asked) {
    const std::lock_guard lock(mutex_);
    // However many pages ask, the files are looked at once a second.
    if (const auto now = Clock::now(); now - followed_ >= std::chrono::seconds(1)) {
      followed_ = now;
      for (report::RunWatch& watch : watches_) {
        watch.Follow();
      }
    }
    const nlohmann::json seen = asked.value("seen", nlohmann::json::array());
    auto runs = nlohmann::json::array();
    for (size_t i = 0; i < watches_.size(); ++i) {
      runs.push_back(watches_[i].Answer(i < seen.size() ? seen[i] : nlohmann::json()));
    }
    return {
        {"now", std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
                    .count()},
        {"runs", runs}};
  }

 private:
  using Clock = std::chrono::steady_clock;

  // The name of its directory, with that above it where another run has the same.
  static std::string NameAmong(const std::filesystem::path& path,
                               const std::vector<std::filesystem::path>& runs) {
    int64_t alike = 0;
    for (const std::filesystem::path& run : runs) {
      alike += RealPath(run).filename() == path.filename() ? 1 : 0;
    }
    return alike < 2 ? path.filename().string()
                     : (path.parent_path().filename() / path.filename()).string();
  }

  std::mutex mutex_;
  Clock::time_point followed_ = {};
  std::deque<report::RunWatch> watches_;
};

// Pictures of the runs. They are made in the background, one run after the other, where a page
// asks for them, and at most once for each state of a run: whatever trains beside it goes first.
class Pictures {
 public:
  explicit Pictures(const std::vector<std::filesystem::path>& runs) {
    for (const std::filesystem::path& run : runs) {
      albums_.push_back({.run = run});
    }
    worker_ = std::thread([this] { Work(); });
  }
  ~Pictures() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wanted_.notify_all();
    worker_.join();
  }

  // "newest": they are to be made if the run has other ones by now. {"ready": false}, or {"ready",
  // "films": [report::ToJson], "codes": HTML, "error"}.
  nlohmann::json Ask(const nlohmann::json& asked) {
    const std::lock_guard lock(mutex_);
    const auto index = asked.at("run").get<size_t>();
    if (index >= albums_.size()) {
      throw UserError("", "run {} of {}", index, albums_.size());
    }
    Album& album = albums_[index];
    if (asked.value("newest", false) && album.state != StateOf(album.run)) {
      album.wanted = true;
      wanted_.notify_all();
    }
    return album.wanted ? nlohmann::json{{"ready", false}} : album.made;
  }

 private:
  struct Album {
    std::filesystem::path run;
    bool wanted = false;
    std::string state = "none";  // of the run whose pictures were made
    nlohmann::json made = {{"ready", false}};
  };

  // Another text where there may be other pictures: a new checkpoint, a new evaluation.
  static std::string StateOf(const std::filesystem::path& run) {
    std::string state;
    for (const char* name :
         {"agent/model.safetensors", "agent/last_game", "summary.json", "evaluation"}) {
      std::error_code code;
      const auto time = std::filesystem::last_write_time(run / name, code);
      state += code ? "-" : fmt::format("{} ", time.time_since_epoch().count());
    }
    return state;
  }

  static nlohmann::json Make(const std::filesystem::path& run) {
    auto films = nlohmann::json::array();
    const report::ReportData data = report::LoadReportData(run);
    if (agent::HoldsAgent(run)) {
      const auto agent = agent::LoadAgent(run, "");
      films.push_back(report::ToJson(pipeline::FilmSteps(
          agent, env::MakeEnvironment(agent->game(), "atari100k"), {.steps = 300})));
    }
    const std::pair<std::filesystem::path, std::string> recordings[] = {
        {run / "agent" / pipeline::kLastGame, "A game of the last evaluation while it trained"},
        {run / "evaluation/played/held_out", "Games of the last hidreamer evaluate"}};
    for (const auto& [path, title] : recordings) {
      if (std::filesystem::exists(path)) {
        films.push_back(report::ToJson(
            report::FilmOfRecording(data::EpisodeStore(path), title, kRecordedSteps)));
      }
    }
    for (const auto& [name, part] : data.PartsOf("dream_")) {
      const std::string game = part->value("game", name);
      films.push_back(report::ToJson(
          report::FilmOfDream(*part, [&](int64_t row) { return data.frame(game, row); })));
    }
    return {{"films", films},
            {"codes", data.Part("codes") == nullptr ? "" : report::CodesSection(data)}};
  }

  void Work() {
    RunOnAnyCore();
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
    at::set_num_threads(1);
    std::unique_lock lock(mutex_);
    while (true) {
      const auto wanted = [&] {
        return std::find_if(albums_.begin(), albums_.end(),
                            [](const Album& a) { return a.wanted; });
      };
      wanted_.wait(lock, [&] { return ended_ || wanted() != albums_.end(); });
      if (ended_) {
        return;
      }
      Album& album = *wanted();
      lock.unlock();
      const std::string state = StateOf(album.run);
      nlohmann::json made;
      try {
        made = Make(album.run);
      } catch (const Interrupted&) {
        return;
      } catch (const std::exception& error) {  // a file that was being written, a missing ROM
        made = {{"films", nlohmann::json::array()}, {"codes", ""}, {"error", error.what()}};
      }
      made["ready"] = true;
      lock.lock();
      album.wanted = false;
      album.state = state;
      album.made = std::move(made);
    }
  }

  static constexpr int64_t kRecordedSteps = 600;

  std::mutex mutex_;
  std::condition_variable wanted_;
  bool ended_ = false;
  std::vector<Album> albums_;
  std::thread worker_;
};

// At the port asked for, or, where none was, at 8080 or any that is free.
std::unique_ptr<web::Server> Listen(const ServeArguments& arguments) {
  try {
    return std::make_unique<web::Server>(arguments.host, arguments.port.value_or(kPort));
  } catch (const Error& error) {
    if (arguments.port) {
      throw;
    }
    auto server = std::make_unique<web::Server>(arguments.host, 0);
    spdlog::info("{}: the page is at port {}", error.what(), server->port());
    return server;
  }
}

void Serve(const ServeArguments& arguments) {
  for (const std::filesystem::path& run : arguments.runs) {
    CheckIsRun(run);
  }
  at::set_num_threads(1);
  Board board(arguments.runs);
  Pictures pictures(arguments.runs);
  const std::unique_ptr<web::Server> server = Listen(arguments);
  server->AddPage("/", web::ServePage());
  server->AddCall("/api/runs", [&](const nlohmann::json& asked) { return board.Runs(asked); });
  server->AddCall("/api/pictures",
                  [&](const nlohmann::json& asked) { return pictures.Ask(asked); });
  fmt::print("open {} in a browser\n", server->address());
  if (!server->token().empty()) {
    fmt::print("whoever has this address can watch; everybody else is refused\n");
  }
  std::fflush(stdout);
  server->Run();
}

}  // namespace

PageBeside::PageBeside(const std::filesystem::path& run) {
  const std::string path = std::filesystem::absolute(run).string();
  const char* const words[] = {"hidreamer", "serve", path.c_str(), nullptr};
  const pid_t parent = ::getpid();
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) == 0 && (process_ = ::fork()) == 0) {
    // Only what may be called between fork and exec.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::setpriority(PRIO_PROCESS, 0, 19);
    RunOnAnyCore();  // not on that of the thread which trains
    ::dup2(ends[1], STDOUT_FILENO);
    if (::getppid() == parent) {
      ::execv("/proc/self/exe", const_cast<char* const*>(words));
    }
    ::_exit(127);
  }
  ::close(ends[1]);
  // Its address, before the training begins: what the training prints stays its own.
  std::string line;
  for (char letter = 0; ::read(ends[0], &letter, 1) == 1 && letter != '\n';) {
    line += letter;
  }
  ::close(ends[0]);
  if (line.empty()) {
    spdlog::warn("there is no page to watch {}; it trains without", run.string());
  } else {
    spdlog::info("{}", line);
  }
}

PageBeside::~PageBeside() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);  // it only reads
    ::waitpid(process_, nullptr, 0);
  }
}

void AddServeCommand(CLI::App& app) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command = app.add_subcommand(
      "serve", "watch runs in a browser, while they train and after: curves, pace, time left");
  command->add_option("RUN,--run", arguments->runs, "run directories, compared in the same plots")
      ->required();
  command
      ->add_option(
          "--host", arguments->host,
          "address to listen on; 0.0.0.0 lets other machines in that know the token printed")
      ->capture_default_str();
  command
      ->add_option("--port", arguments->port,
                   "0: any that is free (default: 8080, or any that is free)")
      ->check(CLI::Range(0, 65535));
  command->footer(
      "It only reads: the runs train on undisturbed, and may end and resume meanwhile.\n"
      "Example: hidreamer serve runs/agent_pong\n"
      "Example: hidreamer serve runs/seed_1 runs/seed_2 runs/seed_3");
  command->callback([arguments] { Serve(*arguments); });
}

}  // namespace hidreamer::app
