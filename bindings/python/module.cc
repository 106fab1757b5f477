// hidreamer._core: agents, dreams and training for NumPy, and games written in Python. The public
// package is hidreamer/__init__.py and hidreamer/dream_env.py.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>
#include <torch/torch.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hidreamer/agent/agent_models.h"
#include "hidreamer/agent/beginnings.h"
#include "hidreamer/agent/long_dream.h"
#include "hidreamer/agent/observation.h"
#include "hidreamer/base/cores.h"
#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/log.h"
#include "hidreamer/config/load.h"
#include "hidreamer/env/area_resize.h"
#include "hidreamer/env/registry.h"
#include "hidreamer/evaluation/play.h"
#include "hidreamer/imagination/player.h"
#include "hidreamer/pipeline/agent_run.h"
#include "hidreamer/pipeline/trained_agent.h"
#include "hidreamer/policy/action_distribution.h"

namespace py = pybind11;

namespace hidreamer::python {
namespace {

constexpr const char* kProtocol = "atari100k";

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

// A tensor over the array's memory; valid while the array lives.
template <class T>
torch::Tensor View(const Array<T>& array) {
  const std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
  return torch::from_blob(const_cast<T*>(array.data()), shape,
                          torch::CppTypeToScalarType<T>::value);
}

// An array over the tensor's memory, which it keeps alive.
template <class T>
py::array_t<T> ToArray(const torch::Tensor& tensor) {
  auto* const kept =
      new torch::Tensor(tensor.to(torch::CppTypeToScalarType<T>::value).contiguous());
  const py::capsule owner(kept, [](void* pointer) { delete static_cast<torch::Tensor*>(pointer); });
  return py::array_t<T>(kept->sizes().vec(), kept->data_ptr<T>(), owner);
}

void Check(bool holds, const std::string& message) {
  if (!holds) {
    throw py::value_error(message);
  }
}

class Agent {
 public:
  explicit Agent(const std::string& name)
      : run_(pipeline::FindRun(name)), models_(agent::LoadAgentModels(run_)) {}

  agent::AgentModels models() const { return models_; }
  const agent::AgentOptions& options() const { return models_->options(); }
  std::string run() const { return run_.string(); }
  const world_model::Steps& beginnings() {
    if (!beginnings_) {
      beginnings_ = agent::ReadBeginnings(models_, run_);
    }
    return *beginnings_;
  }

  void CheckActions(const torch::Tensor& actions) const {
    Check(actions.numel() == 0 || (actions.min().item<int64_t>() >= 0 &&
                                   actions.max().item<int64_t>() < options().actions),
          "actions are in [0, " + std::to_string(options().actions) + ")");
  }

  py::array_t<int64_t> Tokenize(const Array<uint8_t>& frames) {
    constexpr int kSize = agent::kObservationSize;
    Check(frames.ndim() == 3 && frames.shape(1) == kSize && frames.shape(2) == kSize,
          "frames are of shape (N, 64, 64)");
    const torch::Tensor pixels = View(frames).flatten(1);
    torch::Tensor codes;
    {
      const py::gil_scoped_release released;
      const torch::NoGradGuard no_grad;
      codes = models_->tokenizer->Encode(agent::ToTensor(pixels)).codes;
    }
    return ToArray<int64_t>(codes);
  }

  py::array_t<uint8_t> Decode(const Array<int64_t>& codes) {
    CheckCodes(codes, 3, "(N, P, L)");
    const torch::Tensor view = View(codes);
    torch::Tensor pictures;
    {
      const py::gil_scoped_release released;
      const torch::NoGradGuard no_grad;
      pictures = models_->Pictures(view);
    }
    return ToArray<uint8_t>(pictures);
  }

  py::dict Observe(const Array<int64_t>& codes, const Array<int64_t>& actions) {
    const world_model::Steps steps = Window(codes, actions);
    torch::Tensor features, probabilities, values;
    {
      const py::gil_scoped_release released;
      const torch::NoGradGuard no_grad;
      features = models_->Features(models_->world_model->Observe(steps));
      probabilities = models_->Policy(features).probabilities();
      values = models_->Values(features);
    }
    py::dict result;
    result["features"] = ToArray<float>(features);
    result["probabilities"] = ToArray<float>(probabilities);
    result["values"] = ToArray<float>(values);
    return result;
  }

