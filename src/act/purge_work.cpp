// What purge does on its queue: rounds, the trace, mailboxes one after the other, Defender in batches. Every step is a row before it is a
// request and after its answer; what a crash leaves half done is told apart by looking (match() in purge_graph.cpp).
#include <fmt/format.h>

#include <algorithm>

#include "act/purge_inner.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace bavn::act {

using namespace std::chrono_literals;

namespace {

constexpr Duration kEarly = 15min;        // a trace's clock and the sender's differ
constexpr Duration kGather = 3s;          // so that Defender is asked for many at once
constexpr Duration kStumble = 30s;        // after trouble with the State
constexpr std::int64_t kBackRounds = 12;  // then what is left is said, and a person goes on
constexpr unsigned kTries = 3;            // of one mailbox and Message-ID in one round
constexpr std::size_t kBatch = 100;       // mails of one remediation

#define BAVN_PURGE_WORK                                                                                          \
  "SELECT id, nr, mailbox, message_id, sender, forward_of, network_id, way, state, item, folder, delivered_us, " \
  "counted_us, round FROM purge_copy "

struct WantRow {
  std::string want;
  std::int64_t round = 0;
};
BOOST_DESCRIBE_STRUCT(WantRow, (), (want, round))

Result<WantRow> want_of(store::Reader& db, const std::string& notice) {
  BAVN_TRY(const auto row, db.one<WantRow>("SELECT want, round FROM purge_case WHERE notice = :n", {{"n", notice}}));
  return row.value_or(WantRow{});
}

Result<void> count(store::Tx& tx, const std::string& notice, std::int64_t round, std::string_view what,
                   std::int64_t n) {
  if (n == 0) return {};
  const std::string sql = fmt::format("UPDATE purge_round SET {0} = {0} + :k WHERE notice = :n AND nr = :r", what);
  BAVN_CHECK(tx.exec(sql, {{"k", n}, {"n", notice}, {"r", round}}));
  return {};
}

/// Where it is now at Microsoft. In the middle of an undo there is still work to do on it.
Result<void> note_moved(store::Tx& tx, const std::string& notice, std::int64_t id, std::string_view item,
                        std::string_view reason) {
  BAVN_TRY(const auto w, want_of(tx, notice));
  BAVN_CHECK(tx.exec(
      "UPDATE purge_copy SET state = 'moved', item = :i, moved_us = :now, reason = :r, due_us = :due WHERE id = :id",
      {{"i", item},
       {"now", tx.now()},
       {"r", reason},
       {"due", w.want == "back" ? std::optional<Instant>(tx.now()) : std::nullopt},
       {"id", id}}));
  return count(tx, notice, w.round, "moved", 1);
}

bool done_well(const GraphReply& r) {
  return r.status >= 200 && r.status < 300;
}

std::string told(const GraphReply& r) {
  if (!r.what.empty()) return r.what;
  return fmt::format("Microsoft answered {} {}", r.status, r.code);
}

std::string_view own_name(const std::vector<std::string>& domains, std::string_view address) {
  const auto domain = domain_of(address);
  return domains.empty() || std::find(domains.begin(), domains.end(), domain) != domains.end() ? address
                                                                                               : std::string_view();
}

}  // namespace

// --- the queue and the State ---

void Purge::Inner::write(store::Unit unit, std::move_only_function<void(Inner&, Result<void>)> then) {
  state.write(std::move(unit), [weak = weak_from_this(), then = std::move(then)](Result<void> done) mutable {
    const auto self = weak.lock();
    if (!self) return;
    // As a timer of no length: whatever waits in the queue, this is not refused.
    self->runtime.after(Duration{0}, self->queue, [weak, then = std::move(then), done = std::move(done)]() mutable {
      if (const auto alive = weak.lock()) then(*alive, std::move(done));
    });
  });
}

void Purge::Inner::send(GraphCall call, std::move_only_function<void(Inner&, GraphReply)> then) {
  ways.ask(std::move(call), [weak = weak_from_this(), then = std::move(then)](GraphReply reply) mutable {
    const auto self = weak.lock();
    if (!self) return;
    self->runtime.after(Duration{0}, self->queue, [weak, then = std::move(then), reply = std::move(reply)]() mutable {
      if (const auto alive = weak.lock()) then(*alive, std::move(reply));
    });
  });
}

void Purge::Inner::start() {
  runtime.after(Duration{0}, queue, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    const auto open = self->state.read([](store::Reader& db) {
      return db.all<std::string>(
          "SELECT notice FROM purge_case WHERE want <> '' OR locate_us IS NOT NULL OR state IN ('waiting', 'asked') "
          "ORDER BY opened_us");
    });
    if (!open) {
      log::error("purge_not_started", {{"reason", to_string(open.error())}});
      return;
    }
    for (const auto& notice : *open) self->drive(notice);
  });
}

void Purge::Inner::drive(std::string notice) {
  if (!driving.insert(notice).second) {
    drive_again.insert(std::move(notice));
    return;
  }
  auto made = std::make_shared<Plan>();
  write(
      [weak = weak_from_this(), notice, made, looking = locating.contains(notice)](store::Tx& tx) -> Result<void> {
        const auto self = weak.lock();
        if (!self) return {};
        BAVN_TRY(*made, self->plan(tx, notice, looking));
        return {};
      },
      [notice, made](Inner& in, Result<void> done) {
        in.driving.erase(notice);
        const bool again = in.drive_again.erase(notice) > 0;
        if (!done) {
          log::warn("purge_stumbled", {{"notice", notice}, {"reason", to_string(done.error())}});
          in.runtime.after(kStumble, in.queue, [weak = in.weak_from_this(), notice] {
            if (const auto self = weak.lock()) self->drive(notice);
          });
          return;
        }
        in.run(notice, std::move(*made));
        if (again) in.drive(notice);
      });
}

