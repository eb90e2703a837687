#include "act/purge.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "act/purge_inner.hpp"
#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/local_time.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"

namespace bavn::act {

struct PurgeProofView {
  std::string proof, key, signature;
};
BOOST_DESCRIBE_STRUCT(PurgeProofView, (), (proof, key, signature))

struct SignRow {
  bool own = false;
  std::string group_name, kind;
  std::int64_t at_us = 0;
};
BOOST_DESCRIBE_STRUCT(SignRow, (), (own, group_name, kind, at_us))

struct CountRow {
  std::string state;
  std::int64_t n = 0;
};
BOOST_DESCRIBE_STRUCT(CountRow, (), (state, n))

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kProofPurpose = "bavn purge proof v1";
constexpr std::size_t kMaxPayload = 1 << 20, kMaxIds = 2000, kMaxSigns = 50, kMaxWords = 200;
constexpr Duration kSignAge = 48h;     // design: a takeover sign of the last 48 h
constexpr Duration kOldest = 24h * 7;  // of a window: older mail was read long ago, and the trace is slow there
constexpr Duration kClocks = 10min;    // two machines' clocks
constexpr std::int64_t kCodeTries = 5;

constexpr Setting kSettings[] = {
    {"purge.longest_window_hours",
     Unit::hours,
     std::int64_t{24},
     {1, 168},
     "A notice over a longer time than this is refused: a wave of mail lasts hours, and a wide window is what a wrong "
     "or forged notice would "
     "use.",
     Restart::yes},
    {"purge.wait_hours",
     Unit::hours,
     std::int64_t{48},
     {1, 168},
     "How long a notice without a second sign is kept; a takeover sign counts for 48 hours.",
     Restart::yes},
    {"purge.answer_minutes",
     Unit::minutes,
     std::int64_t{30},
     {2, 1440},
     "How long the duty contact has to answer in mode \"ask\"; no answer is a no. Most clicks come within 90 minutes.",
     Restart::yes},
    {"purge.watch_hours",
     Unit::hours,
     std::int64_t{6},
     {1, 72},
     "How long mailboxes are counted again after a notice last grew: trace records and delayed mail come hours late.",
     Restart::yes},
    {"purge.recount_seconds",
     Unit::seconds,
     std::int64_t{120},
     {5, 3600},
     "Pause before mailboxes are counted again; doubled each time nothing new was found, up to an hour.",
     Restart::yes},
    {"purge.at_once",
     Unit::none,
     std::int64_t{8},
     {1, 64},
     "Mailboxes worked on side by side; Microsoft allows four requests at once in one mailbox, and Bavn makes one.",
     Restart::yes},
    {"purge.most_mails",
     Unit::none,
     std::int64_t{20000},
     {1, 100000},
     "Message-IDs of one notice; more are refused. October 2024 was 791.",
     Restart::yes},
    {"purge.way",
     Unit::none,
     std::string_view("auto"),
     {4, 8},
     "\"mailbox\": moves in the mailbox (Mail.ReadWrite, undo is exact); \"defender\": remediation (where licensed; "
     "undo goes to the inbox); "
     "\"auto\": the second where the first is not permitted.",
     Restart::yes},
};

bool plain_name(std::string_view s) {
  return !s.empty() && s.size() <= 100 && std::all_of(s.begin(), s.end(), [](char c) {
    return ascii_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || std::string_view("-_.:").contains(c);
  });
}

std::string plain_words(std::string_view s) {
  std::string out = repair_utf8(s.substr(0, kMaxWords));
  std::erase_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  return out;
}

bool second_sign_group(std::string_view group) {
  return group == "identity" || group == "payload" || group == "harm";
}

unsigned minute_of(Instant now, const std::string& zone) {
  const auto local = local_time(now, zone);
  BAVN_ASSERT(local.has_value());  // the mandate's zone was checked when it was read
  return local->hour * 60 + local->minute;
}

Result<void> add_sign(store::Tx& tx, std::string_view sender, std::string_view notice, bool own, const event::Sign& s) {
  BAVN_CHECK(
      tx.exec("INSERT INTO purge_sign (sender, notice, own, group_name, kind, at_us, detail) VALUES (:s, :n, :o, :g, "
              ":k, :at, :d) "
              "ON CONFLICT (sender, notice, own, group_name, kind) DO UPDATE SET at_us = max(at_us, :at), detail = :d",
              {{"s", sender},
               {"n", notice},
               {"o", own},
               {"g", s.group},
               {"k", plain_words(s.kind)},
               {"at", s.at_us},
               {"d", plain_words(s.detail)}}));
  return {};
}

}  // namespace

std::span<const Setting> purge_settings() {
  return kSettings;
}

PurgeOptions PurgeOptions::from(const Settings& s) {
  PurgeOptions o;
  o.longest_window = s.duration("purge.longest_window_hours");
  o.wait = s.duration("purge.wait_hours");
  o.answer = s.duration("purge.answer_minutes");
  o.watch = s.duration("purge.watch_hours");
  o.recount = s.duration("purge.recount_seconds");
  o.at_once = static_cast<unsigned>(s.integer("purge.at_once"));
  o.most = static_cast<std::size_t>(s.integer("purge.most_mails"));
  o.way = s.text("purge.way");
  return o;
}