  py::dict Predict(const Array<int64_t>& codes, const Array<int64_t>& actions) {
    const world_model::Steps steps = Window(codes, actions);
    Check(steps.length() > 1, "a prediction needs at least two steps");
    world_model::Prediction prediction;
    {
      const py::gil_scoped_release released;
      const torch::NoGradGuard no_grad;
      prediction = models_->world_model->Predict(steps, /*from=*/1);
    }
    py::list levels;
    for (const torch::Tensor& logits : prediction.codes) {
      levels.append(ToArray<float>(logits));
    }
    py::dict result;
    result["codes"] = levels;
    result["rewards"] = ToArray<float>(models_->scalars().Value(prediction.outcomes.rewards));
    result["continues"] = ToArray<float>(torch::sigmoid(prediction.outcomes.continues));
    return result;
  }

  std::vector<double> Score(int64_t episodes, uint64_t seed, double temperature) const {
    const py::gil_scoped_release released;
    imagination::Player player(models_.ptr(), temperature);
    const auto factory = [&] { return env::MakeEnvironment(options().game, kProtocol); };
    return evaluation::PlayEpisodes(
               factory, player, {.episodes = episodes, .seed = SeedTree(seed).Stream("evaluate")})
        .Scores();
  }

 private:
  void CheckCodes(const Array<int64_t>& codes, int dimensions, const std::string& shape) const {
    const auto& layout = options().world_model.layout;
    Check(codes.ndim() == dimensions && codes.shape(dimensions - 2) == layout.places &&
              codes.shape(dimensions - 1) == layout.levels,
          "codes are of shape " + shape + " with P = " + std::to_string(layout.places) +
              " and L = " + std::to_string(layout.levels));
    const torch::Tensor view = View(codes);
    for (int64_t level = 0; level < layout.levels && view.numel() > 0; ++level) {
      const torch::Tensor of_level = view.select(-1, level);
      Check(of_level.min().item<int64_t>() >= 0 &&
                of_level.max().item<int64_t>() < layout.codes_of(level),
            "codes of level " + std::to_string(level) + " are in [0, " +
                std::to_string(layout.codes_of(level)) + ")");
    }
  }

  // Steps of one episode.
  world_model::Steps Window(const Array<int64_t>& codes, const Array<int64_t>& actions) const {
    CheckCodes(codes, 4, "(B, T, P, L)");
    const int64_t windows = codes.shape(0), length = codes.shape(1);
    const auto& world = options().world_model;
    Check(length <= world.max_steps,
          "the world model reads at most " + std::to_string(world.max_steps) + " steps");
    Check(actions.ndim() == 2 && actions.shape(0) == windows && actions.shape(1) == length,
          "actions are of shape (B, T)");
    const torch::Tensor chosen = View(actions).clone();
    CheckActions(chosen);
    const torch::Tensor own = View(codes).clone();
    const torch::NoGradGuard no_grad;
    torch::Tensor firsts = torch::zeros({windows, length}, torch::kBool);
    firsts.select(1, 0).fill_(true);
    return {.codes = own,
            .values = models_->ValuesOfCodes()(own.flatten(0, 1)).unflatten(0, {windows, length}),
            .previous_actions = chosen.roll(1, 1),
            .firsts = firsts,
            .actions = chosen,
            .rewards = torch::zeros({windows, length}),
            .terminals = torch::zeros({windows, length}, torch::kBool)};
  }

  std::filesystem::path run_;
  agent::AgentModels models_;
  std::optional<world_model::Steps> beginnings_;
};

// B dreams to be stepped through.
class Dream {
 public:
  Dream(std::shared_ptr<Agent> agent, int64_t dreams, uint64_t seed, double temperature)
      : agent_(std::move(agent)), temperature_(temperature), rng_(seed) {
    Check(dreams > 0, "there is at least one dream");
    Reset(dreams, seed);
  }