Result<Plan> Purge::Inner::plan(store::Tx& tx, const std::string& notice, bool looking) const {
  Plan out;
  BAVN_TRY(auto found, load(tx, notice));
  if (!found) return out;
  CaseRow c = std::move(*found);
  const std::int64_t now = micros(tx.now());
  if (c.state == "asked" && now >= c.ask_until_us) {
    c.code_hash.clear();
    c.locate_us.reset();
    BAVN_CHECK(
        turn(tx, c, "stopped",
             fmt::format("nobody answered until {}: that counts as no", format_time(from_micros(c.ask_until_us)))));
  }
  if ((c.state == "waiting" || c.state == "off") && now >= c.wait_until_us) {
    c.locate_us.reset();
    BAVN_CHECK(turn(tx, c, "stopped", c.state == "off" ? c.why : "nothing more came: " + c.why));
  }
  if (!c.want.empty()) {
    if (c.round_open) {
      BAVN_TRY(const auto due,
               tx.number("SELECT count(*) FROM purge_copy WHERE notice = :n AND due_us IS NOT NULL", {{"n", notice}}));
      if (due == 0 && !c.locate_us) BAVN_CHECK(close_round(tx, c));
    }
    if (!c.want.empty() && !c.round_open && c.next_us <= now) BAVN_CHECK(open_round(tx, c));
  }
  if (c.locate_us && *c.locate_us <= now && !looking) {
    BAVN_TRY(auto ids, tx.all<std::string>("SELECT message_id FROM purge_message WHERE notice = :n ORDER BY message_id",
                                           {{"n", notice}}));
    out.locate = LocateAsk{notice, c.sender, from_micros(c.from_us), from_micros(c.to_us), std::move(ids)};
  }
  if (!c.want.empty()) {
    BAVN_TRY(out.mailboxes, tx.all<std::string>("SELECT mailbox FROM purge_copy WHERE notice = :n AND due_us <= :now "
                                                "AND way = 'mailbox' GROUP BY mailbox ORDER "
                                                "BY min(due_us), mailbox LIMIT :l",
                                                {{"n", notice}, {"now", now}, {"l", 2 * options.at_once + 2}}));
    BAVN_TRY(const auto defender,
             tx.number("SELECT count(*) FROM purge_copy WHERE notice = :n AND due_us <= :now AND way = 'defender'",
                       {{"n", notice}, {"now", now}}));
    out.defender = defender > 0;
  }
  std::optional<std::int64_t> wake_at;
  const auto at = [&](std::int64_t t) {
    if (t > now) wake_at = std::min(wake_at.value_or(t), t);
  };
  if (c.state == "asked") at(c.ask_until_us);
  if (c.state == "waiting" || c.state == "off") at(c.wait_until_us);
  if (c.locate_us) at(*c.locate_us);
  if (!c.want.empty() && !c.round_open) at(c.next_us);
  if (!c.want.empty()) {
    BAVN_TRY(const auto later,
             tx.one<std::int64_t>("SELECT coalesce(min(due_us), 0) FROM purge_copy WHERE notice = :n AND due_us > :now",
                                  {{"n", notice}, {"now", now}}));
    at(later.value_or(0));
  }
  if (wake_at) BAVN_CHECK(tx.set_timer(from_micros(*wake_at), kPurgeTimer, notice));
  return out;
}

Result<void> Purge::Inner::open_round(store::Tx& tx, CaseRow& c) const {
  ++c.round;
  c.round_open = true;
  BAVN_CHECK(tx.exec("INSERT INTO purge_round (notice, nr, what, started_us) VALUES (:n, :r, :w, :now)",
                     {{"n", c.notice}, {"r", c.round}, {"w", c.want}, {"now", tx.now()}}));
  if (c.want == "empty") {
    c.locate_us = micros(tx.now());
    BAVN_CHECK(
        tx.exec("UPDATE purge_copy SET due_us = :now WHERE notice = :n AND state IN ('found', 'failed', 'moving', "
                "'moved', 'gone')",
                {{"now", tx.now()}, {"n", c.notice}}));
  } else {
    BAVN_CHECK(tx.exec(
        "UPDATE purge_copy SET due_us = :now WHERE notice = :n AND state IN ('moved', 'moving', 'undoing', 'back')",
        {{"now", tx.now()}, {"n", c.notice}}));
  }
  return save(tx, c);
}

Result<void> Purge::Inner::close_round(store::Tx& tx, CaseRow& c) const {
  c.round_open = false;
  c.paused.clear();
  BAVN_CHECK(tx.exec("UPDATE purge_round SET ended_us = :now WHERE notice = :n AND nr = :r",
                     {{"now", tx.now()}, {"n", c.notice}, {"r", c.round}}));
  BAVN_TRY(const auto v, Purge::find(tx, c.notice));
  BAVN_TRY(const auto all, Purge::rounds(tx, c.notice));
  const PurgeRound round = all.empty() ? PurgeRound{} : all.back();
  const Duration pause = std::min<Duration>(
      options.recount_longest, options.recount * (std::int64_t{1} << std::min<std::int64_t>(c.pause_step, 20)));
  const std::int64_t now = micros(tx.now());
  if (c.want == "empty") {
    const auto left = v.found + v.failed;
    c.pause_step = round.present > 0 ? 0 : c.pause_step + 1;
    if (round.present == 0 && left == 0 && v.copies > 0) {
      if (c.state == "running") {
        BAVN_TRY(const auto last,
                 tx.number("SELECT coalesce(max(moved_us), 0) FROM purge_copy WHERE notice = :n", {{"n", c.notice}}));
        c.emptied_us = last > 0 ? last : now;
        BAVN_CHECK(turn(tx, c, "emptied",
                        fmt::format("counted again: none of {} copies is in a mailbox", v.copies - v.left_alone)));
        BAVN_CHECK(prove(tx, c, "emptied"));
      }
    } else if (c.state == "emptied") {
      c.emptied_us = 0;
      BAVN_CHECK(turn(tx, c, "running", "more of it came, or came back"));
    }
    if (now >= c.watch_until_us) {
      c.want.clear();
      c.next_us = 0;
      BAVN_CHECK(
          turn(tx, c, "done",
               left == 0 ? "none left" : fmt::format("{} copies could not be moved; see each copy's reason", left)));
      return prove(tx, c, "done");
    }
    c.next_us = std::min(now + pause.count(), c.watch_until_us);
    return save(tx, c);
  }
  BAVN_TRY(const auto open,
           tx.number("SELECT count(*) FROM purge_copy WHERE notice = :n AND state IN ('moved', 'moving', 'undoing')",
                     {{"n", c.notice}}));
  ++c.pause_step;
  const bool counted = round.searched > 0 || v.back == 0;
  if ((open == 0 && counted) || c.pause_step > kBackRounds) {
    c.want.clear();
    c.next_us = 0;
    std::string why = fmt::format("{} copies are back", v.back);
    if (v.lost > 0) why += fmt::format(", {} could not be found any more", v.lost);
    if (open > 0)
      why +=
          fmt::format(", {} could not be put back; see each copy's reason, and try again with bavn purge undo", open);
    BAVN_CHECK(turn(tx, c, "undone", std::move(why)));
    return prove(tx, c, "undone");
  }
  c.next_us = now + pause.count();
  return save(tx, c);
}