Result<void> set_copy(store::Tx& tx, std::int64_t id, std::string_view state, std::string_view reason) {
  BAVN_CHECK(tx.exec("UPDATE purge_copy SET state = :s, reason = :r, due_us = NULL WHERE id = :id",
                     {{"s", state}, {"r", plain_words(reason)}, {"id", id}}));
  return {};
}

// --- rows ---

Result<std::optional<CaseRow>> Purge::Inner::load(store::Reader& db, std::string_view notice) const {
  return db.one<CaseRow>(
      "SELECT notice, sender, from_us, to_us, said, state, why, paused, want, withdrawn, approved_by, yes, code_hash, "
      "code_tries, ask_until_us, "
      "refused, round, round_open, pause_step, looked, locate_us, next_us, wait_until_us, watch_until_us, opened_us, "
      "changed_us, emptied_us "
      "FROM purge_case WHERE notice = :n",
      {{"n", notice}});
}

Result<void> Purge::Inner::save(store::Tx& tx, CaseRow& c) const {
  c.changed_us = micros(tx.now());
  BAVN_CHECK(
      tx.exec("INSERT INTO purge_case (notice, sender, from_us, to_us, said, state, why, paused, want, withdrawn, "
              "approved_by, yes, code_hash, code_tries, "
              "ask_until_us, refused, round, round_open, pause_step, looked, locate_us, next_us, wait_until_us, "
              "watch_until_us, opened_us, changed_us, "
              "emptied_us) VALUES (:n, :sender, :from, :to, :said, :state, :why, :paused, :want, :withdrawn, :by, "
              ":yes, :hash, :tries, :ask, :refused, "
              ":round, :open, :step, :looked, :locate, :next, :wait, :watch, :opened, :changed, :emptied) "
              "ON CONFLICT (notice) DO UPDATE SET from_us = :from, to_us = :to, said = :said, state = :state, why = "
              ":why, paused = :paused, want = :want, "
              "withdrawn = :withdrawn, approved_by = :by, yes = :yes, code_hash = :hash, code_tries = :tries, "
              "ask_until_us = :ask, refused = :refused, "
              "round = :round, round_open = :open, pause_step = :step, looked = :looked, locate_us = :locate, next_us "
              "= :next, wait_until_us = :wait, "
              "watch_until_us = :watch, changed_us = :changed, emptied_us = :emptied",
              {{"n", c.notice},
               {"sender", c.sender},
               {"from", c.from_us},
               {"to", c.to_us},
               {"said", c.said},
               {"state", c.state},
               {"why", c.why},
               {"paused", c.paused},
               {"want", c.want},
               {"withdrawn", c.withdrawn},
               {"by", c.approved_by},
               {"yes", c.yes},
               {"hash", c.code_hash},
               {"tries", c.code_tries},
               {"ask", c.ask_until_us},
               {"refused", c.refused},
               {"round", c.round},
               {"open", c.round_open},
               {"step", c.pause_step},
               {"looked", c.looked},
               {"locate", c.locate_us},
               {"next", c.next_us},
               {"wait", c.wait_until_us},
               {"watch", c.watch_until_us},
               {"opened", c.opened_us},
               {"changed", c.changed_us},
               {"emptied", c.emptied_us}}));
  return {};
}

Result<void> Purge::Inner::refuse(store::Tx& tx, std::string_view notice, std::string_view why) const {
  const std::string name = plain_name(notice) ? std::string(notice) : std::string("notice");
  std::string detail;
  JsonWriter(detail).object().member("why", why).end();
  log::warn("purge_notice_refused", {{"notice", name}, {"reason", why}});
  BAVN_CHECK(tx.audit({"hub", "purge.refused", name, detail}));
  return tx.emit("purge.refused", name, detail, options.municipality);
}

Result<void> Purge::Inner::turn(store::Tx& tx, CaseRow& c, std::string_view to, std::string why) const {
  c.state = to;
  c.why = std::move(why);
  BAVN_CHECK(save(tx, c));
  BAVN_TRY(const auto view, Purge::find(tx, c.notice));
  std::string detail;
  JsonWriter(detail)
      .object()
      .member("sender", c.sender)
      .member("why", c.why)
      .member("copies", view.copies)
      .member("moved", view.moved)
      .member("left", view.found + view.failed)
      .member("left_alone", view.left_alone)
      .member("gone", view.gone)
      .member("back", view.back)
      .member("emptied_us", view.emptied_us)
      .end();
  BAVN_CHECK(tx.audit({"bavn", fmt::format("purge.{}", to), c.notice, detail}));
  return tx.emit(fmt::format("purge.{}", to), c.notice, detail, options.municipality);
}

Purge::Inner::Rule Purge::Inner::rule_now(Instant now) const {
  // What lies there is read each time; parsing and checking signatures again is left out while not a byte of it changed, for a minute at most.
  std::string bytes;
  for (const std::string& path : {options.mandate.mandate, options.mandate.signature, options.mandate.leader})
    bytes += read_file(runtime.files(), path, 1U << 20U).value_or("") + '\0';
  if (auto known = last_rule.with([&](const LastRule& l) -> std::optional<Rule> {
        const bool same = l.bytes == bytes && now >= l.at && now - l.at < std::chrono::minutes(1);
        return same ? std::optional(l.rule) : std::nullopt;
      }))
    return *known;
  Rule out = rule_anew(now);
  last_rule.with([&](LastRule& l) { l = {std::move(bytes), now, out}; });
  return out;
}