  void Reset(int64_t dreams, uint64_t seed) {
    rng_ = SeedTree(seed).Generator("python/dream");
    const world_model::Steps& all = agent_->beginnings();
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < dreams; ++i) {
      chosen.push_back(rng_.UniformInt(all.windows()));
    }
    const torch::Tensor rows = torch::tensor(chosen);
    dream_.emplace(
        agent_->models().ptr(),
        world_model::Steps{.codes = all.codes.index_select(0, rows),
                           .values = all.values.index_select(0, rows),
                           .previous_actions = all.previous_actions.index_select(0, rows),
                           .firsts = all.firsts.index_select(0, rows)});
  }

  void ResetOne(int64_t i) {
    Check(i >= 0 && i < dreams(), "no dream " + std::to_string(i));
    const world_model::Steps& all = agent_->beginnings();
    dream_->BeginAnew(i, all, rng_.UniformInt(all.windows()));
  }

  py::tuple Step(const Array<int64_t>& actions) {
    Check(actions.ndim() == 1 && actions.shape(0) == dreams(), "actions are of shape (B)");
    const torch::Tensor chosen = View(actions).clone();
    agent_->CheckActions(chosen);
    agent::LongDream::Step step;
    {
      const py::gil_scoped_release released;
      step = dream_->Play(chosen, temperature_, rng_);
    }
    return py::make_tuple(ToArray<float>(step.rewards), ToArray<float>(step.continues));
  }

  py::array_t<int64_t> Act() {
    torch::Tensor actions;
    {
      const py::gil_scoped_release released;
      const torch::NoGradGuard no_grad;
      std::vector<float> draws;
      for (int64_t i = 0; i < dreams(); ++i) {
        draws.push_back(static_cast<float>(rng_.Uniform()));
      }
      actions = policy::ChooseActions(agent_->models()->Policy(dream_->Features()).probabilities(),
                                      policy::kScoringTemperature, torch::tensor(draws));
    }
    return ToArray<int64_t>(actions);
  }

  py::array_t<uint8_t> Pictures() const {
    torch::Tensor pictures;
    {
      const py::gil_scoped_release released;
      pictures = agent_->models()->Pictures(dream_->codes());
    }
    return ToArray<uint8_t>(pictures);
  }
  py::array_t<int64_t> Codes() const { return ToArray<int64_t>(dream_->codes().clone()); }
  int64_t dreams() const { return dream_->dreams(); }
  double temperature() const { return temperature_; }

 private:
  std::shared_ptr<Agent> agent_;
  double temperature_;
  Rng rng_;
  std::optional<agent::LongDream> dream_;
};

// A Gymnasium environment with image observations and discrete actions, as a game. The program
// calls it from threads of its own.
class PythonGame : public env::Environment {
 public:
  PythonGame(const std::string& name, const std::string& protocol,
             const env::EnvironmentOptions& options, const py::function& make)
      : spec_{name, protocol, {}},
        most_steps_(std::max<int64_t>(1, options.max_frames / env::kFramesPerStep)) {
    game_ = make();
    const auto count = game_.attr("action_space").attr("n").cast<int64_t>();
    const py::object inner = game_.attr("unwrapped");
    if (py::hasattr(inner, "get_action_meanings")) {
      spec_.action_names = inner.attr("get_action_meanings")().cast<std::vector<std::string>>();
    }
    if (std::ssize(spec_.action_names) != count) {
      spec_.action_names.clear();
      for (int64_t action = 0; action < count; ++action) {
        spec_.action_names.push_back(std::to_string(action));
      }
    }
  }
  ~PythonGame() override {
    const py::gil_scoped_acquire held;
    game_ = py::object();
  }

  const env::EnvironmentSpec& spec() const override { return spec_; }

  void Reset(uint64_t seed) override {
    const py::gil_scoped_acquire held;
    const py::tuple first =
        game_.attr("reset")(py::arg("seed") = static_cast<int64_t>(seed % (uint64_t{1} << 31)));
    steps_ = 0;
    over_ = false;
    See(first[0]);
  }

  env::StepResult Step(int action) override {
    HID_CHECK(!over_ && action >= 0 && action < num_actions(), "action {} of {}", action,
              num_actions());
    const py::gil_scoped_acquire held;
    const py::tuple next = game_.attr("step")(action);
    See(next[0]);
    const py::dict info = next[4];
    env::StepResult result{.reward = next[1].cast<float>(),
                           .terminal = next[2].cast<bool>(),
                           .truncated = next[3].cast<bool>() || ++steps_ >= most_steps_,
                           .lives = info.contains("lives") ? info["lives"].cast<int>() : 0};
    over_ = result.terminal || result.truncated;
    return result;
  }