void Purge::Inner::run(const std::string& notice, Plan p) {
  if (p.locate && locating.insert(notice).second) {
    const std::size_t asked = p.locate->message_ids.size();
    ways.locate(std::move(*p.locate), [weak = weak_from_this(), notice, asked](Result<Located> located) {
      const auto self = weak.lock();
      if (!self) return;
      auto kept = std::make_shared<Result<Located>>(std::move(located));
      self->write(
          [weak, notice, kept, asked](store::Tx& tx) -> Result<void> {
            const auto in = weak.lock();
            return in ? in->merge(tx, notice, *kept, asked) : Result<void>{};
          },
          [notice](Inner& in, Result<void> done) {
            in.locating.erase(notice);
            if (!done) in.stumbled(notice, {}, done.error());
            else in.drive(notice);
          });
    });
  }
  for (auto& mailbox : p.mailboxes) {
    if (busy.size() >= options.at_once || busy.contains(mailbox)) {
      held_up.insert(notice);
      continue;
    }
    busy.insert(mailbox);
    work(notice, std::move(mailbox));
  }
  if (p.defender) {
    if (busy.contains("defender")) held_up.insert(notice);
    else {
      busy.insert("defender");
      work_defender(notice);
    }
  }
}

void Purge::Inner::finish(const std::string& notice, const std::string& key) {
  busy.erase(key);
  auto waiting = std::exchange(held_up, {});
  waiting.insert(notice);
  for (const auto& n : waiting) drive(n);
}

void Purge::Inner::stumbled(const std::string& notice, const std::string& key, const Error& error) {
  log::warn("purge_stumbled", {{"notice", notice}, {"reason", to_string(error)}});
  runtime.after(kStumble, queue, [weak = weak_from_this(), notice, key] {
    if (const auto self = weak.lock()) self->finish(notice, key);
  });
}

Result<void> Purge::Inner::merge(store::Tx& tx, const std::string& notice, const Result<Located>& located,
                                 std::size_t asked_for) const {
  BAVN_TRY(auto found, load(tx, notice));
  if (!found) return {};
  CaseRow c = std::move(*found);
  const std::int64_t now = micros(tx.now());
  const auto again_in = [&] {
    return now + std::min<Duration>(options.recount_longest,
                                    options.recount * (std::int64_t{1} << std::min<std::int64_t>(c.pause_step, 20)))
                     .count();
  };
  const bool waits = c.state == "waiting" || c.state == "asked" || c.state == "off";
  if (!located) {
    log::warn("purge_trace_not_read", {{"notice", notice}, {"reason", to_string(located.error())}});
    c.why = "the own message trace could not be read: " + located.error().what;
    if (waits) ++c.pause_step;
    c.locate_us = waits ? std::optional(again_in()) : std::nullopt;  // a round asks again by itself
    return save(tx, c);
  }
  BAVN_TRY(const auto ids,
           tx.all<std::string>("SELECT message_id FROM purge_message WHERE notice = :n", {{"n", notice}}));
  const std::set<std::string> asked(ids.begin(), ids.end());
  const auto rule = rule_now(tx.now());
  std::set<std::string> guarded;
  if (rule.mandate) guarded.insert(rule.mandate->protected_accounts.begin(), rule.mandate->protected_accounts.end());
  c.refused = 0;
  const auto own = domains.with([](const auto& d) { return d; });
  for (const auto& place : located->places) {
    const auto id = plain_message_id(place.message_id);
    const auto mailbox = canonical_address(place.mailbox), sender = canonical_address(place.sender);
    if (!id || mailbox.empty()) continue;
    const bool forward = !place.forward_of.empty();
    if (!asked.contains(forward ? place.forward_of : *id)) continue;  // nobody asked for it
    const std::int64_t at = micros(place.at);
    const bool in_time = at >= c.from_us - kEarly.count() && at <= c.to_us + options.watch.count();
    // The notice must agree with the own trace: this sender, this window. A forward is of one of our own people, and looked at in the mailbox.
    const bool fits =
        forward ? !sender.empty() && !own_name(own, sender).empty() && at >= c.from_us : sender == c.sender && in_time;
    if (!fits) {
      ++c.refused;
      continue;
    }
    if (!forward)
      BAVN_CHECK(tx.exec("UPDATE purge_message SET located = 1 WHERE notice = :n AND message_id = :m",
                         {{"n", notice}, {"m", *id}}));
    std::string_view as = "found", reason;
    if (guarded.contains(mailbox)) {
      as = "left";
      reason = "a protected account of the mandate";
    } else if (own_name(own, mailbox).empty()) {
      as = "left";
      reason = "not a mailbox of this municipality";
    }
    const bool due = as == "found" && c.want == "empty";
    BAVN_CHECK(
        tx.exec("INSERT INTO purge_copy (notice, mailbox, message_id, sender, forward_of, network_id, delivered_us, "
                "way, state, reason, due_us) VALUES (:n, "
                ":mb, :m, :s, :f, :net, :at, :way, :state, :r, :due) ON CONFLICT (notice, mailbox, message_id, nr) DO "
                "UPDATE SET network_id = CASE WHEN "
                "network_id = '' THEN :net ELSE network_id END",
                {{"n", notice},
                 {"mb", mailbox},
                 {"m", *id},
                 {"s", sender},
                 {"f", place.forward_of},
                 {"net", to_lower(place.network_id.substr(0, 100))},
                 {"at", place.at},
                 {"way", options.way == "defender" ? "defender" : "mailbox"},
                 {"state", as},
                 {"r", reason},
                 {"due", due ? std::optional<Instant>(tx.now()) : std::nullopt}}));
  }
  c.looked = true;
  c.locate_us.reset();
  if (waits) {
    ++c.pause_step;
    c.locate_us = again_in();  // records of the trace come late
    // Later than that they rarely come; it is looked at now and then, as the mandate may have changed.
    if (now > c.opened_us + options.watch.count()) c.locate_us = now + options.watch.count();
  }
  if (ids.size() > asked_for) c.locate_us = now;  // another part came while this was looked for
  BAVN_CHECK(save(tx, c));
  if (waits) BAVN_CHECK(judge(tx, c));
  return {};
}

