// The page's JavaScript against the program: the same weights, beginnings and draws.
#include "hidreamer/pipeline/dream_page.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/temporary_directory.h"
#include "hidreamer/config/load.h"
#include "hidreamer/policy/action_distribution.h"
#include "hidreamer/web/dream_page.h"
#include "hidreamer/web/test_browser.h"

namespace hidreamer::pipeline {
namespace {

using nlohmann::json;
using world_model::Steps;

constexpr int64_t kTracedSteps = 40;  // beyond max_steps

// As dream.js draws: mulberry32, 24 bits.
class PageUniforms {
 public:
  explicit PageUniforms(uint32_t seed) : state_(seed) {}
  float Next() {
    state_ += 0x6D2B79F5;
    uint32_t x = (state_ ^ (state_ >> 15)) * (state_ | 1);
    x ^= x + (x ^ (x >> 7)) * (x | 61);
    return static_cast<float>((x ^ (x >> 14)) >> 8) / (1 << 24);
  }
  torch::Tensor Next(at::IntArrayRef shape) {
    torch::Tensor draws = torch::empty(shape);
    for (int64_t i = 0; i < draws.numel(); ++i) {
      draws.data_ptr<float>()[i] = Next();
    }
    return draws;
  }

 private:
  uint32_t state_;
};

struct PageCase {
  std::string name;
  std::vector<std::string> settings;
};

// A settled world of its own making: no part that begins at zero stays there, all at half
// precision.
agent::AgentModels HalfModels(const PageCase& tested) {
  torch::manual_seed(7);
  const auto config = config::LoadConfig(
      config::kOnline, {.preset = "test", .file = {}, .overrides = tested.settings});
  agent::AgentModels models(agent::OptionsOf(config, 3));
  torch::NoGradGuard no_grad;
  for (auto& item : models->named_parameters()) {
    torch::Tensor& parameter = item.value();
    const bool bare = item.key().find("actor.net.5") == 0 ||
                      item.key().find("outcome_reward") != std::string::npos;
    parameter.add_(torch::randn_like(parameter) * (bare ? 0.3 : 0.02));
    if (item.key() == "world_model.outcome_continue.bias") {
      parameter.add_(3);  // a game that goes on
    }
    parameter.copy_(parameter.to(torch::kHalf));
  }
  for (auto& buffer : models->buffers()) {
    buffer.copy_(buffer.to(torch::kHalf));
  }
  models->tokenizer->named_buffers()["background"].fill_(0.25);
  models->eval();
  return models;
}

Steps RandomStart(agent::AgentModels models) {
  const auto& world = models->options().world_model;
  std::vector<torch::Tensor> levels;
  for (int64_t l = 0; l < world.layout.levels; ++l) {
    levels.push_back(torch::randint(world.layout.codes_of(l), {world.context, world.layout.places},
                                    torch::kLong));
  }
  const auto codes = torch::stack(levels, 2);
  const auto values = models->tokenizer->Values(codes).unsqueeze(0);
  auto firsts = torch::zeros({1, world.context}, torch::kBool);
  firsts[0][0] = true;
  return {.codes = codes.unsqueeze(0),
          .values = values,
          .previous_actions = torch::randint(3, {1, world.context}, torch::kLong),
          .firsts = firsts};
}

// What traceDream of dream.js makes, by the program: rollouts over as many steps as the transformer
// has, each from the last `context` of the one before.
json TraceOf(agent::AgentModels models, Steps history) {
  torch::NoGradGuard no_grad;
  const auto& options = models->options().world_model;
  PageUniforms uniforms(1);
  const int64_t room = options.max_steps - options.context;
  std::unique_ptr<world_model::Rollout> rollout;
  json trace = json::array();
  torch::Tensor values;
  for (int64_t step = 0; step < kTracedSteps; ++step) {
    if (step % room == 0) {
      history = history.Between(history.length() - options.context, history.length());
      rollout = models->world_model->Begin(history, room, models->ValuesOfCodes());
    }
    const auto probabilities = models->Policy(models->Features(rollout->states())).probabilities();
    const auto action =
        policy::ChooseActions(probabilities, policy::kScoringTemperature, uniforms.Next({1}));
    const auto outcomes = rollout->Imagine(
        action, 1, uniforms.Next({1, options.layout.places, options.layout.levels}));
    values = models->tokenizer->Values(rollout->codes());
    history = history.FollowedBy({.codes = rollout->codes().unsqueeze(1),
                                  .values = values.unsqueeze(1),
                                  .previous_actions = action.unsqueeze(1),
                                  .firsts = torch::zeros({1, 1}, torch::kBool)});
    const auto codes = rollout->codes().contiguous();
    trace.push_back({{"action", action.item<int64_t>()},
                     {"codes", std::vector<int64_t>(codes.data_ptr<int64_t>(),
                                                    codes.data_ptr<int64_t>() + codes.numel())},
                     {"reward", models->scalars().Value(outcomes.rewards).item<double>()},
                     {"continues", torch::sigmoid(outcomes.continues).item<double>()}});
  }
  const auto picture = models->tokenizer->Decode(values).contiguous();
  return {{"trace", trace},
          {"picture", std::vector<float>(picture.data_ptr<float>(),
                                         picture.data_ptr<float>() + picture.numel())}};
}

void ExpectSame(const json& page, const json& program) {
  ASSERT_EQ(page["trace"].size(), program["trace"].size());
  for (size_t i = 0; i < program["trace"].size(); ++i) {
    const json &got = page["trace"][i], &wanted = program["trace"][i];
    ASSERT_EQ(got["action"], wanted["action"]) << "step " << i;
    ASSERT_EQ(got["codes"], wanted["codes"]) << "step " << i;
    EXPECT_NEAR(got["reward"].get<double>(), wanted["reward"].get<double>(),
                1e-4 * (1 + std::abs(wanted["reward"].get<double>())))
        << "step " << i;
    EXPECT_NEAR(got["continues"].get<double>(), wanted["continues"].get<double>(), 1e-5);
  }
  ASSERT_EQ(page["picture"].size(), program["picture"].size());
  for (size_t i = 0; i < program["picture"].size(); ++i) {
    ASSERT_NEAR(page["picture"][i].get<double>(), program["picture"][i].get<double>(), 1e-5);
  }
}

// A page with a dream of its own, in a directory that goes with it.
class SharedPage {
 public:
  explicit SharedPage(const PageCase& made)
      : directory_(std::filesystem::path(testing::TempDir()) /
                   fmt::format("hid_dream_page_{}", ::getpid())),
        models_(HalfModels(made)),
        start_(RandomStart(models_)) {
    json dream = DescribeDream(models_, start_, {"STAY", "LEFT", "RIGHT"});
    dream["about"] = {{"game", "catch"}, {"steps", 1000}, {"seed", 1}};
    html_ = web::DreamPage(dream);
  }

