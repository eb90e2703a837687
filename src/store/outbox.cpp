#include "base/log.hpp"
#include "store/core.hpp"

namespace bavn::store {

namespace {
constexpr std::size_t kAtOnce = 100;  // events between two writings of a cursor
constexpr Duration kNoted =
    std::chrono::seconds(1);  // from the moving of a cursor over events of others to its writing down
constexpr Duration kLongestPause = std::chrono::minutes(5);
}  // namespace

void Outbox::add(std::string name, QueueId queue, std::function<Result<void>(const DomainEvent&)> f,
                 std::vector<std::string> kinds) {
  std::string wanted;
  for (const std::string& kind : kinds) wanted += "|" + kind;
  if (!wanted.empty()) wanted += "|";
  consumers_.push_back({.name = std::move(name), .queue = queue, .f = std::move(f), .kinds = std::move(wanted)});
}

void Outbox::start() {
  for (Consumer& c : consumers_) {
    const auto seq = core_.read([&](Reader& r) {
      return r.one<std::int64_t>("SELECT seq FROM consumer WHERE name = :name", {{"name", c.name}});
    });
    if (!seq) {  // without its cursor it would begin at the start
      log::error("outbox_cursor_unread", {{"consumer", c.name}, {"reason", to_string(seq.error())}});
      core_.writer.after(std::chrono::seconds(1), [this] { start(); });
      return;
    }
    if (*seq) c.cursor = std::max(c.cursor, **seq);
    c.written = c.cursor;
  }
  wake();
}

void Outbox::wake() {
  for (Consumer& c : consumers_) pump(c);
}

void Outbox::pump(Consumer& c) {
  if (c.busy) {
    c.again = true;
    return;
  }
  c.busy = true;
  c.again = false;
  core_.handle(c.queue, [this, &c] { deliver(c); });
}

// Nobody else touches c.cursor while it is busy.
void Outbox::deliver(Consumer& c) {
  std::int64_t tip = 0;
  const auto events = core_.read([&](Reader& r) -> Result<std::vector<DomainEvent>> {
    if (c.kinds.empty())
      return r.all<DomainEvent>(
          "SELECT seq, at_us, kind, subject, detail, municipality FROM domain_event "
          "WHERE seq > :seq ORDER BY seq LIMIT :most",
          {{"seq", c.cursor}, {"most", kAtOnce}});
    BAVN_TRY(tip, r.number("SELECT coalesce(max(seq), 0) FROM domain_event"));  // of the same snapshot
    return r.all<DomainEvent>(
        "SELECT seq, at_us, kind, subject, detail, municipality FROM domain_event WHERE seq > :seq AND "
        "(instr(:kinds, '|' || kind || '|') > 0 OR instr(:kinds, '|' || substr(kind, 1, instr(kind, '.')) || '|') > 0) "
        "ORDER BY seq LIMIT :most",
        {{"seq", c.cursor}, {"most", kAtOnce}, {"kinds", c.kinds}});
  });
  std::int64_t cursor = c.cursor;
  bool failed = !events;
  std::string reason = events ? "" : to_string(events.error());
  if (events) {
    for (const DomainEvent& e : *events) {
      if (const auto ok = c.f(e); !ok) {
        failed = true;
        reason = e.kind + ": " + to_string(ok.error());
        break;
      }
      cursor = e.seq;
      core_.tallies.events_delivered.add();
    }
  }
  if (failed) {
    core_.tallies.events_failed.add();
    log::warn("event_not_consumed", {{"consumer", c.name}, {"after", cursor}, {"reason", reason}});
  }
  const bool more = events && events->size() == kAtOnce;
  if (!failed && !more && !c.kinds.empty()) cursor = std::max(cursor, tip);
  // What it does not hear of need not be written down at once: a restart looks over it again.
  const bool heard = events && !events->empty();
  if (!heard) {
    core_.writer.post([this, &c, cursor, failed, more] { settled(c, cursor, failed, more); });
    return;
  }
  write_down(c, cursor, [this, &c, cursor, failed, more] { settled(c, cursor, failed, more); });
}

void Outbox::write_down(Consumer& c, std::int64_t cursor, std::function<void()> then) {
  core_.writer.write(
      [name = c.name, cursor](Tx& tx) -> Result<void> {
        BAVN_CHECK(
            tx.exec("INSERT INTO consumer (name, seq, at_us) VALUES (:name, :seq, :at) "
                    "ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq), at_us = excluded.at_us",
                    {{"name", name}, {"seq", cursor}, {"at", tx.now()}}));
        return {};
      },
      // Not written: it still holds in this process; what a restart delivers again the consumer must bear anyway.
      [&c, cursor, then = std::move(then)](const Result<void>& written) {
        if (written) c.written = cursor;
        then();
      });
}

// A cursor that moved over events of others is written down a little later, once for all of them: who looks at the table (retention,
// doctor, a person) sees no backlog where none is.
void Outbox::note_later(Consumer& c) {
  if (c.noting || c.cursor == c.written) return;
  c.noting = true;
  core_.writer.after(kNoted, [this, &c] {
    c.noting = false;
    if (!c.busy && c.cursor != c.written) write_down(c, c.cursor, [] {});
  });
}

void Outbox::settled(Consumer& c, std::int64_t cursor, bool failed, bool more) {
  c.cursor = cursor;
  c.failures = failed ? c.failures + 1 : 0;
  if (failed) {
    core_.writer.after(pause_after(core_.runtime(), c.failures, kLongestPause), [this, &c] {
      c.busy = false;
      pump(c);
    });
    return;
  }
  c.busy = false;
  note_later(c);
  if (more || c.again) pump(c);
}

}  // namespace bavn::store
