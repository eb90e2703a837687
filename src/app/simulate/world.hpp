#pragma once
// One run: the hub and a node for each connected municipality as they are (tables, streams, notices, correlation, warnings, purge), under a Sim,
// fed by a Traffic; people around them; and what came of it.
// Not in it: TLS and enrolment (nodes know the hub's key), the reading of log lines (facts come as facts), history on disk.
// Life: one run. Thread rules: one thread.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/beacon_hub.hpp"
#include "app/beacon_node.hpp"
#include "app/simulate/mailboxes.hpp"
#include "app/simulate/outcome.hpp"
#include "app/simulate/towns.hpp"
#include "app/simulate/traffic.hpp"
#include "base/sim.hpp"
#include "net/sim.hpp"

namespace bavn::app::simulate {

class World {
 public:
  /// purge_again: after the run every purge is undone and done once more.
  World(const Scenario& scenario, std::uint64_t seed, bool purge_again = false);
  ~World();
  Result<Outcome> run();

 private:
  struct Hub;
  struct Node;
  class Wire;

  Result<void> open_settings();
  Result<void> open_hub();
  Result<void> open_nodes();
  Result<void> hand_out_keys();
  Result<std::unique_ptr<Node>> open_node(std::size_t town);
  Result<void> write_mandate(std::size_t town);
  Result<void> register_exercises();
  void plan_indicators();
  void plan_rogues();
  void plan_away();

  void feed(const Batch& batch);
  void person(std::size_t copy, bool click);
  // People.
  void analyst(std::int64_t campaign);
  void duty_called(std::size_t town, const std::string& account);
  void warned(std::size_t town, const std::string& warning);
  void town_acts(std::size_t town, std::size_t attack, Instant told);
  bool at_work(Instant t) const;
  Instant next_work(Instant t) const;
  Duration draw(const Span& span);

  using Attacks = std::vector<std::size_t>;
  /// Of which attacks it is; none: of something harmless. Several attacks may be one campaign.
  Attacks attacks_of(const correlate::CampaignFacts& facts) const;
  Attacks attacks_of_campaign(std::int64_t campaign);
  bool any_real(const Attacks& attacks) const;
  /// Those and all that share a link, a file or a mailbox with them: who is warned of one is warned of the other.
  Attacks with_kin(Attacks attacks) const;
  void learn_past();
  void measure(Outcome& out);
  std::int64_t in_mailboxes(std::size_t town, std::string_view sender, bool all) const;
  void measure_purges(Outcome& out);
  void purge_again(Outcome& out);
  double spread_model(std::size_t attack, const std::vector<Copy>& copies) const;

  const Scenario& scenario_;
  std::uint64_t seed_;
  const bool purge_again_;
  Towns towns_;
  Traffic traffic_;
  Sim sim_;
  Mailboxes mailboxes_;
  Dice dice_;
  QueueId people_;
  Catalogue texts_ = Catalogue::embedded();
  std::vector<Setting> hub_table_, node_table_;
  std::optional<Settings> hub_settings_, node_settings_;
  std::unique_ptr<Hub> hub_;
  std::vector<std::unique_ptr<Node>> nodes_;                   // by town; null: not connected
  std::map<std::pair<std::size_t, std::string>, int> warned_;  // town, warning: how often it came
  std::vector<Instant> employees_told_;                        // by town; zero: not
  std::vector<std::map<std::size_t, Instant>> told_of_;  // by town: attack -> employees are warned of it from then on
  std::map<std::pair<std::size_t, std::size_t>, bool> acting_;  // town, attack
  std::map<std::string, bool> called_;
  std::map<std::int64_t, bool> looked_at_;
  std::int64_t blocks_refused_ = 0, blocks_taken_ = 0;
  std::map<std::string, std::int64_t> block_reasons_;
  std::map<std::pair<std::string, std::string>, std::string>
      listed_;  // indicators that came in: kind and value -> who says so
};

}  // namespace bavn::app::simulate
