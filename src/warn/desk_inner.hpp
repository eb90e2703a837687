#pragma once
// What the hub's desk is made of inside; not for other modules. Thread rules: Settings and parts are immutable, everything else is rows.
#include "warn/desk.hpp"

namespace bavn::warn {

struct Desk::Inner {
  DeskParts parts;
  Settings own;  // defaults, when none were given
  Runtime& runtime;
  store::State& state;
  QueueId queue{};

  explicit Inner(DeskParts p);
  const Settings& settings() const { return parts.settings != nullptr ? *parts.settings : own; }

  // desk.cpp
  struct Row;
  Result<Row> row_of(store::Reader& db, std::string_view id) const;
  Result<void> publish(store::Tx& tx, Row& row, std::string_view state, std::string_view who, std::string_view why);
  Result<void> settle(store::Tx& tx, Row& row, std::string_view who);  // a version now, later, or none
  Result<void> remind(store::Tx& tx, const store::Timer& timer);
  Result<void> end(store::Tx& tx, std::string_view id, std::string_view state, std::string_view who,
                   std::string_view why);

  // desk_push.cpp
  Result<void> push(store::Tx& tx, const Row& row, const Case& about, std::string_view state);
  void deliver(const store::Job& job, store::Done done);

  // desk_exposure.cpp
};

struct Desk::Inner::Row {
  std::string id, campaign, state, severity, tlp;
  std::int64_t version = 0;
  std::string about;
  std::optional<std::string> published;
  std::string own_words;
  std::int64_t first_seen_us = 0, drafted_at_us = 0;
  std::optional<std::int64_t> sent_at_us, published_at_us;
  std::int64_t changed_at_us = 0;
};
BOOST_DESCRIBE_STRUCT(Desk::Inner::Row, (),
                      (id, campaign, state, severity, tlp, version, about, published, own_words, first_seen_us,
                       drafted_at_us, sent_at_us, published_at_us, changed_at_us))

/// "w-" and 24 hex digits.
std::string new_id(Runtime& runtime, std::string_view prefix);
/// A note for the audit log: JSON object of one text.
std::string note(std::string_view key, std::string_view value);
/// A person's reason or name: one harmless line.
Result<std::string> line_of(std::string_view text, std::string_view what, std::size_t limit = 300);
event::Tlp tlp_of(std::string_view marking);
/// The entry as nodes get it, cut to what one may hold.
Result<event::WarningEntry> entry_of(const Catalogue& texts, const Desk::Inner::Row& row, const Case& about,
                                     std::string_view state, Instant now,
                                     const std::vector<event::WarningText>& own_words);
Phase phase_of(std::string_view state);

}  // namespace bavn::warn