// --- one mailbox ---

struct Purge::Inner::MailboxWork {
  std::string notice, mailbox;
  std::vector<std::string> groups;  // Message-IDs
  std::size_t at = 0;
  // the group under way
  std::vector<WorkRow> rows;
  std::string want;
  unsigned tries = 0;
  bool again = false;
  std::string other;  // why a mail that is there is not touched
  std::vector<FoundMail> present, recoverable;
  struct Todo {
    std::int64_t id = 0;
    std::string item, folder;
  };
  std::vector<Todo> todo;
  struct Back {
    WorkRow row;
    bool look = false, to_inbox = false;
    unsigned tries = 0;
  };
  std::vector<Back> back;
};

void Purge::Inner::work(std::string notice, std::string mailbox) {
  auto w = std::make_shared<MailboxWork>();
  w->notice = std::move(notice);
  w->mailbox = std::move(mailbox);
  const auto groups = state.read([&](store::Reader& db) {
    return db.all<std::string>(
        "SELECT message_id FROM purge_copy WHERE notice = :n AND mailbox = :m AND way = 'mailbox' AND due_us <= :now "
        "GROUP BY message_id ORDER BY "
        "message_id",
        {{"n", w->notice}, {"m", w->mailbox}, {"now", runtime.now()}});
  });
  if (!groups) {
    stumbled(w->notice, w->mailbox, groups.error());
    return;
  }
  w->groups = *groups;
  next_group(std::move(w));
}

void Purge::Inner::next_group(std::shared_ptr<MailboxWork> w) {
  if (w->at >= w->groups.size()) {
    finish(w->notice, w->mailbox);
    return;
  }
  const auto want = state.read([&](store::Reader& db) { return want_of(db, w->notice); });
  const auto rows = state.read([&](store::Reader& db) {
    return db.all<WorkRow>(
        BAVN_PURGE_WORK
        "WHERE notice = :n AND mailbox = :m AND message_id = :id AND way = 'mailbox' AND state <> 'left' ORDER BY nr",
        {{"n", w->notice}, {"m", w->mailbox}, {"id", w->groups[w->at]}});
  });
  if (!want || !rows || want->want.empty() || rows->empty()) {
    w->at = w->groups.size();  // stopped meanwhile
    next_group(std::move(w));
    return;
  }
  if (want->want != w->want) w->tries = 0;
  w->want = want->want;
  w->rows = *rows;
  w->present.clear();
  w->recoverable.clear();
  w->todo.clear();
  w->back.clear();
  w->other.clear();
  w->again = false;
  if (w->want == "empty") {
    search(std::move(w));
    return;
  }
  for (const auto& row : w->rows)
    if (row.state == "moved" || row.state == "undoing" || row.state == "moving" || row.state == "back")
      w->back.push_back({row, row.state == "moving" || row.state == "back" || row.item.empty(), false, 0});
  if (!w->back.empty()) {
    back_next(std::move(w));
    return;
  }
  write(  // nothing of it was moved
      [w](store::Tx& tx) -> Result<void> {
        for (const auto& r : w->rows)
          BAVN_CHECK(tx.exec("UPDATE purge_copy SET due_us = NULL WHERE id = :id", {{"id", r.id}}));
        return {};
      },
      [w](Inner& in, Result<void>) { in.group_done(w); });
}

void Purge::Inner::search(std::shared_ptr<MailboxWork> w) {
  const bool forward = !w->rows.front().forward_of.empty();
  auto call = find_mail(w->mailbox, w->groups[w->at], forward);
  send(std::move(call), [w](Inner& in, GraphReply reply) {
    if (!done_well(reply)) {
      in.group_failed(w, reply);
      return;
    }
    auto mails = read_mails(reply.body, w->groups[w->at]);
    if (!mails) {
      in.group_failed(w, {.status = 0, .body = {}, .code = {}, .what = mails.error().what});
      return;
    }
    const auto& row = w->rows.front();
    for (auto& mail : *mails) {
      if (mail.sender != row.sender) {
        w->other = fmt::format("a mail with this Message-ID is there, but from {}",
                               mail.sender.empty() ? "nobody that is said" : mail.sender);
      } else if (!row.forward_of.empty() &&
                 std::find(mail.answers.begin(), mail.answers.end(), row.forward_of) == mail.answers.end()) {
        w->other = "it does not name the mail as what it answers or forwards";
      } else {
        w->present.push_back(std::move(mail));
      }
    }
    std::vector<CopyRow> rows;
    for (const auto& r : w->rows) rows.push_back({r.id, r.nr, r.state, r.item});
    if (needs_recoverable(rows, w->present)) in.look_in_recoverable(w);
    else in.decide(w);
  });
}

void Purge::Inner::look_in_recoverable(std::shared_ptr<MailboxWork> w) {
  send(find_recoverable(w->mailbox, w->groups[w->at]), [w](Inner& in, GraphReply reply) {
    auto mails = done_well(reply) ? read_mails(reply.body, w->groups[w->at])
                                  : Result<std::vector<FoundMail>>(fail(Code::unavailable, told(reply)));
    if (!mails) {
      in.group_failed(w, {.status = reply.status == 404 ? 0 : reply.status,
                          .body = {},
                          .code = reply.code,
                          .what = mails.error().what});
      return;
    }
    w->recoverable = std::move(*mails);
    in.decide(w);
  });
}