  const std::string& html() const { return html_; }
  json Expected() const { return TraceOf(models_, start_); }
  std::filesystem::path Write(const std::string& name, const std::string& text) const {
    WriteFileAtomically(directory_.path() / name, text);
    return directory_.path() / name;
  }
  // The JSON that the page, opened at #`part`, ends up with; "" where nothing can open it.
  std::string InBrowser(const std::string& html, const std::string& part) const {
    const std::string shown = web::PageInBrowser(
        "file://" + Write("dream.html", html).string() + "#" + part, directory_.path() / "profile");
    return shown.empty() ? "" : web::LastPre(shown);
  }

 private:
  TemporaryDirectory directory_;
  agent::AgentModels models_;
  Steps start_;
  std::string html_;
};

class DreamPageOfCase : public testing::TestWithParam<PageCase> {};

TEST_P(DreamPageOfCase, DreamsInNodeAsInTheProgram) {
  const std::string node = web::Installed({"node", "nodejs"});
  if (node.empty()) {
    GTEST_SKIP() << "no node is installed";
  }
  const SharedPage page(GetParam());
  const auto script = page.Write("trace.js", R"(
    const page = require("fs").readFileSync(process.argv[2], "utf8");
    const [, dream, engine] = /id="dream">([^<]*)<\/script>\s*<script>([^]*?)<\/script>/.exec(page);
    console.log(new Function("data", engine + "; return traceDream(data);")(JSON.parse(dream)));)");
  const std::string got = web::OutputOf(fmt::format(
      "{} '{}' '{}'", node, script.string(), page.Write("dream.html", page.html()).string()));
  ExpectSame(json::parse(got), page.Expected());
}

TEST_P(DreamPageOfCase, DreamsInABrowserAsInTheProgram) {
  const SharedPage page(GetParam());
  const std::string got = page.InBrowser(page.html(), "test");
  if (got.empty()) {
    GTEST_SKIP() << "no Chromium is installed";
  }
  ExpectSame(json::parse(got), page.Expected());
}

INSTANTIATE_TEST_SUITE_P(
    Worlds, DreamPageOfCase,
    testing::Values(PageCase{"AsCatchIsLearned", {}},
                    PageCase{"Plain",
                             {"tokenizer.quantizer=rvq", "tokenizer.dim=4", "tokenizer.codes=300",
                              "tokenizer.body=near", "world_model.local_path=false",
                              "world_model.depth_head=false", "world_model.changed_weight=1",
                              "policy.features=hidden"}},
                    PageCase{"CoarseGrid",
                             {"tokenizer.grid=4", "world_model.layers=2", "policy.context=10",
                              "world_model.window=22", "policy.features=codes"}}),
    [](const auto& tested) { return tested.param.name; });

TEST(DreamPageInABrowser, IsPlayedByKeysAndButtons) {
  const SharedPage page(PageCase{});
  std::string html = page.html();
  html.insert(html.rfind("</body>"), R"(<script>
    const told = {}, shown = name => { told[name] = agentPlays ? "agent" : data.actions[dream.action]; };
    const key = (name, type = "keydown", target = document.body) =>
      target.dispatchEvent(new KeyboardEvent(type, {key: name, bubbles: true, cancelable: true}));
    pause(true);
    const begun = dream.steps;  // one or two, as fast as the page was there
    shown("at first");
    key("ArrowLeft"); key("s"); shown("left held");
    key("ArrowLeft", "keyup"); key("s"); shown("let go");
    key("ArrowRight"); key("ArrowRight", "keyup"); key("s"); shown("right tapped");
    key("a"); shown("after A");
    $("actions").children[1].children[0].click(); key("s"); shown("LEFT pressed by a screen reader");
    told["steps"] = dream.steps - begun;
    key("n"); told["steps after N"] = dream.steps;
    dream.continues = 0; end(); key("s"); told["steps after the end"] = dream.steps;
    told["said at the end"] = $("note").textContent;
    key(" ", "keydown", $("once")); told["space on a button plays"] = held.size > 0;
    document.body.replaceChildren(Object.assign(document.createElement("pre"), {textContent: JSON.stringify(told)}));
    </script>)");
  const std::string got = page.InBrowser(html, "");
  if (got.empty()) {
    GTEST_SKIP() << "no Chromium is installed";
  }
  EXPECT_EQ(json::parse(got),
            json({{"at first", "agent"},
                  {"left held", "LEFT"},
                  {"let go", "STAY"},
                  {"right tapped", "RIGHT"},
                  {"after A", "agent"},
                  {"LEFT pressed by a screen reader", "LEFT"},
                  {"steps", 4},
                  {"steps after N", 0},
                  {"steps after the end", 0},
                  {"said at the end", "The dreamed game is over. Score 0.0. N begins a new dream."},
                  {"space on a button plays", false}}));
}

TEST(DescribeDream, RefusesWhatThePageCannotDreamIn) {
  const auto config = config::LoadConfig(
      config::kOnline,
      {.preset = "test",
       .file = {},
       .overrides = {"world_model.kind=token", "tokenizer.grid=2", "policy.context=4",
                     "policy.horizon=4", "world_model.window=8"}});
  agent::AgentModels token(agent::OptionsOf(config, 3));
  EXPECT_THROW(DescribeDream(token, {}, {}), Error);
  agent::AgentModels models = HalfModels(PageCase{});
  torch::NoGradGuard no_grad;
  models->actor->parameters()[2][0][0] = 1e6;
  EXPECT_THROW(DescribeDream(models, RandomStart(models), {"A", "B", "C"}), Error);
}

}  // namespace
}  // namespace hidreamer::pipeline