  std::span<const uint8_t, env::kFrameBytes> frame() const override { return frame_; }
  env::Screen screen() const override { return screen_; }
  std::span<const uint8_t, env::kRamBytes> ram() const override { return ram_; }

 private:
  // (H, W), (H, W, 1) or (H, W, 3) u8; of colours the luma of ITU-R BT.601.
  void See(const py::handle& observation) {
    const auto picture = Array<uint8_t>::ensure(observation);
    const bool gray =
        picture && (picture.ndim() == 2 || (picture.ndim() == 3 && picture.shape(2) == 1));
    Check(gray || (picture && picture.ndim() == 3 && picture.shape(2) == 3),
          "a game shows pictures of shape (H, W), (H, W, 1) or (H, W, 3), uint8");
    const auto height = static_cast<int>(picture.shape(0)),
               width = static_cast<int>(picture.shape(1));
    const uint8_t* source = picture.data();
    const auto pixels = static_cast<size_t>(height) * static_cast<size_t>(width);
    if (gray) {
      screen_ = env::ScreenOfGray({source, pixels}, height, width);
    } else {
      screen_ = {.height = height, .width = width, .rgb = {source, source + 3 * pixels}};
      gray_.resize(pixels);
      for (size_t i = 0; i < gray_.size(); ++i) {
        gray_[i] = static_cast<uint8_t>(
            (299 * source[3 * i] + 587 * source[3 * i + 1] + 114 * source[3 * i + 2] + 500) / 1000);
      }
      source = gray_.data();
    }
    if (!resizer_ || height != height_ || width != width_) {
      resizer_.emplace(height, width, env::kFrameSize, env::kFrameSize);
      height_ = height;
      width_ = width;
    }
    resizer_->Resize(source, frame_.data());
  }

  env::EnvironmentSpec spec_;
  int64_t most_steps_, steps_ = 0;
  bool over_ = true;
  py::object game_;
  int height_ = 0, width_ = 0;
  std::optional<env::AreaResizer> resizer_;
  std::vector<uint8_t> gray_;
  env::Screen screen_;
  std::array<uint8_t, env::kFrameBytes> frame_ = {};
  std::array<uint8_t, env::kRamBytes> ram_ = {};
};

// The makers of the games registered from Python, by name. Never destroyed: the interpreter ends
// before static objects do.
std::map<std::string, py::function>& Makers() {
  static auto* const makers = new std::map<std::string, py::function>();
  return *makers;
}

void RegisterGame(const std::string& name, const py::function& make) {
  const bool known = Makers().contains(name);
  const auto names = env::GameNames();
  Check(known || std::find(names.begin(), names.end(), name) == names.end(),
        name + " is a game already");
  Makers()[name] = make;
  if (!known) {
    try {
      env::Register(
          {.name = name,
           .make = [name](const std::string& protocol, const env::EnvironmentOptions& options) {
             const py::gil_scoped_acquire held;
             return std::make_unique<PythonGame>(name, protocol, options, Makers()[name]);
           }});
    } catch (...) {
      Makers().erase(name);
      throw;
    }
  }
}

// While alive, Ctrl-C ends training after a checkpoint. Restores Python's signal handlers.
class Interruptible {
 public:
  Interruptible() {
    for (size_t i = 0; i < kSignals.size(); ++i) {
      ::sigaction(kSignals[i], nullptr, &before_[i]);
    }
    InstallInterruptHandler();
  }
  ~Interruptible() {
    SetInterruptRequested(false);
    for (size_t i = 0; i < kSignals.size(); ++i) {
      ::sigaction(kSignals[i], &before_[i], nullptr);
    }
  }

 private:
  static constexpr std::array<int, 4> kSignals = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  std::array<struct sigaction, 4> before_ = {};
};

void Train(const std::string& preset, const std::filesystem::path& out,
           const std::vector<std::string>& settings, const std::string& command, bool force) {
  const py::gil_scoped_release released;
  const config::Config config =
      config::LoadConfig(config::kOnline, {.preset = preset, .overrides = settings});
  const Interruptible interruptible;
  pipeline::RunAgent(config, {.directory = out, .command = command, .force = force});
}

}  // namespace
}  // namespace hidreamer::python