void Purge::Inner::decide(std::shared_ptr<MailboxWork> w) {
  std::vector<CopyRow> rows;
  for (const auto& r : w->rows) rows.push_back({r.id, r.nr, r.state, r.item});
  auto todo = std::make_shared<std::vector<MailboxWork::Todo>>();
  write(
      [weak = weak_from_this(), w, m = match(rows, w->present, w->recoverable), todo](store::Tx& tx) -> Result<void> {
        const auto in = weak.lock();
        if (!in) return {};
        BAVN_TRY(auto found, in->load(tx, w->notice));
        if (!found || found->want != "empty") return {};
        CaseRow c = std::move(*found);
        std::int64_t first_time = 0;
        for (const auto& r : w->rows) {
          if (r.round >= c.round) continue;
          ++first_time;
          BAVN_CHECK(tx.exec("UPDATE purge_copy SET round = :r WHERE id = :id", {{"r", c.round}, {"id", r.id}}));
        }
        if (first_time > 0) {
          BAVN_CHECK(count(tx, w->notice, c.round, "searched", first_time));
          BAVN_CHECK(count(tx, w->notice, c.round, "present", static_cast<std::int64_t>(w->present.size())));
        }
        for (const auto& pair : m.moved)
          BAVN_CHECK(
              note_moved(tx, w->notice, pair.row, w->recoverable[pair.mail].item, "found where it was moved to"));
        for (const auto id : m.absent) {
          const bool other = !w->other.empty();
          BAVN_CHECK(set_copy(tx, id, other ? "left" : "gone",
                              other                    ? std::string_view(w->other)
                              : w->recoverable.empty() ? "not in the mailbox"
                                                       : "deleted by its owner before"));
        }
        for (const auto id : m.as_thought)
          BAVN_CHECK(tx.exec("UPDATE purge_copy SET due_us = NULL WHERE id = :id", {{"id", id}}));
        if (m.move.empty()) return {};

        const auto counted = [&](std::int64_t id) {
          const auto row = std::find_if(w->rows.begin(), w->rows.end(), [&](const WorkRow& r) { return r.id == id; });
          return row != w->rows.end() && row->state == "moving" && row->counted_us > 0;
        };
        const auto needed = std::count_if(m.move.begin(), m.move.end(), [&](const auto& p) { return !counted(p.row); });
        BAVN_TRY(auto room, in->room(tx, needed));
        if (room.stop) {
          c.want.clear();
          c.round_open = false;
          c.locate_us.reset();
          c.wait_until_us = micros(tx.now() + in->options.wait);
          BAVN_CHECK(tx.exec("UPDATE purge_copy SET due_us = NULL WHERE notice = :n", {{"n", w->notice}}));
          return in->turn(tx, c, "off", room.why);
        }
        std::int64_t next_nr = 0;
        for (const auto& r : w->rows) next_nr = std::max(next_nr, r.nr + 1);
        bool short_of_room = false;
        for (const auto& pair : m.move) {
          const auto& mail = w->present[pair.mail];
          if (!counted(pair.row)) {
            if (room.copies == 0) {
              short_of_room = true;
              if (pair.row != 0)
                BAVN_CHECK(
                    tx.exec("UPDATE purge_copy SET state = CASE WHEN state = 'gone' THEN 'found' ELSE state END, "
                            "due_us = :later WHERE id = :id",
                            {{"later", room.later}, {"id", pair.row}}));
              continue;  // a new row is made when it is found again
            }
            --room.copies;
          }
          std::int64_t id = pair.row;
          if (id == 0) {
            const auto& like = w->rows.front();
            BAVN_CHECK(
                tx.exec("INSERT INTO purge_copy (notice, mailbox, message_id, nr, sender, forward_of, network_id, "
                        "delivered_us, way, state, counted_us, round) "
                        "VALUES (:n, :mb, :m, :nr, :s, :f, :net, :at, 'mailbox', 'moving', 0, :r)",
                        {{"n", w->notice},
                         {"mb", w->mailbox},
                         {"m", like.message_id},
                         {"nr", next_nr++},
                         {"s", like.sender},
                         {"f", like.forward_of},
                         {"net", like.network_id},
                         {"at", like.delivered_us},
                         {"r", c.round}}));
            id = tx.last_id();
          }
          BAVN_CHECK(tx.exec(
              "UPDATE purge_copy SET state = 'moving', item = :i, folder = :f, reason = '', due_us = :now, counted_us "
              "= CASE WHEN :keep "
              "THEN counted_us ELSE :now END WHERE id = :id",
              {{"i", mail.item}, {"f", mail.folder}, {"now", tx.now()}, {"keep", counted(pair.row)}, {"id", id}}));
          todo->push_back({id, mail.item, mail.folder});
        }
        if (short_of_room && c.paused != room.why) {
          const bool told_already = !c.paused.empty();
          c.paused = room.why;
          BAVN_CHECK(in->save(tx, c));
          if (!told_already) BAVN_CHECK(tx.emit("purge.paused", c.notice, "{}", in->options.municipality));
          // The others need not be searched only to hear the same.
          BAVN_CHECK(tx.exec(
              "UPDATE purge_copy SET due_us = :later WHERE notice = :n AND state = 'found' AND due_us IS NOT NULL",
              {{"later", room.later}, {"n", c.notice}}));
        } else if (!short_of_room && !c.paused.empty()) {
          c.paused.clear();
          BAVN_CHECK(in->save(tx, c));
        }
        return {};
      },
      [w, todo](Inner& in, Result<void> done) {
        if (!done) {
          in.group_failed(w, {.status = 0, .body = {}, .code = {}, .what = to_string(done.error())});
          return;
        }
        w->todo = std::move(*todo);
        std::reverse(w->todo.begin(), w->todo.end());
        in.move_next(w);
      });
}

void Purge::Inner::move_next(std::shared_ptr<MailboxWork> w) {
  if (w->todo.empty()) {
    if (w->again && ++w->tries < kTries) next_group(std::move(w));  // it moved about meanwhile: look again
    else group_done(std::move(w));
    return;
  }
  auto todo = std::move(w->todo.back());
  w->todo.pop_back();
  send(move_mail(w->mailbox, todo.item, kRecoverable), [w, todo](Inner& in, GraphReply reply) {
    const auto item = done_well(reply) ? read_moved(reply.body) : Result<std::string>(fail(Code::not_found, ""));
    if ((done_well(reply) && !item) || reply.status == 404) {
      w->again = true;  // the row says "moving": looking tells what became of it
      in.move_next(w);
      return;
    }
    in.write(
        [weak = in.weak_from_this(), w, todo, reply, item](store::Tx& tx) -> Result<void> {
          const auto self = weak.lock();
          if (!self) return {};
          if (item) return note_moved(tx, w->notice, todo.id, *item, "");
          BAVN_TRY(const auto want, want_of(tx, w->notice));
          BAVN_CHECK(count(tx, w->notice, want.round, "failed", 1));
          const bool unknown = reply.status == 0;
          const auto due = unknown && want.want == "back" ? std::optional<Instant>(tx.now()) : std::nullopt;
          const auto row =
              std::find_if(w->rows.begin(), w->rows.end(), [&](const WorkRow& r) { return r.id == todo.id; });
          if (reply.status == 403 && self->options.way == "auto" && row != w->rows.end() && !row->network_id.empty()) {
            BAVN_CHECK(tx.exec(
                "UPDATE purge_copy SET state = 'found', way = 'defender', reason = :r, due_us = :now WHERE id = :id",
                {{"r", told(reply)}, {"now", tx.now() + kGather}, {"id", todo.id}}));
            return {};
          }
          // Not reached: nobody knows whether it was done. It stays "moving", and the next round looks.
          BAVN_CHECK(
              tx.exec("UPDATE purge_copy SET state = :s, reason = :r, due_us = :due WHERE id = :id",
                      {{"s", unknown ? "moving" : "failed"}, {"r", told(reply)}, {"due", due}, {"id", todo.id}}));
          return {};
        },
        [w](Inner& self, Result<void> done) {
          if (!done) self.group_failed(w, {.status = 0, .body = {}, .code = {}, .what = to_string(done.error())});
          else self.move_next(w);
        });
  });
}

