#pragma once
// A node calls its own municipality's duty contact without being asked: an account here looks taken, or suddenly sends to many. No hub and no
// order is needed. Bounded: one call a day about one account; at night only for an account that looks taken, and one night a month.
// What is withheld is written down, audited, and told by day. Life: after Notify. Thread rules: inside a Tx.
#include <string>

#include "app/beacon_node.hpp"
#include "notify/notify.hpp"
#include "store/retention.hpp"

namespace bavn::app {

struct DutyCallOptions {
  std::string municipality_name, zone;
  Language language = Language::da;
  std::int64_t nights_a_month = 1, days_calls = 5;
  unsigned night_from = 22, night_to = 6;  // local hours
};

class DutyCall {
 public:
  DutyCall(notify::Notify& notify, const Catalogue& texts, DutyCallOptions options)
      : notify_(notify), texts_(texts), options_(std::move(options)) {}
  /// How many messages are on their way; 0: it was withheld, or nobody can be reached. Both are rows.
  Result<std::size_t> call(store::Tx& tx, const CallWanted& wanted);
  static store::RetentionRule retention();

 private:
  notify::Notify& notify_;
  const Catalogue& texts_;
  DutyCallOptions options_;
};

}  // namespace bavn::app