Purge::Inner::Rule Purge::Inner::rule_anew(Instant now) const {
  Rule out;
  auto check = check_mandate(runtime.files(), options.mandate, options.municipality, now);
  if (!check.holds()) {
    const auto first =
        std::find_if(check.findings.begin(), check.findings.end(), [](const auto& f) { return f.blocks; });
    out.why = "no mandate is in force here: " + (first == check.findings.end() ? std::string() : first->what);
    return out;
  }
  const ActionRule* rule = check.mandate->rule("purge");
  if (rule == nullptr || rule->mode == Mode::off) out.why = "the mandate says \"off\" to purge";
  else out.rule = *rule;
  out.mandate = std::move(check.mandate);
  return out;
}

/// What this node saw itself and what nothing harmless does. What the hub sends it has weighed.
bool enough_alone(std::string_view kind) {
  constexpr std::string_view kKinds[] = {"vendor_verdict",  "login_after_click", "sign_in_after_click", "login_form",
                                         "takeover_likely", "takeover_sure",     "person_yes"};
  return std::ranges::find(kKinds, kind) != std::end(kKinds);
}

Result<std::string> Purge::Inner::usable_signs(store::Reader& db, const CaseRow& c, bool own_only) const {
  BAVN_TRY(const auto rows,
           db.all<SignRow>("SELECT own, group_name, kind, at_us FROM purge_sign WHERE sender = :s AND (notice = :n OR "
                           "notice = '') AND at_us >= "
                           ":since ORDER BY id",
                           {{"s", c.sender}, {"n", c.notice}, {"since", c.from_us - kSignAge.count()}}));
  std::string out;
  for (const auto& r : rows) {
    if (!second_sign_group(r.group_name) || (own_only && !r.own)) continue;
    if (r.own && !enough_alone(r.kind)) continue;  // one click or one report is no attack; the hub counts those of all
    out += fmt::format("{}{}: {}{}", out.empty() ? "" : ", ", r.group_name, r.kind, r.own ? " (seen here)" : "");
  }
  return out;
}

Result<Purge::Inner::Room> Purge::Inner::room(store::Tx& tx, std::int64_t wanted) const {
  const auto now = rule_now(tx.now());
  Room out;
  if (!now.why.empty()) {
    out.why = now.why;
    out.stop = true;
    return out;
  }
  const unsigned minute = minute_of(tx.now(), now.mandate->zone);
  if (!now.rule.hours.holds(minute)) {
    unsigned wait = 1;
    while (wait < 1440 && !now.rule.hours.holds((minute + wait) % 1440)) ++wait;
    out.later = tx.now() + std::chrono::minutes(wait);
    out.why = fmt::format("the mandate allows no purge at this hour; it goes on {}", format_time(*out.later));
    return out;
  }
  BAVN_TRY(const auto used,
           tx.number("SELECT count(*) FROM purge_copy WHERE counted_us > :since", {{"since", tx.now() - 1h}}));
  const auto limit = static_cast<std::int64_t>(now.rule.per_hour);
  out.copies = std::clamp<std::int64_t>(limit - used, 0, wanted);
  if (out.copies < wanted) {
    BAVN_TRY(const auto first,
             tx.one<std::int64_t>("SELECT coalesce(min(counted_us), 0) FROM purge_copy WHERE counted_us > :since",
                                  {{"since", tx.now() - 1h}}));
    // A minute more: what was moved within a minute goes on together.
    out.later = std::max(from_micros(first.value_or(0)) + 1h, tx.now()) + 1min;
    out.why = fmt::format("the mandate allows {} copies an hour, and that many were moved; it goes on {}", limit,
                          format_time(*out.later));
  }
  return out;
}

// --- deciding ---

Result<void> Purge::take(store::Tx& tx, std::string_view payload) {
  if (payload.size() > kMaxPayload) return inner_->refuse(tx, "", "the entry is too large");
  const auto ids = net::from_json<event::SenderIds>(payload, net::Unknown::ignore);
  if (!ids) return inner_->refuse(tx, "", "the entry cannot be read: " + to_string(ids.error()));
  return take(tx, *ids);
}