void Purge::Inner::group_failed(std::shared_ptr<MailboxWork> w, const GraphReply& reply) {
  write(
      [weak = weak_from_this(), w, reply](store::Tx& tx) -> Result<void> {
        const auto in = weak.lock();
        if (!in) return {};
        BAVN_TRY(const auto want, want_of(tx, w->notice));
        std::int64_t failed = 0;
        for (const auto& r : w->rows) {
          ++failed;
          if (w->want == "back") {
            BAVN_CHECK(tx.exec("UPDATE purge_copy SET reason = :r, due_us = NULL WHERE id = :id AND due_us IS NOT NULL",
                               {{"r", told(reply)}, {"id", r.id}}));
          } else if (reply.status == 404 && r.state != "moving" && r.state != "moved") {
            BAVN_CHECK(set_copy(tx, r.id, "left",
                                "there is no mailbox of this name in the tenant: a group, or a mailbox elsewhere"));
          } else if (reply.status == 403 && in->options.way == "auto" && !r.network_id.empty() &&
                     (r.state == "found" || r.state == "failed")) {
            BAVN_CHECK(tx.exec(
                "UPDATE purge_copy SET way = 'defender', state = 'found', reason = :r, due_us = :now WHERE id = :id",
                {{"r", told(reply)}, {"now", tx.now() + kGather}, {"id", r.id}}));
          } else {
            // What was moved or is being moved stays so; it only could not be counted this time.
            BAVN_CHECK(
                tx.exec("UPDATE purge_copy SET state = CASE WHEN state IN ('moving', 'moved') THEN state ELSE 'failed' "
                        "END, reason = :r, due_us = "
                        "NULL WHERE id = :id AND state <> 'undoing'",
                        {{"r", told(reply)}, {"id", r.id}}));
          }
        }
        return count(tx, w->notice, want.round, "failed", failed);
      },
      [w](Inner& in, Result<void> done) {
        if (!done) {
          in.stumbled(w->notice, w->mailbox, done.error());
          return;
        }
        in.group_done(w);
      });
}

void Purge::Inner::group_done(std::shared_ptr<MailboxWork> w) {
  if (w->again) {  // it moved about too often: said, and tried again at the next round
    w->again = false;
    group_failed(std::move(w),
                 {.status = 0, .body = {}, .code = {}, .what = "it was moved about while it was being moved"});
    return;
  }
  w->tries = 0;
  ++w->at;
  next_group(std::move(w));
}

// --- and back ---