PYBIND11_MODULE(_core, m) {
  using namespace hidreamer;
  using namespace hidreamer::python;
  InitializeLog(/*verbose=*/false);
  at::set_num_threads(DefaultThreads());

  static auto* const error_type = new py::object(
      py::exception<Error>(m, "Error", PyExc_RuntimeError));  // lives as long as the interpreter
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Interrupted&) {
      PyErr_SetNone(PyExc_KeyboardInterrupt);
    } catch (const Error& error) {
      const std::string hint = error.hint().empty() ? "" : "\nhint: " + error.hint();
      PyErr_SetString(error_type->ptr(), (error.what() + hint).c_str());
    }
  });

  py::class_<Agent, std::shared_ptr<Agent>>(m, "Agent")
      .def(py::init<const std::string&>(), py::arg("run"))
      // Another process loads the run again; copies share the networks.
      .def("__reduce__",
           [](const py::object& self) {
             return py::make_tuple(py::type::of(self), py::make_tuple(self.attr("run")));
           })
      .def("__deepcopy__", [](const py::object& self, const py::dict&) { return self; })
      .def("__repr__", [](const Agent& agent) { return "Agent('" + agent.run() + "')"; })
      .def_property_readonly("run", &Agent::run)
      .def_property_readonly("game", [](const Agent& agent) { return agent.options().game; })
      .def_property_readonly("actions", [](const Agent& agent) { return agent.options().actions; })
      .def_property_readonly("context",
                             [](const Agent& agent) { return agent.options().world_model.context; })
      .def_property_readonly(
          "max_steps", [](const Agent& agent) { return agent.options().world_model.max_steps; })
      .def_property_readonly(
          "places", [](const Agent& agent) { return agent.options().world_model.layout.places; })
      .def_property_readonly("level_codes",
                             [](const Agent& agent) {
                               const auto& layout = agent.options().world_model.layout;
                               std::vector<int64_t> counts;
                               for (int64_t level = 0; level < layout.levels; ++level) {
                                 counts.push_back(layout.codes_of(level));
                               }
                               return counts;
                             })
      .def_property_readonly(
          "options",
          [](const Agent& agent) {
            return py::module_::import("json").attr("loads")(agent.options().ToJson());
          })
      .def("tokenize", &Agent::Tokenize, py::arg("frames"))
      .def("decode", &Agent::Decode, py::arg("codes"))
      .def("observe", &Agent::Observe, py::arg("codes"), py::arg("actions"))
      .def("predict", &Agent::Predict, py::arg("codes"), py::arg("actions"))
      .def("score", &Agent::Score, py::arg("episodes") = 10, py::arg("seed") = 0,
           py::arg("temperature") = policy::kScoringTemperature);

  py::class_<Dream>(m, "Dream")
      .def(py::init<std::shared_ptr<Agent>, int64_t, uint64_t, double>(), py::arg("agent"),
           py::arg("dreams") = 1, py::arg("seed") = 0, py::arg("temperature") = 0.5)
      .def(
          "reset", [](Dream& dream, uint64_t seed) { dream.Reset(dream.dreams(), seed); },
          py::arg("seed"))
      .def("reset_one", &Dream::ResetOne, py::arg("index"))
      .def("step", &Dream::Step, py::arg("actions"))
      .def("act", &Dream::Act)
      .def_property_readonly("pictures", &Dream::Pictures)
      .def_property_readonly("codes", &Dream::Codes)
      .def_property_readonly("temperature", &Dream::temperature)
      .def("__len__", &Dream::dreams);

  m.def("train", &Train, py::arg("preset"), py::arg("out"), py::arg("settings"), py::arg("command"),
        py::arg("force"));
  m.def("register_game", &RegisterGame, py::arg("name"), py::arg("make"));
  m.def("games", [] { return env::ListGames(); });
  m.def("action_names", [](const std::string& game) {
    return env::MakeEnvironment(game, kProtocol)->spec().action_names;
  });
}