Result<void> Purge::take(store::Tx& tx, const event::SenderIds& ids) {
  auto& in = *inner_;
  const auto no = [&](std::string_view why) { return in.refuse(tx, ids.notice, why); };
  const std::int64_t now = micros(tx.now());
  if (!plain_name(ids.notice)) return no("its id is not of letters, digits and -_.: (at most 100)");
  BAVN_TRY(auto known, in.load(tx, ids.notice));
  if (ids.withdrawn && known) {
    CaseRow c = std::move(*known);
    if (c.withdrawn) return {};
    c.withdrawn = true;
    const bool was_moving = c.want == "empty";
    if (was_moving) {
      c.want.clear();
      c.round_open = false;
      BAVN_CHECK(tx.exec("UPDATE purge_copy SET due_us = NULL WHERE notice = :n", {{"n", c.notice}}));
    }
    c.locate_us.reset();
    c.paused.clear();
    BAVN_TRY(const auto moved,
             tx.number("SELECT count(*) FROM purge_copy WHERE notice = :n AND state IN ('moved', 'moving')",
                       {{"n", c.notice}}));
    const auto rule = in.rule_now(tx.now());
    BAVN_CHECK(in.turn(tx, c, moved > 0 ? "withdrawn" : "stopped",
                       moved > 0 ? "the warning was taken back: it was no attack. What was moved can be put back"
                                 : "the warning was taken back: it was no attack"));
    if (moved > 0 && rule.rule.undo_withdrawn) return in.begin_undo(tx, c, "mandate (the warning was taken back)");
    return in.wake(tx, c.notice);
  }
  if (ids.withdrawn) return {};  // nothing was ever done for it

  const std::string sender = canonical_address(ids.sender);
  if (sender.empty()) return no("its sender is no mail address");
  if (known && known->sender != sender) return no("an earlier part of it named another sender");
  if (known && known->withdrawn) return no("it was withdrawn");
  if (ids.part < 1 || ids.part > 100'000 || ids.mails < 0 || ids.mails > 10'000'000)
    return no("a number in it cannot be right");
  if (ids.message_ids.size() > kMaxIds) return no("it names more than 2000 Message-IDs in one part");
  if (ids.second_signs.size() > kMaxSigns) return no("it names more than 50 signs");
  const std::int64_t from = known ? std::min(known->from_us, ids.from_us) : ids.from_us;
  const std::int64_t to = known ? std::max(known->to_us, ids.to_us) : ids.to_us;
  if (ids.from_us <= 0 || ids.from_us > ids.to_us || to > now + kClocks.count())
    return no("its window of time cannot be right");
  if (to - from > in.options.longest_window.count())
    return no("its window is longer than this node takes (purge.longest_window_hours)");
  if (from < now - kOldest.count()) return no("its window is more than seven days ago");
  std::vector<std::string> plain;
  for (const auto& id : ids.message_ids) {
    auto one = plain_message_id(id);
    if (!one) return no("it names something that is no Message-ID");
    plain.push_back(std::move(*one));
  }
  BAVN_TRY(const auto had, tx.number("SELECT count(*) FROM purge_message WHERE notice = :n", {{"n", ids.notice}}));
  if (static_cast<std::size_t>(had) + plain.size() > in.options.most)
    return no("it names more mails than this node takes (purge.most_mails)");

  const bool fresh = !known;
  CaseRow c = known ? std::move(*known) : CaseRow{};
  if (fresh) {
    c.notice = ids.notice;
    c.sender = sender;
    c.opened_us = now;
    c.wait_until_us = now + in.options.wait.count();
  }
  c.from_us = from;
  c.to_us = to;
  c.said = std::max(c.said, ids.mails);
  std::int64_t added = 0;
  for (const auto& id : plain) {
    BAVN_TRY(const auto n,
             tx.exec("INSERT INTO purge_message (notice, message_id, part) VALUES (:n, :m, :p) ON CONFLICT DO NOTHING",
                     {{"n", c.notice}, {"m", id}, {"p", ids.part}}));
    added += n;
  }
  for (const auto& s : ids.second_signs) {
    if (!second_sign_group(s.group) || s.at_us > now + kClocks.count() || s.at_us < from - kSignAge.count()) continue;
    BAVN_CHECK(add_sign(tx, sender, c.notice, false, s));
  }
  if (ids.takeover) BAVN_CHECK(add_sign(tx, sender, c.notice, false, {"identity", "takeover", now, "said by the hub"}));
  if (added > 0 || fresh) {
    c.locate_us = now;
    c.pause_step = 0;
    if (c.state == "running" || c.state == "emptied" || c.state == "done") {
      c.want = "empty";
      c.watch_until_us = now + in.options.watch.count();
      if (c.state == "done") c.state = "running";
      if (!c.round_open) c.next_us = now;
    }
  }
  if (fresh) {
    BAVN_CHECK(in.turn(tx, c, "waiting", "the own message trace is looked through"));
  } else {
    BAVN_CHECK(in.save(tx, c));
  }
  BAVN_CHECK(in.judge(tx, c));
  return in.wake(tx, c.notice);
}

Result<void> Purge::own_sign(store::Tx& tx, std::string_view sender, const event::Sign& sign) {
  const std::string address = canonical_address(sender);
  if (address.empty() || !second_sign_group(sign.group)) return {};  // no sign that a purge may rest on
  BAVN_CHECK(tx.exec("DELETE FROM purge_sign WHERE notice = '' AND at_us < :old", {{"old", tx.now() - 2 * kSignAge}}));
  BAVN_CHECK(add_sign(tx, address, "", true, sign));
  BAVN_TRY(
      const auto cases,
      tx.all<std::string>("SELECT notice FROM purge_case WHERE sender = :s AND state = 'waiting'", {{"s", address}}));
  for (const auto& notice : cases) {
    BAVN_TRY(auto c, inner_->load(tx, notice));
    if (!c) continue;
    BAVN_CHECK(inner_->judge(tx, *c));
    BAVN_CHECK(inner_->wake(tx, notice));
  }
  return {};
}

Result<void> Purge::Inner::judge(store::Tx& tx, CaseRow& c) const {
  if (c.state != "waiting" && c.state != "off") return {};
  if (!c.looked) return {};  // first what it is about: a question says how many mailboxes
  const auto say = [&](std::string_view to, std::string why) -> Result<void> {
    if (c.state == to && c.why == why) return save(tx, c);
    if (c.state == to) {
      c.why = std::move(why);
      return save(tx, c);
    }
    return turn(tx, c, to, std::move(why));
  };
  const auto now = rule_now(tx.now());
  if (!now.why.empty()) return say("off", now.why);
  BAVN_TRY(const auto signs, usable_signs(tx, c, now.rule.own_signs_only));
  BAVN_TRY(const auto copies, tx.number("SELECT count(*) FROM purge_copy WHERE notice = :n", {{"n", c.notice}}));
  if (copies == 0) return say("waiting", "none of its mails is in the own message trace so far");
  if (c.yes) return begin(tx, c, "yes from here: " + c.approved_by);
  const bool ordered = !c.approved_by.empty();
  if (now.rule.mode == Mode::act && ordered) return begin(tx, c, "ordered by " + c.approved_by);
  if (now.rule.mode == Mode::act && !signs.empty()) return begin(tx, c, "second sign: " + signs);
  if (signs.empty() && !ordered)
    return say("waiting", "no second sign so far; a yes from here would do: bavn purge yes");
  // Mode "ask".
  if (c.ask_until_us > 0) return say("waiting", "asked already");
  std::string bytes(5, '\0');
  runtime.random(std::as_writable_bytes(std::span(bytes)));
  const std::string code = to_base32(bytes);
  c.ask_until_us = micros(tx.now() + options.answer);
  c.code_hash = to_hex(sha256(c.notice + "\n" + code));
  c.code_tries = 0;
  BAVN_TRY(const auto mailboxes,
           tx.number("SELECT count(DISTINCT mailbox) FROM purge_copy WHERE notice = :n", {{"n", c.notice}}));
  const std::string reason = ordered ? "ordered by " + c.approved_by : "second sign: " + signs;
  std::vector<std::string> because;
  for (const auto* group : {"identity", "payload", "harm"})
    if (signs.contains(std::string(group) + ": ")) because.push_back(group);
  if (ordered) because.push_back("ordered");
  const auto sent = ways.ask_duty
                        ? ways.ask_duty(tx, {c.notice, c.sender, code, because, mailboxes, from_micros(c.ask_until_us)})
                        : Result<std::size_t>(fail(Code::unavailable, "nobody can be asked here"));
  if (!sent || *sent == 0) {
    c.ask_until_us = 0;
    c.code_hash.clear();
    return say("waiting",
               fmt::format("the duty contact could not be asked ({}); a yes at this machine would do: bavn purge yes",
                           sent ? "no way to reach anybody" : sent.error().what));
  }
  return turn(tx, c, "asked", fmt::format("{}; asked until {}", reason, format_time(from_micros(c.ask_until_us))));
}

Result<void> Purge::Inner::begin(store::Tx& tx, CaseRow& c, std::string why) const {
  c.want = "empty";
  c.round_open = false;
  c.next_us = micros(tx.now());
  c.pause_step = 0;
  c.ask_until_us = 0;
  c.code_hash.clear();
  c.paused.clear();
  c.watch_until_us = micros(tx.now() + options.watch);
  BAVN_CHECK(turn(tx, c, "running", std::move(why)));
  return wake(tx, c.notice);
}

Result<void> Purge::Inner::begin_undo(store::Tx& tx, CaseRow& c, std::string_view who) const {
  c.want = "back";
  c.round_open = false;
  c.locate_us.reset();
  c.next_us = micros(tx.now());
  c.pause_step = 0;
  c.paused.clear();
  BAVN_CHECK(tx.exec("UPDATE purge_copy SET due_us = NULL WHERE notice = :n", {{"n", c.notice}}));
  BAVN_CHECK(turn(tx, c, "undoing", fmt::format("asked for by {}", who)));
  return wake(tx, c.notice);
}

Result<std::string> Purge::order(store::Tx& tx, std::string_view target, const std::vector<std::string>& people,
                                 std::string_view order_id) {
  constexpr std::string_view prefix = "notice:";
  const auto name = trim(target);
  if (!name.starts_with(prefix))
    return fail(Code::bad_input, "the target of a purge is \"notice:\" and the id of a notice");
  const auto notice = name.substr(prefix.size());
  BAVN_TRY(auto c, inner_->load(tx, notice));
  if (!c)
    return fail(Code::not_found, fmt::format("this node knows no notice \"{}\"", repair_utf8(notice.substr(0, 100))));
  if (c->withdrawn) return fail(Code::conflict, "this notice was withdrawn");
  if (c->state != "waiting" && c->state != "off" && c->state != "asked" && c->state != "stopped")
    return fmt::format("the case of this notice is \"{}\" already", c->state);
  std::string names;
  for (const auto& p : people) names += (names.empty() ? "" : " and ") + p;
  c->approved_by = fmt::format("{} ({})", names, order_id);
  if (c->state == "asked") {
    BAVN_CHECK(inner_->save(tx, *c));
    return "the duty contact here was asked and has not answered yet";
  }
  if (c->state == "stopped") c->ask_until_us = 0;
  c->state = "waiting";
  if (!c->looked) c->locate_us = micros(tx.now());
  c->wait_until_us = micros(tx.now() + inner_->options.wait);
  BAVN_CHECK(inner_->save(tx, *c));
  BAVN_CHECK(inner_->judge(tx, *c));
  BAVN_CHECK(inner_->wake(tx, c->notice));
  return fmt::format("purge of {}: {} ({})", c->notice, c->state, c->why);
}

Result<bool> Purge::answer(store::Tx& tx, std::string_view notice, bool yes, std::string_view who,
                           std::string_view code) {
  auto& in = *inner_;
  BAVN_TRY(auto c, in.load(tx, notice));
  if (!c) return fail(Code::not_found, fmt::format("there is no notice \"{}\"", repair_utf8(notice.substr(0, 100))));
  if (!code.empty()) {
    if (c->code_hash.empty() || micros(tx.now()) >= c->ask_until_us)
      return fail(Code::forbidden, "nothing is asked now");
    const auto given = from_base32(code);
    const bool right = given && same_secret(to_hex(sha256(c->notice + "\n" + to_base32(*given))), c->code_hash);
    if (!right) {
      if (++c->code_tries >= kCodeTries) {
        c->code_hash.clear();
        c->ask_until_us = 0;
        BAVN_CHECK(in.turn(tx, *c, "stopped",
                           "the code was guessed at; a yes counts at this machine only now: bavn purge yes"));
        return false;
      }
      c->why = fmt::format("a wrong code was given {} times", c->code_tries);
      BAVN_CHECK(in.save(tx, *c));
      return false;
    }
    c->code_hash.clear();  // once
  }
  if (c->withdrawn && yes) return fail(Code::conflict, "this notice was withdrawn: nothing is moved for it");
  const std::string name = plain_words(who);
  std::string detail;
  JsonWriter(detail).object().member("yes", yes).end();
  BAVN_CHECK(tx.audit({name, "purge.answer", c->notice, detail}));
  if (!yes) {
    if (c->state == "undoing" || c->state == "undone") return fail(Code::conflict, "it is undone already");
    c->want.clear();
    c->round_open = false;
    c->locate_us.reset();
    c->ask_until_us = 0;
    c->yes = false;
    BAVN_CHECK(tx.exec("UPDATE purge_copy SET due_us = NULL WHERE notice = :n", {{"n", c->notice}}));
    BAVN_CHECK(in.turn(tx, *c, "stopped", "no: " + name));
    BAVN_CHECK(in.wake(tx, c->notice));
    return true;
  }
  if (c->state != "waiting" && c->state != "asked" && c->state != "stopped" && c->state != "off")
    return fail(Code::conflict, fmt::format("it is \"{}\" already", c->state));
  const auto rule = in.rule_now(tx.now());
  if (!rule.why.empty()) return fail(Code::forbidden, rule.why);
  c->yes = true;
  c->approved_by = c->approved_by.empty() ? name : c->approved_by + "; " + name;
  c->state = "waiting";
  c->ask_until_us = 0;
  c->wait_until_us = micros(tx.now() + in.options.wait);
  if (!c->looked) c->locate_us = micros(tx.now());
  BAVN_CHECK(in.save(tx, *c));
  BAVN_CHECK(in.judge(tx, *c));
  BAVN_CHECK(in.wake(tx, c->notice));
  return true;
}

Result<void> Purge::undo(store::Tx& tx, std::string_view notice, std::string_view who) {
  BAVN_TRY(auto c, inner_->load(tx, notice));
  if (!c) return fail(Code::not_found, fmt::format("there is no notice \"{}\"", repair_utf8(notice.substr(0, 100))));
  if (c->want == "back") return fail(Code::conflict, "it is being undone");
  BAVN_TRY(const auto moved,
           tx.number("SELECT count(*) FROM purge_copy WHERE notice = :n AND state IN ('moved', 'moving', 'undoing')",
                     {{"n", notice}}));
  if (moved == 0) return fail(Code::conflict, "nothing of it was moved: there is nothing to put back");
  BAVN_CHECK(tx.audit({plain_words(who), "purge.undo", c->notice, "{}"}));
  return inner_->begin_undo(tx, *c, plain_words(who));
}

Result<void> Purge::redo(store::Tx& tx, std::string_view notice, std::string_view who) {
  auto& in = *inner_;
  BAVN_TRY(auto c, in.load(tx, notice));
  if (!c) return fail(Code::not_found, fmt::format("there is no notice \"{}\"", repair_utf8(notice.substr(0, 100))));
  if (c->state != "undone" && c->state != "undoing" && c->state != "stopped" && c->state != "withdrawn" &&
      c->state != "done")
    return fail(Code::conflict, fmt::format("it is \"{}\": there is nothing to do again", c->state));
  const auto rule = in.rule_now(tx.now());
  if (!rule.why.empty()) return fail(Code::forbidden, rule.why);
  BAVN_CHECK(tx.audit({plain_words(who), "purge.redo", c->notice, "{}"}));
  // The mandate's limit counts copies of the last hour: one that is moved again in it is still one.
  BAVN_CHECK(
      tx.exec("UPDATE purge_copy SET state = 'found', reason = '' WHERE notice = :n AND state IN ('back', 'lost')",
              {{"n", c->notice}}));
  c->withdrawn = false;
  c->yes = true;
  c->approved_by = plain_words(who);
  c->emptied_us = 0;
  return in.begin(tx, *c, fmt::format("again, by {}", who));
}

// --- reading ---

namespace {

Result<void> fill(store::Reader& db, PurgeCase& c) {
  BAVN_TRY(const auto counts,
           db.all<CountRow>("SELECT state, count(*) AS n FROM purge_copy WHERE notice = :n GROUP BY state",
                            {{"n", c.notice}}));
  for (const auto& row : counts) {
    c.copies += row.n;
    if (row.state == "found" || row.state == "moving") c.found += row.n;
    else if (row.state == "moved" || row.state == "undoing") c.moved += row.n;
    else if (row.state == "gone") c.gone += row.n;
    else if (row.state == "left") c.left_alone += row.n;
    else if (row.state == "failed") c.failed += row.n;
    else if (row.state == "back") c.back += row.n;
    else if (row.state == "lost") c.lost += row.n;
  }
  BAVN_TRY(c.message_ids, db.number("SELECT count(*) FROM purge_message WHERE notice = :n", {{"n", c.notice}}));
  BAVN_TRY(c.located,
           db.number("SELECT count(*) FROM purge_message WHERE notice = :n AND located = 1", {{"n", c.notice}}));
  BAVN_TRY(c.mailboxes,
           db.number("SELECT count(DISTINCT mailbox) FROM purge_copy WHERE notice = :n", {{"n", c.notice}}));
  BAVN_TRY(c.rounds,
           db.number("SELECT count(*) FROM purge_round WHERE notice = :n AND ended_us > 0", {{"n", c.notice}}));
  BAVN_TRY(c.first_moved_us,
           db.number("SELECT coalesce(min(moved_us), 0) FROM purge_copy WHERE notice = :n AND moved_us > 0",
                     {{"n", c.notice}}));
  BAVN_TRY(const auto ways, db.all<std::string>("SELECT DISTINCT way FROM purge_copy WHERE notice = :n ORDER BY way",
                                                {{"n", c.notice}}));
  for (const auto& w : ways) c.way += (c.way.empty() ? "" : " and ") + w;
  BAVN_TRY(const auto signs,
           db.all<SignRow>(
               "SELECT own, group_name, kind, at_us FROM purge_sign WHERE sender = :s AND (notice = :n OR notice = '') "
               "AND at_us >= :since ORDER BY id",
               {{"s", c.sender}, {"n", c.notice}, {"since", c.from_us - kSignAge.count()}}));
  for (const auto& s : signs)
    c.signs +=
        fmt::format("{}{}: {}{}", c.signs.empty() ? "" : ", ", s.group_name, s.kind, s.own ? " (seen here)" : "");
  return {};
}

struct HeadRow {
  std::string notice, sender, state, why, paused, approved_by;
  std::int64_t from_us = 0, to_us = 0, opened_us = 0, changed_us = 0, said = 0, refused = 0, emptied_us = 0,
               watch_until_us = 0, ask_until_us = 0, next_us = 0;
};
BOOST_DESCRIBE_STRUCT(HeadRow, (),
                      (notice, sender, state, why, paused, approved_by, from_us, to_us, opened_us, changed_us, said,
                       refused, emptied_us, watch_until_us, ask_until_us, next_us))

Result<PurgeCase> case_of(store::Reader& db, HeadRow row) {
  PurgeCase c;
  c.notice = std::move(row.notice);
  c.sender = std::move(row.sender);
  c.state = std::move(row.state);
  c.why = std::move(row.why);
  c.paused = std::move(row.paused);
  c.approved_by = std::move(row.approved_by);
  c.from_us = row.from_us;
  c.to_us = row.to_us;
  c.opened_us = row.opened_us;
  c.changed_us = row.changed_us;
  c.said = row.said;
  c.refused = row.refused;
  c.emptied_us = row.emptied_us;
  c.watch_until_us = row.watch_until_us;
  c.ask_until_us = row.ask_until_us;
  c.next_us = row.next_us;
  BAVN_CHECK(fill(db, c));
  return c;
}

#define BAVN_PURGE_HEAD                                                                                            \
  "SELECT notice, sender, state, why, paused, approved_by, from_us, to_us, opened_us, changed_us, said, refused, " \
  "emptied_us, watch_until_us, "                                                                                   \
  "ask_until_us, next_us FROM purge_case "

}  // namespace

Result<std::vector<PurgeCase>> Purge::cases(store::Reader& db, std::size_t limit) {
  BAVN_TRY(auto rows, db.all<HeadRow>(BAVN_PURGE_HEAD "ORDER BY opened_us DESC, notice LIMIT :l", {{"l", limit}}));
  std::vector<PurgeCase> out;
  for (auto& row : rows) {
    BAVN_TRY(auto c, case_of(db, std::move(row)));
    out.push_back(std::move(c));
  }
  return out;
}

Result<PurgeCase> Purge::find(store::Reader& db, std::string_view notice) {
  BAVN_TRY(auto row, db.one<HeadRow>(BAVN_PURGE_HEAD "WHERE notice = :n", {{"n", notice}}));
  if (!row)
    return fail(Code::not_found, fmt::format("there is no notice \"{}\" here", repair_utf8(notice.substr(0, 100))));
  return case_of(db, std::move(*row));
}

Result<std::vector<PurgeCopy>> Purge::copies(store::Reader& db, std::string_view notice) {
  return db.all<PurgeCopy>(
      "SELECT mailbox, message_id, state, reason, way, forward_of, nr, delivered_us, moved_us, back_us FROM purge_copy "
      "WHERE notice = :n ORDER BY "
      "mailbox, message_id, nr",
      {{"n", notice}});
}

Result<std::vector<PurgeRound>> Purge::rounds(store::Reader& db, std::string_view notice) {
  return db.all<PurgeRound>(
      "SELECT nr, started_us, ended_us, what, searched, present, moved, failed FROM purge_round WHERE notice = :n "
      "ORDER BY nr",
      {{"n", notice}});
}

Result<std::vector<std::string>> Purge::proofs(store::Reader& db, std::string_view notice) {
  return db.all<std::string>("SELECT proof FROM purge_proof WHERE notice = :n ORDER BY id DESC", {{"n", notice}});
}

Result<void> Purge::Inner::prove(store::Tx& tx, const CaseRow& c, std::string_view what) const {
  BAVN_TRY(const auto v, Purge::find(tx, c.notice));
  BAVN_TRY(const auto rounds, Purge::rounds(tx, c.notice));
  BAVN_TRY(const auto copies, Purge::copies(tx, c.notice));
  std::string list;  // the list itself names people: it stays here, its digest is in the proof
  for (const auto& copy : copies)
    list += fmt::format("{}\t{}\t{}\t{}\n", copy.mailbox, copy.message_id, copy.nr, copy.state);
  const auto rule = rule_now(tx.now());
  std::string facts;
  JsonWriter w(facts);
  w.object().member("kind", "bavn.purge").member("what", what).member("notice", c.notice).member("sender", c.sender);
  w.member("municipality", static_cast<std::int64_t>(options.municipality.value)).member("at", format_time(tx.now()));
  w.member("because", c.why).member("approved_by", c.approved_by).member("signs", v.signs);
  w.member("mandate_version", rule.mandate ? rule.mandate->version : 0);
  w.member("message_ids", v.message_ids)
      .member("located", v.located)
      .member("mailboxes", v.mailboxes)
      .member("copies", v.copies);
  w.member("moved", v.moved).member("gone", v.gone).member("left_alone", v.left_alone).member("failed", v.failed);
  w.member("not_moved_yet", v.found).member("back", v.back).member("lost", v.lost);
  w.member("first_moved", v.first_moved_us > 0 ? format_time(from_micros(v.first_moved_us)) : std::string());
  w.member("emptied", c.emptied_us > 0 ? format_time(from_micros(c.emptied_us)) : std::string());
  w.key("rounds").array();
  for (const auto& r : rounds)
    w.object()
        .member("nr", r.nr)
        .member("what", r.what)
        .member("searched", r.searched)
        .member("present", r.present)
        .member("moved", r.moved)
        .member("failed", r.failed)
        .end();
  w.end().member("copies_sha256", to_hex(sha256(list))).end();
  const auto proof = net::to_json(
      PurgeProofView{facts, node_key.public_key().text(), to_base64url(node_key.sign(kProofPurpose, facts))});
  BAVN_CHECK(tx.exec("INSERT INTO purge_proof (notice, at_us, proof) VALUES (:n, :at, :p)",
                     {{"n", c.notice}, {"at", tx.now()}, {"p", proof}}));
  return {};
}

bool purge_proof_holds(std::string_view text, const PublicKey& node) {
  const auto proof = net::from_json<PurgeProofView>(text, net::Unknown::refuse);
  if (!proof || proof->key != node.text()) return false;
  const auto signature = from_base64url(proof->signature);
  return signature && node.verify(kProofPurpose, proof->proof, *signature);
}

// --- life ---

Purge::Purge(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
Purge::~Purge() = default;

Result<std::unique_ptr<Purge>> Purge::open(Runtime& runtime, store::State& state, const SigningKey& node_key,
                                           PurgeOptions options, PurgeWays ways) {
  if (!ways.ask || !ways.locate) return fail(Code::bad_input, "purge needs a way to the mailboxes and to the trace");
  if (options.way != "auto" && options.way != "mailbox" && options.way != "defender")
    return fail(Code::bad_input,
                fmt::format("purge.way is \"auto\", \"mailbox\" or \"defender\", not \"{}\"", options.way));
  auto domains = std::exchange(options.domains, {});
  auto inner = std::make_shared<Inner>(runtime, state, node_key, std::move(options), std::move(ways));
  inner->use_domains(std::move(domains));
  inner->queue = runtime.queue({.name = "purge", .threads = 1, .limit = 100'000});
  state.on_timer(std::string(kPurgeTimer), inner->queue,
                 [weak = std::weak_ptr(inner)](const store::Timer& t) -> Result<void> {
                   if (const auto self = weak.lock()) self->drive(t.subject);
                   return {};
                 });
  return std::unique_ptr<Purge>(new Purge(std::move(inner)));
}

void Purge::start() {
  inner_->start();
}

void Purge::use_domains(std::vector<std::string> domains) {
  inner_->use_domains(std::move(domains));
}

void Purge::Inner::use_domains(std::vector<std::string> own) {
  for (auto& d : own) d = to_lower(d);
  domains.with([&](auto& kept) { kept = std::move(own); });
}

store::RetentionRule purge_retention() {
  return {"purges", 400, "what was moved out of whose mailbox can be shown for a year and a month, with its proof",
          [](store::Tx& tx, Instant before) -> Result<std::int64_t> {
            BAVN_TRY(const auto old,
                     tx.all<std::string>("SELECT notice FROM purge_case WHERE changed_us < :before LIMIT 100",
                                         {{"before", before}}));
            std::int64_t gone = 0;
            for (const std::string& notice : old)
              for (const char* sql :
                   {"DELETE FROM purge_copy WHERE notice = :n", "DELETE FROM purge_message WHERE notice = :n",
                    "DELETE FROM purge_round WHERE notice = :n", "DELETE FROM purge_proof WHERE notice = :n",
                    "DELETE FROM purge_case WHERE notice = :n"}) {
                BAVN_TRY(const auto rows, tx.exec(sql, {{"n", notice}}));
                gone += rows;
              }
            BAVN_TRY(const auto signs, tx.exec("DELETE FROM purge_sign WHERE at_us < :before", {{"before", before}}));
            return gone + signs;
          }};
}

}  // namespace bavn::act