void Purge::Inner::back_next(std::shared_ptr<MailboxWork> w) {
  const auto direct = std::find_if(w->back.begin(), w->back.end(), [](const auto& b) { return !b.look; });
  if (direct != w->back.end()) {
    auto b = *direct;
    w->back.erase(direct);
    auto go = std::make_shared<bool>(false);
    write(
        [b, w, go](store::Tx& tx) -> Result<void> {
          BAVN_TRY(const auto want, want_of(tx, w->notice));
          if (want.want != "back") return {};
          BAVN_CHECK(tx.exec("UPDATE purge_copy SET state = 'undoing', item = :i WHERE id = :id",
                             {{"i", b.row.item}, {"id", b.row.id}}));
          *go = true;
          return {};
        },
        [w, b, go](Inner& in, Result<void> done) {
          if (!done) return in.group_failed(w, {.status = 0, .body = {}, .code = {}, .what = to_string(done.error())});
          if (!*go) return in.group_done(w);
          const bool inbox = b.to_inbox || b.row.folder.empty();
          in.send(move_mail(w->mailbox, b.row.item, inbox ? std::string_view("inbox") : std::string_view(b.row.folder)),
                  [w, b, inbox](Inner& self, GraphReply reply) mutable {
                    const auto item =
                        done_well(reply) ? read_moved(reply.body) : Result<std::string>(fail(Code::not_found, ""));
                    if ((done_well(reply) && !item) || (reply.status == 404 && b.tries < kTries)) {
                      ++b.tries;
                      if (reply.code.contains("FolderNotFound") || b.tries > 1) b.to_inbox = true;
                      b.look = !reply.code.contains("FolderNotFound");
                      w->back.push_back(std::move(b));
                      return self.back_next(w);
                    }
                    self.write(
                        [w, b, item, reply, inbox](store::Tx& tx) -> Result<void> {
                          BAVN_TRY(const auto want, want_of(tx, w->notice));
                          if (!item) {
                            BAVN_CHECK(count(tx, w->notice, want.round, "failed", 1));
                            BAVN_CHECK(tx.exec("UPDATE purge_copy SET reason = :r, due_us = NULL WHERE id = :id",
                                               {{"r", told(reply)}, {"id", b.row.id}}));
                            return {};
                          }
                          BAVN_CHECK(
                              tx.exec("UPDATE purge_copy SET state = 'back', item = :i, back_us = :now, reason = :r, "
                                      "due_us = NULL WHERE id = :id",
                                      {{"i", *item},
                                       {"now", tx.now()},
                                       {"r", inbox ? "put into the inbox: its folder is gone" : ""},
                                       {"id", b.row.id}}));
                          return count(tx, w->notice, want.round, "moved", 1);
                        },
                        [w](Inner& here, Result<void> noted) {
                          if (!noted)
                            here.group_failed(w,
                                              {.status = 0, .body = {}, .code = {}, .what = to_string(noted.error())});
                          else here.back_next(w);
                        });
                  });
        });
    return;
  }
  if (w->back.empty()) {
    group_done(std::move(w));
    return;
  }
  // Those whose place is not known: look in the mailbox and among what can be recovered.
  send(find_mail(w->mailbox, w->groups[w->at], false), [w](Inner& in, GraphReply reply) {
    auto present = done_well(reply) ? read_mails(reply.body, w->groups[w->at])
                                    : Result<std::vector<FoundMail>>(fail(Code::unavailable, told(reply)));
    if (!present)
      return in.group_failed(w, {.status = 0, .body = {}, .code = reply.code, .what = present.error().what});
    w->present = std::move(*present);
    in.send(find_recoverable(w->mailbox, w->groups[w->at]), [w](Inner& self, GraphReply second) {
      auto held = done_well(second) ? read_mails(second.body, w->groups[w->at])
                                    : Result<std::vector<FoundMail>>(fail(Code::unavailable, told(second)));
      if (!held) return self.group_failed(w, {.status = 0, .body = {}, .code = second.code, .what = held.error().what});
      w->recoverable = std::move(*held);
      auto still = std::make_shared<std::vector<MailboxWork::Back>>();
      self.write(
          [w, still](store::Tx& tx) -> Result<void> {
            still->clear();
            BAVN_TRY(const auto want, want_of(tx, w->notice));
            if (want.want != "back") return {};
            const auto sender = w->rows.front().sender;
            const auto others = [&](const std::string& item) {  // a row that is not looked for names it
              return std::any_of(w->rows.begin(), w->rows.end(), [&](const WorkRow& r) {
                return !r.item.empty() && r.item == item &&
                       std::none_of(w->back.begin(), w->back.end(), [&](const auto& b) { return b.row.id == r.id; });
              });
            };
            std::vector<FoundMail> there_now, held_now;
            for (const auto& m : w->present)
              if (m.sender == sender && !others(m.item)) there_now.push_back(m);
            for (const auto& m : w->recoverable)
              if (m.sender == sender && !others(m.item)) held_now.push_back(m);
            const auto take = [](std::vector<FoundMail>& from, const std::string& item) -> std::optional<FoundMail> {
              auto at = std::find_if(from.begin(), from.end(), [&](const FoundMail& m) { return m.item == item; });
              if (at == from.end()) at = from.begin();
              if (at == from.end()) return std::nullopt;
              auto out = std::move(*at);
              from.erase(at);
              return out;
            };
            for (auto b : w->back) {
              const auto& row = b.row;
              if (row.state == "back") {  // counted again after the undo
                if (row.round < want.round) {
                  BAVN_CHECK(count(tx, w->notice, want.round, "searched", 1));
                  BAVN_CHECK(count(tx, w->notice, want.round, "present", take(there_now, row.item) ? 1 : 0));
                }
                BAVN_CHECK(tx.exec("UPDATE purge_copy SET round = :r, due_us = NULL WHERE id = :id",
                                   {{"r", want.round}, {"id", row.id}}));
                continue;
              }
              // "moving": the crash came before or after Microsoft did it. "undoing": the same on the way back.
              if (const auto there = take(there_now, row.item)) {
                const bool never = row.state == "moving";
                BAVN_CHECK(
                    tx.exec("UPDATE purge_copy SET state = :s, item = :i, back_us = :at, reason = :r, due_us = NULL "
                            "WHERE id = :id",
                            {{"s", never ? "found" : "back"},
                             {"i", there->item},
                             {"at", never ? std::int64_t{0} : micros(tx.now())},
                             {"r", never ? "it was not moved" : ""},
                             {"id", row.id}}));
                if (!never) BAVN_CHECK(count(tx, w->notice, want.round, "moved", 1));
                continue;
              }
              if (const auto held_mail = take(held_now, row.item)) {
                if (row.state == "moving")
                  BAVN_CHECK(tx.exec("UPDATE purge_copy SET moved_us = :now WHERE id = :id",
                                     {{"now", tx.now()}, {"id", row.id}}));
                b.row.item = held_mail->item;
                b.row.state = "undoing";
                b.look = false;
                still->push_back(std::move(b));
                continue;
              }
              BAVN_CHECK(set_copy(
                  tx, row.id, row.state == "moving" ? "gone" : "lost",
                  "not in the mailbox and not among what can be recovered: its owner or a retention rule removed it"));
            }
            return {};
          },
          [w, still](Inner& here, Result<void> done) {
            if (!done)
              return here.group_failed(w, {.status = 0, .body = {}, .code = {}, .what = to_string(done.error())});
            w->back = std::move(*still);
            here.back_next(w);
          });
    });
  });
}

// --- by Defender ---

struct Purge::Inner::DefenderWork {
  std::string notice, want;
  std::vector<WorkRow> rows;
  std::size_t at = 0;
  std::vector<WorkRow> act;  // to be asked for
};

void Purge::Inner::work_defender(std::string notice) {
  auto w = std::make_shared<DefenderWork>();
  w->notice = std::move(notice);
  const auto want = state.read([&](store::Reader& db) { return want_of(db, w->notice); });
  const auto rows = state.read([&](store::Reader& db) {
    return db.all<WorkRow>(
        BAVN_PURGE_WORK
        "WHERE notice = :n AND way = 'defender' AND due_us <= :now AND state <> 'left' ORDER BY id LIMIT :l",
        {{"n", w->notice}, {"now", runtime.now()}, {"l", kBatch}});
  });
  if (!want || !rows || want->want.empty() || rows->empty()) {
    finish(w->notice, "defender");
    return;
  }
  w->want = want->want;
  w->rows = *rows;
  defender_check(std::move(w));
}

