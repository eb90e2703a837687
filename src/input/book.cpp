#include "input/book.hpp"

#include <array>
#include <boost/describe/class.hpp>

#include "base/log.hpp"

namespace bavn::input {

namespace {

constexpr std::array<std::string_view, 5> kStates = {"starting", "working", "waiting", "failing", "off"};
constexpr Duration kStoreEvery = std::chrono::seconds(10);
constexpr std::size_t kMaxText = 1000;  // bytes

SourceState state_from(std::string_view name) {
  for (std::size_t i = 0; i < kStates.size(); ++i)
    if (kStates[i] == name) return static_cast<SourceState>(i);
  return SourceState::off;
}

struct StatusRow {
  std::string source, state, text;
  std::int64_t at_us = 0, since_us = 0, last_success_us = 0, lag_seconds = 0;
  std::string cursor;
};
BOOST_DESCRIBE_STRUCT(StatusRow, (), (source, state, text, at_us, since_us, last_success_us, lag_seconds, cursor))

struct ChangeRow {
  std::int64_t at_us = 0;
  std::string state, text;
};
BOOST_DESCRIBE_STRUCT(ChangeRow, (), (at_us, state, text))

struct RefusedRow {
  std::string source, reason;
  std::int64_t count = 0;
  std::string first;
  std::int64_t first_at_us = 0, last_at_us = 0;
};
BOOST_DESCRIBE_STRUCT(RefusedRow, (), (source, reason, count, first, first_at_us, last_at_us))

void logged(Result<void> stored) {
  if (!stored) log::warn("source_book_not_stored", {{"reason", to_string(stored.error())}});
}

}  // namespace

std::string_view to_string(SourceState state) {
  return kStates[static_cast<std::size_t>(state)];
}

Result<std::unique_ptr<Book>> Book::open(Runtime& runtime, store::State& state) {
  std::unique_ptr<Book> book(new Book(runtime, state));
  BAVN_CHECK(book->load());
  return book;
}

Result<void> Book::load() {
  BAVN_TRY(const auto rows, state_.read([](store::Reader& db) {
    return db.all<StatusRow>(
        "SELECT source, state, text, at_us, since_us, last_success_us, lag_seconds, cursor FROM source_status");
  }));
  BAVN_TRY(const auto refused, state_.read([](store::Reader& db) {
    return db.all<RefusedRow>("SELECT source, reason, count, first, first_at_us, last_at_us FROM source_refused");
  }));
  entries_.with([&](Entries& entries) {
    for (const StatusRow& r : rows) {
      Entry& e = entries[r.source];
      e.status.report = {
          r.source, state_from(r.state), r.text, from_micros(r.at_us), from_micros(r.last_success_us), r.lag_seconds,
          r.cursor};
      e.status.since = from_micros(r.since_us);
      e.stored = from_micros(r.at_us);
    }
    for (const RefusedRow& r : refused)
      entries[r.source].refusals[r.reason] = {r.reason, static_cast<std::uint64_t>(r.count), r.first,
                                              from_micros(r.first_at_us), from_micros(r.last_at_us)};
  });
  return {};
}

void Book::say(SourceReport report) {
  if (report.at == Instant{}) report.at = runtime_.now();
  if (report.text.size() > kMaxText) report.text.resize(kMaxText);
  bool store = false, changed = false;
  const SourceStatus status = entries_.with([&](Entries& entries) {
    Entry& e = entries[report.source];
    SourceStatus& s = e.status;
    changed = s.report.source.empty() || s.report.state != report.state || s.report.text != report.text;
    if (s.report.source.empty() || s.report.state != report.state) s.since = report.at;
    if (report.last_success == Instant{}) report.last_success = s.report.last_success;
    if (report.lag_seconds < 0) report.lag_seconds = s.report.lag_seconds;
    s.report = std::move(report);
    store = changed || s.report.at - e.stored >= kStoreEvery || s.report.at < e.stored;  // the clock may jump back
    if (store) e.stored = s.report.at;
    return s;
  });
  if (!store) return;
  state_.write(
      [status, changed](store::Tx& tx) -> Result<void> {
        const SourceReport& r = status.report;
        BAVN_CHECK(
            tx.exec("INSERT INTO source_status (source, state, text, at_us, since_us, last_success_us, lag_seconds, "
                    "cursor) VALUES (:source, :state, :text, :at, :since, :success, :lag, :cursor) ON CONFLICT "
                    "(source) DO UPDATE SET state = excluded.state, text = excluded.text, at_us = excluded.at_us, "
                    "since_us = excluded.since_us, last_success_us = excluded.last_success_us, lag_seconds = "
                    "excluded.lag_seconds, cursor = excluded.cursor",
                    {{"source", r.source},
                     {"state", to_string(r.state)},
                     {"text", r.text},
                     {"at", r.at},
                     {"since", status.since},
                     {"success", r.last_success},
                     {"lag", r.lag_seconds},
                     {"cursor", r.cursor}}));
        if (!changed) return {};
        BAVN_CHECK(
            tx.exec("INSERT INTO source_change (source, at_us, state, text) VALUES (:source, :at, :state, :text)",
                    {{"source", r.source}, {"at", r.at}, {"state", to_string(r.state)}, {"text", r.text}}));
        BAVN_CHECK(
            tx.exec("DELETE FROM source_change WHERE source = :source AND id <= (SELECT id FROM source_change WHERE "
                    "source = :source ORDER BY id DESC LIMIT 1 OFFSET 1000)",
                    {{"source", r.source}}));
        return {};
      },
      logged);
}

void Book::refused(std::string_view source, std::string_view reason, std::uint64_t count, std::string first) {
  if (count == 0) return;
  if (first.size() > kMaxText) first.resize(kMaxText);
  const Instant now = runtime_.now();
  const bool fresh = entries_.with([&](Entries& entries) {
    auto it = entries.find(source);
    if (it == entries.end()) it = entries.emplace(std::string(source), Entry{}).first;
    SourceRefusal& r = it->second.refusals[std::string(reason)];
    const bool none = r.count == 0;
    if (none) r = {std::string(reason), 0, first, now, now};
    r.count += count;
    r.last_at = now;
    return none;
  });
  if (fresh) log::warn("source_refused", {{"source", source}, {"reason", reason}, {"first", first}});
  state_.write(
      [source = std::string(source), reason = std::string(reason), count, first = std::move(first),
       now](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(
            tx.exec("INSERT INTO source_refused (source, reason, count, first, first_at_us, last_at_us) VALUES "
                    "(:source, :reason, :count, :first, :at, :at) ON CONFLICT (source, reason) DO UPDATE SET count = "
                    "count + excluded.count, last_at_us = excluded.last_at_us",
                    {{"source", source}, {"reason", reason}, {"count", count}, {"first", first}, {"at", now}}));
        return {};
      },
      logged);
}

void Book::retire(const std::string& source) {
  SourceReport r;
  r.source = source;
  r.state = SourceState::off;
  r.text = "not configured any more";
  say(std::move(r));
}

std::vector<SourceStatus> Book::all() const {
  return entries_.with([](const Entries& entries) {
    std::vector<SourceStatus> out;
    for (const auto& [source, e] : entries)
      if (!e.status.report.source.empty()) out.push_back(e.status);
    return out;
  });
}

Result<std::vector<SourceChange>> Book::changes(const std::string& source, std::size_t limit) const {
  BAVN_TRY(const auto rows, state_.read([&](store::Reader& db) {
    return db.all<ChangeRow>(
        "SELECT at_us, state, text FROM source_change WHERE source = :source ORDER BY id DESC LIMIT :limit",
        {{"source", source}, {"limit", limit}});
  }));
  std::vector<SourceChange> out;
  for (const ChangeRow& r : rows) out.push_back({from_micros(r.at_us), state_from(r.state), r.text});
  return out;
}

std::vector<SourceRefusal> Book::refusals(const std::string& source) const {
  return entries_.with([&](const Entries& entries) {
    std::vector<SourceRefusal> out;
    if (const auto it = entries.find(source); it != entries.end())
      for (const auto& [reason, r] : it->second.refusals) out.push_back(r);
    return out;
  });
}

}  // namespace bavn::input
