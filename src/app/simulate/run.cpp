#include "app/simulate/run.hpp"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "app/simulate/towns.hpp"
#include "app/simulate/world.hpp"
#include "base/json_writer.hpp"

namespace bavn::app::simulate {

Result<Outcome> run(const Scenario& scenario, std::uint64_t seed, bool purge_again) {
  return World(scenario, seed, purge_again).run();
}

namespace {

/// f(i) for 0 .. n-1 on `jobs` threads.
void share_out(std::size_t n, unsigned jobs, const std::function<void(std::size_t)>& f) {
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> threads;
  for (unsigned j = 0; j < std::max(1U, jobs); ++j)
    threads.emplace_back([&] {
      for (std::size_t i = next++; i < n; i = next++) f(i);
    });
}

/// One way it could have been.
struct Variant {
  std::string name;
  Scenario scenario;
};

std::vector<Variant> variants_of(const Scenario& s) {
  std::vector<Variant> out;
  const auto add = [&](std::string name, const std::function<void(Scenario&)>& change) {
    Variant v{std::move(name), s};
    v.scenario.expect.clear();
    change(v.scenario);
    out.push_back(std::move(v));
  };
  using std::chrono::minutes;
  using std::chrono::seconds;
  const auto only = [](Scenario& x, std::string_view log, Span late) {
    for (auto& [name, spec] : x.sources.everywhere)
      if (name == "message_trace" || name == "audit_log" || name == "mail_copy" || name == "defender")
        spec.there = false;
    x.sources.everywhere[std::string(log)] = {true, late, 1};
    x.sources.by_size.clear();
    x.sources.by_town.clear();
  };
  // Members' mailboxes that send: with few connected, whether theirs are among them is the whole difference.
  std::vector<std::string> senders;
  std::vector<MunicipalityId> sender_ids;
  {
    const Towns towns(s, s.seed);
    for (const auto& a : s.attacks)
      for (const auto& step : a.steps)
        if (const auto at = step.account.find('@');
            at != std::string::npos && a.real && step.kind == "mail" && step.account.substr(at + 1) != "any")
          if (const auto [town, address] = towns.account(step.account, a.name); town != Towns::kNone) {
            senders.push_back(towns[town].name);
            sender_ids.push_back(towns[town].id);
          }
  }
  const auto all_of = static_cast<int>(Towns(s, s.seed).size());
  add("as the scenario says", [](Scenario&) {});
  add("mail: copies only, under a minute", [&](Scenario& x) { only(x, "mail_copy", {seconds{5}, seconds{50}}); });
  add("mail: message trace only, 5-15 min", [&](Scenario& x) { only(x, "message_trace", {minutes{5}, minutes{15}}); });
  add("mail: audit log only, 30-90 min", [&](Scenario& x) { only(x, "audit_log", {minutes{30}, minutes{90}}); });
  for (const auto& [log, spec] : s.sources.everywhere)
    if (spec.there)
      add(fmt::format("without {}", log), [gone = log](Scenario& x) {
        x.sources.everywhere[gone].there = false;
        for (auto* plans : {&x.sources.by_size, &x.sources.by_town})
          for (auto& [name, own] : *plans) own.erase(gone);
      });
  add("no mandate: people empty mailboxes", [](Scenario& x) { x.purge.mandate = {}; });
  add("every municipality has a mandate", [](Scenario& x) {
    x.purge.mandate = {};
    x.purge.mandate.all = true;
  });
  add("digests: people are asked first", [](Scenario& x) { x.reveal = "ask"; });
  for (const int n : {2, 3, 5})
    add(fmt::format("candidates from {} municipalities", n), [n](Scenario& x) {
      x.settings["correlate.candidate_municipalities"] = std::to_string(n);
      x.settings["correlate.candidate_member_sender"] = std::to_string(std::min(n, 2));
    });
  for (const int n : {6, 25}) {
    if (n >= all_of) continue;
    add(fmt::format("{} connected, drawn", n), [n](Scenario& x) {
      x.connected = {};
      x.connected.some = n;
    });
    if (sender_ids.empty()) continue;
    add(fmt::format("{} connected, senders among them", n), [&, n](Scenario& x) {
      x.connected = {};
      x.connected.some = n;
      x.connected.ids = sender_ids;
      x.connected.named = senders;
    });
  }
  return out;
}

}  // namespace

Result<std::vector<Outcome>> run_many(const Scenario& scenario, std::uint64_t seed, unsigned runs, unsigned jobs,
                                      const std::function<void(const Outcome&)>& done) {
  std::vector<std::optional<Result<Outcome>>> all(runs);
  std::mutex one_at_a_time;
  share_out(runs, jobs, [&](std::size_t i) {
    auto outcome = run(scenario, seed + i);
    const std::lock_guard lock(one_at_a_time);
    if (outcome) done(*outcome);
    all[i] = std::move(outcome);
  });
  std::vector<Outcome> out;
  for (auto& r : all) {
    if (!*r) return std::unexpected((*r).error());
    out.push_back(std::move(**r));
  }
  return out;
}

Result<std::string> what_if(const Scenario& scenario, std::uint64_t seed, unsigned jobs, bool json) {
  const auto variants = variants_of(scenario);
  std::vector<std::optional<Result<Outcome>>> all(variants.size());
  share_out(variants.size(), jobs, [&](std::size_t i) { all[i] = run(variants[i].scenario, seed); });
  constexpr std::string_view kShown[] = {"minutes_to_notice",
                                         "minutes_to_warning",
                                         "mails_delivered_before_warning",
                                         "clicks_share",
                                         "suspicions",
                                         "candidates",
                                         "false_warnings",
                                         "purged"};
  std::string out;
  JsonWriter w(out);
  if (json) w.object().member("scenario", scenario.name).member("seed", seed).key("what_if").array();
  else
    out = fmt::format("{:38} {:>9} {:>9} {:>12} {:>8} {:>6} {:>7} {:>6} {:>7}\n", scenario.name, "notice", "warning",
                      "mails before", "clicks %", "susp.", "candid.", "false", "purged");
  for (std::size_t i = 0; i < variants.size(); ++i) {
    if (!*all[i]) return std::unexpected((*all[i]).error());
    const Outcome& o = **all[i];
    if (json) {
      w.object().member("variant", variants[i].name);
      for (const auto name : kShown) {
        w.key(name);
        if (const auto v = o.get(name)) w.value(*v);
        else w.null();
      }
      w.end();
    } else {
      const auto cell = [&](std::string_view name, double times = 1) {
        const auto v = o.get(name);
        return v ? fmt::format("{:.1f}", *v * times) : std::string("-");
      };
      out += fmt::format("{:38} {:>9} {:>9} {:>12} {:>8} {:>6} {:>7} {:>6} {:>7}\n", variants[i].name, cell(kShown[0]),
                         cell(kShown[1]), cell(kShown[2]), cell(kShown[3], 100), cell(kShown[4]), cell(kShown[5]),
                         cell(kShown[6]), cell(kShown[7]));
    }
  }
  if (json) w.end().end();
  return out;
}

}  // namespace bavn::app::simulate