void Purge::Inner::defender_check(std::shared_ptr<DefenderWork> w) {
  // What was never asked for needs no look; the trace says it was delivered.
  while (w->at < w->rows.size()) {
    const auto& r = w->rows[w->at];
    const bool fresh = w->want == "empty" ? r.state == "found" || r.state == "failed" : r.state == "moved";
    if (!fresh) break;
    w->act.push_back(r);
    ++w->at;
  }
  if (w->at == w->rows.size()) {
    defender_act(std::move(w));
    return;
  }
  const WorkRow row = w->rows[w->at++];
  const NamedMail mail{row.network_id, row.mailbox};
  send(where_is(mail, from_micros(row.delivered_us)), [w, row, mail](Inner& in, GraphReply reply) {
    const auto place =
        done_well(reply) ? read_place(reply.body, mail) : Result<std::string>(fail(Code::unavailable, told(reply)));
    auto ask = std::make_shared<bool>(false);
    in.write(
        [w, row, place, ask](store::Tx& tx) -> Result<void> {
          *ask = false;
          BAVN_TRY(const auto want, want_of(tx, w->notice));
          if (want.want != w->want) return {};
          if (!place) {
            BAVN_CHECK(tx.exec("UPDATE purge_copy SET reason = :r, due_us = NULL WHERE id = :id",
                               {{"r", place.error().what}, {"id", row.id}}));
            return count(tx, w->notice, want.round, "failed", 1);
          }
          const bool away =
              *place == "deletedFolder" || *place == "quarantine" || *place == "failed" || *place == "dropped";
          const bool listed = !place->empty();
          if (row.round < want.round) {
            BAVN_CHECK(count(tx, w->notice, want.round, "searched", 1));
            BAVN_CHECK(count(tx, w->notice, want.round, "present", listed && !away ? 1 : 0));
            BAVN_CHECK(tx.exec("UPDATE purge_copy SET round = :r WHERE id = :id", {{"r", want.round}, {"id", row.id}}));
          }
          BAVN_CHECK(tx.exec("UPDATE purge_copy SET due_us = NULL WHERE id = :id", {{"id", row.id}}));
          if (!listed) {
            BAVN_CHECK(
                tx.exec("UPDATE purge_copy SET reason = 'Defender does not list it' WHERE id = :id", {{"id", row.id}}));
            return {};
          }
          if (w->want == "empty") {
            if (away && row.state == "moving") return note_moved(tx, w->notice, row.id, "", "");
            *ask = !away;  // not yet, or back again
            return {};
          }
          if (!away && (row.state == "undoing" || row.state == "moving")) {
            BAVN_CHECK(tx.exec(
                "UPDATE purge_copy SET state = :s, back_us = :now, reason = 'put into the inbox' WHERE id = :id",
                {{"s", "back"}, {"now", tx.now()}, {"id", row.id}}));
            return count(tx, w->notice, want.round, "moved", 1);
          }
          *ask = away && row.state != "back";
          return {};
        },
        [w, row, ask](Inner& self, Result<void> done) {
          if (!done) log::warn("purge_stumbled", {{"notice", w->notice}, {"reason", to_string(done.error())}});
          else if (*ask) w->act.push_back(row);
          self.defender_check(w);
        });
  });
}

void Purge::Inner::defender_act(std::shared_ptr<DefenderWork> w) {
  if (w->act.empty()) {
    finish(w->notice, "defender");
    return;
  }
  auto chosen = std::make_shared<std::vector<WorkRow>>();
  write(
      [weak = weak_from_this(), w, chosen](store::Tx& tx) -> Result<void> {
        chosen->clear();
        const auto in = weak.lock();
        if (!in) return {};
        BAVN_TRY(auto found, in->load(tx, w->notice));
        if (!found || found->want != w->want) return {};
        CaseRow c = std::move(*found);
        if (w->want == "back") {
          for (const auto& r : w->act) {
            BAVN_CHECK(tx.exec("UPDATE purge_copy SET state = 'undoing', due_us = :now WHERE id = :id",
                               {{"now", tx.now()}, {"id", r.id}}));
            chosen->push_back(r);
          }
          return {};
        }
        const auto fresh = [](const WorkRow& r) { return !(r.state == "moving" && r.counted_us > 0); };
        BAVN_TRY(auto room, in->room(tx, std::count_if(w->act.begin(), w->act.end(), fresh)));
        if (room.stop) {
          c.want.clear();
          c.round_open = false;
          c.locate_us.reset();
          c.wait_until_us = micros(tx.now() + in->options.wait);
          BAVN_CHECK(tx.exec("UPDATE purge_copy SET due_us = NULL WHERE notice = :n", {{"n", w->notice}}));
          return in->turn(tx, c, "off", room.why);
        }
        bool short_of_room = false;
        for (const auto& r : w->act) {
          if (fresh(r) && room.copies == 0) {
            short_of_room = true;
            BAVN_CHECK(
                tx.exec("UPDATE purge_copy SET due_us = :later WHERE id = :id", {{"later", room.later}, {"id", r.id}}));
            continue;
          }
          if (fresh(r)) --room.copies;
          BAVN_CHECK(
              tx.exec("UPDATE purge_copy SET state = 'moving', due_us = :now, counted_us = CASE WHEN :keep THEN "
                      "counted_us ELSE :now END WHERE id "
                      "= :id",
                      {{"now", tx.now()}, {"keep", !fresh(r)}, {"id", r.id}}));
          chosen->push_back(r);
        }
        const std::string paused = short_of_room ? room.why : std::string();
        if (c.paused != paused) {
          if (c.paused.empty()) BAVN_CHECK(tx.emit("purge.paused", c.notice, "{}", in->options.municipality));
          c.paused = paused;
          BAVN_CHECK(in->save(tx, c));
        }
        return {};
      },
      [w, chosen](Inner& in, Result<void> done) {
        if (!done || chosen->empty()) {
          if (!done) return in.stumbled(w->notice, "defender", done.error());
          return in.finish(w->notice, "defender");
        }
        std::vector<NamedMail> mails;
        for (const auto& r : *chosen) mails.push_back({r.network_id, r.mailbox});
        in.send(remediate(mails, w->want == "empty" ? "softDelete" : "moveToInbox", w->notice),
                [w, chosen](Inner& self, GraphReply reply) {
                  self.write(
                      [w, chosen, reply](store::Tx& tx) -> Result<void> {
                        BAVN_TRY(const auto want, want_of(tx, w->notice));
                        for (const auto& r : *chosen) {
                          // 202 means "accepted": the next round looks whether it was done.
                          const bool refused = !done_well(reply) && reply.status != 0 && w->want == "empty";
                          BAVN_CHECK(tx.exec(
                              "UPDATE purge_copy SET state = CASE WHEN :refused THEN 'failed' ELSE state END, reason = "
                              ":r, due_us = :due WHERE id = "
                              ":id",
                              {{"refused", refused},
                               {"r", done_well(reply) ? std::string("Defender was asked") : told(reply)},
                               {"due", want.want != w->want && !want.want.empty() ? std::optional<Instant>(tx.now())
                                                                                  : std::nullopt},
                               {"id", r.id}}));
                        }
                        return done_well(reply) ? Result<void>{}
                                                : count(tx, w->notice, want.round, "failed",
                                                        static_cast<std::int64_t>(chosen->size()));
                      },
                      [w](Inner& here, Result<void> noted) {
                        if (!noted) here.stumbled(w->notice, "defender", noted.error());
                        else here.finish(w->notice, "defender");
                      });
                });
      });
}

}  // namespace bavn::act
