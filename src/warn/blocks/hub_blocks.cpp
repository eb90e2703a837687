#include "warn/blocks/hub_blocks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/encoding.hpp"
#include "base/guarded.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "event/notices.hpp"
#include "net/json_views.hpp"
#include "warn/blocks/common.hpp"

namespace bavn::warn::blocks {

namespace {

constexpr Setting kSettings[] = {
    {"blocks.preview_seconds",
     Unit::seconds,
     std::int64_t{60},
     {5, 3600},
     "How long connected nodes have to say what an entry would have hit: a search over 90 days takes seconds, a live "
     "attack does not wait "
     "for a slow one.",
     Restart::yes},
    {"blocks.preview_days",
     Unit::days,
     std::int64_t{90},
     {1, 400},
     "How far back a preview looks: long enough that a quarterly newsletter or report is in it.",
     Restart::yes},
    {"blocks.stage_minutes",
     Unit::minutes,
     std::int64_t{30},
     {1, 1440},
     "How long an entry stays with one municipality, then with five: long enough for the first calls to a help desk.",
     Restart::yes},
    {"blocks.rollback_people",
     Unit::none,
     std::int64_t{25},
     {1, 100000},
     "So many people hit in one municipality of a stage roll the entry back: a phish reaches few in half an hour, a "
     "service in use reaches "
     "many.",
     Restart::yes},
    {"blocks.rollback_hits",
     Unit::none,
     std::int64_t{2000},
     {1, 10000000},
     "So many hits in one municipality of a stage roll the entry back, also when the logs name no people.",
     Restart::yes},
    {"blocks.two_persons_people",
     Unit::none,
     std::int64_t{25},
     {0, 100000},
     "An entry that would have hit more people than this needs a second person: one tired analyst must not be able to "
     "stop a town's work.",
     Restart::yes},
    {"blocks.two_persons_municipalities",
     Unit::none,
     std::int64_t{10},
     {0, 1000},
     "An entry that would have hit something in more municipalities than this needs a second person.",
     Restart::yes},
    {"blocks.exact_days",
     Unit::days,
     std::int64_t{14},
     {1, 90},
     "The longest that a page, an address or a Message-ID may be blocked without being renewed: phishing pages live "
     "for days.",
     Restart::yes},
    {"blocks.wide_days",
     Unit::days,
     std::int64_t{7},
     {1, 30},
     "The longest that a host, a domain or a network may be blocked without being renewed: names and addresses change "
     "hands.",
     Restart::yes},
    {"blocks.member_address_hours",
     Unit::hours,
     std::int64_t{4},
     {1, 24},
     "The longest at a time that an address of a member may be blocked: its owner gets it back the same day.",
     Restart::yes},
    {"blocks.usual_hours",
     Unit::hours,
     std::int64_t{72},
     {1, 720},
     "How long an entry lasts when nobody says, within the limits of its kind: over a weekend.",
     Restart::yes},
    {"blocks.most_renewals",
     Unit::none,
     std::int64_t{8},
     {0, 100},
     "How often an entry may be renewed before it has to be proposed (and previewed) again.",
     Restart::yes},
    {"blocks.most_entries",
     Unit::none,
     std::int64_t{20000},
     {10, 1000000},
     "The most entries at a time: what is more belongs into a resolver's own feed.",
     Restart::yes},
};

using event::Kind;

struct EntryRow {
  std::string id, kind, value, action, reason, campaign, state;
  bool exact = false, needs_two = false;
  std::string needs_two_why, proposed_by, approved_by;
  std::int64_t created_us = 0, seconds = 0, from_us = 0, until_us = 0, ended_us = 0;
  std::string ended_by, ended_why;
  std::int64_t stage_from_us = 0, sent_us = 0, renewals = 0;
  std::string renew_by;
  std::int64_t renew_seconds = 0;
};
BOOST_DESCRIBE_STRUCT(EntryRow, (),
                      (id, kind, value, action, reason, campaign, state, exact, needs_two, needs_two_why, proposed_by,
                       approved_by, created_us, seconds, from_us, until_us, ended_us, ended_by, ended_why,
                       stage_from_us, sent_us, renewals, renew_by, renew_seconds))

struct PartRow {
  std::int64_t municipality = 0, asked_us = 0;
  std::optional<std::int64_t> answered_us;
  std::int64_t hits = 0, people = 0, days = 0;
  std::string can;
  std::int64_t stage = 0;
  bool sent = false;
  std::string state, why;
  bool looked = false;
  std::int64_t hits_since = 0, people_since = 0;
};
BOOST_DESCRIBE_STRUCT(PartRow, (),
                      (municipality, asked_us, answered_us, hits, people, days, can, stage, sent, state, why, looked,
                       hits_since, people_since))

struct KillRow {
  std::int64_t municipality = 0;
  std::string by_person, why;
  std::int64_t at_us = 0;
};
BOOST_DESCRIBE_STRUCT(KillRow, (), (municipality, by_person, why, at_us))

constexpr std::string_view kEntryColumns =
    "id, kind, value, action, reason, campaign, state, exact, needs_two, needs_two_why, proposed_by, approved_by, "
    "created_us, seconds, from_us, until_us, ended_us, ended_by, ended_why, stage_from_us, sent_us, renewals, "
    "renew_by, "
    "renew_seconds";

bool out(std::string_view state) {
  return state == "stage_1" || state == "stage_5" || state == "in_force";
}
std::int64_t bounded(std::int64_t n) {
  return std::clamp<std::int64_t>(n, 0, 1'000'000'000);
}

std::string about(const EntryRow& e, std::string_view why = {}) {
  std::string json;
  JsonWriter w(json);
  w.object().member("kind", e.kind).member("value", e.value).member("action", e.action);
  if (!why.empty()) w.member("why", why);
  w.end();
  return json;
}

Result<EntryRow> row_of(store::Reader& r, std::string_view id) {
  BAVN_TRY(auto row,
           r.one<EntryRow>(fmt::format("SELECT {} FROM block_entry WHERE id = :id", kEntryColumns), {{"id", id}}));
  if (!row) return fail(Code::not_found, "there is no entry of this id; `bavn blocks list` shows them", clean(id, 100));
  return std::move(*row);
}

Result<std::vector<PartRow>> parts_of(store::Reader& r, std::string_view id) {
  return r.all<PartRow>(
      "SELECT municipality, asked_us, answered_us, hits, people, days, can, stage, sent, state, why, looked, "
      "hits_since, "
      "people_since FROM block_part WHERE entry = :id ORDER BY municipality",
      {{"id", id}});
}

Entry shown(const EntryRow& e, const std::vector<PartRow>& parts) {
  Entry v;
  v.id = e.id;
  v.kind = e.kind;
  v.value = e.value;
  v.action = e.action;
  v.reason = e.reason;
  v.campaign = e.campaign;
  v.state = e.state;
  v.created_us = e.created_us;
  v.from_us = e.from_us;
  v.until_us = e.until_us;
  v.ended_us = e.ended_us;
  v.proposed_by = e.proposed_by;
  v.approved_by = e.approved_by;
  v.ended_by = e.ended_by;
  v.ended_why = e.ended_why;
  v.exact = e.exact;
  v.needs_two = e.needs_two;
  v.needs_two_why = e.needs_two_why;
  v.renewals = e.renewals;
  for (const PartRow& p : parts) {
    v.asked += p.asked_us != 0 ? 1 : 0;
    v.sent_to += p.sent ? 1 : 0;
    v.hits_since += p.hits_since;
    v.people_since += p.people_since;
    if (!p.answered_us) continue;
    ++v.answered;
    v.hits += p.hits;
    v.people += p.people;
    v.municipalities += p.hits > 0 ? 1 : 0;
    v.can_path += p.can == "path" ? 1 : 0;
    v.can_host += p.can == "host" ? 1 : 0;
    v.can_nothing += p.can == "nothing" ? 1 : 0;
  }
  return v;
}

}  // namespace

std::span<const Setting> hub_settings() {
  return kSettings;
}

std::vector<store::RetentionRule> hub_retention() {
  store::RetentionRule rule;
  rule.name = "block_entry";
  rule.days = 800;
  rule.reason =
      "whether blocks helped or hurt is compared with the year before, and no longer; the audit log keeps who and why";
  rule.forget = [](store::Tx& tx, Instant before) -> Result<std::int64_t> {
    BAVN_CHECK(tx.exec(
        "DELETE FROM block_part WHERE entry IN (SELECT id FROM block_entry WHERE ended_us > 0 AND ended_us < :b "
        "ORDER BY id LIMIT 200)",
        {{"b", before}}));
    return tx.exec(
        "DELETE FROM block_entry WHERE id IN (SELECT id FROM block_entry WHERE ended_us > 0 AND ended_us < :b ORDER BY "
        "id LIMIT 200)",
        {{"b", before}});
  };
  return {std::move(rule)};
}

struct HubBlocks::Inner : std::enable_shared_from_this<HubBlocks::Inner> {
  Inner(Runtime& r, store::State& s, WhoIsThere w, Down d)
      : runtime(r), state(s), who(std::move(w)), down(std::move(d)) {}

  Runtime& runtime;
  store::State& state;
  WhoIsThere who;
  Down down;
  Guarded<std::shared_ptr<const NeverBlock>> never;

  std::chrono::seconds preview_wait{}, stage_wait{}, exact_most{}, wide_most{}, member_most{}, usual{};
  std::int64_t preview_days = 0, rollback_people = 0, rollback_hits = 0, two_people = 0, two_municipalities = 0,
               most_renewals = 0, most_entries = 0;

  void read(const Settings& s) {
    preview_wait = s.duration("blocks.preview_seconds");
    preview_days = s.integer("blocks.preview_days");
    stage_wait = s.duration("blocks.stage_minutes");
    rollback_people = s.integer("blocks.rollback_people");
    rollback_hits = s.integer("blocks.rollback_hits");
    two_people = s.integer("blocks.two_persons_people");
    two_municipalities = s.integer("blocks.two_persons_municipalities");
    exact_most = s.duration("blocks.exact_days");
    wide_most = s.duration("blocks.wide_days");
    member_most = s.duration("blocks.member_address_hours");
    usual = s.duration("blocks.usual_hours");
    most_renewals = s.integer("blocks.most_renewals");
    most_entries = s.integer("blocks.most_entries");
  }

  std::shared_ptr<const NeverBlock> lists() {
    return never.with([](const auto& n) { return n; });
  }

  Result<void> check(const event::Observable& what) {
    const auto n = lists();
    if (!n) return fail(Code::unavailable, "the lists of what is never blocked are not there yet; try again");
    if (const auto refusal = n->check(what))
      return fail(Code::forbidden, refusal->reason + (refusal->fix.empty() ? "" : ": " + refusal->fix), what.value);
    return {};
  }

  std::chrono::seconds most_for(const event::Observable& what) {
    const auto n = lists();
    if (n && n->members_address(what)) return member_most;
    return exact(what.kind) ? exact_most : wide_most;
  }

  Result<std::chrono::seconds> length(const event::Observable& what, std::optional<std::int64_t> hours) {
    const auto most = most_for(what);
    if (!hours) return std::min(usual, most);
    const auto most_hours = std::chrono::duration_cast<std::chrono::hours>(most).count();
    if (*hours < 1 || *hours > most_hours)
      return fail(Code::bad_input,
                  fmt::format("{} hours: this may be blocked for 1 to {} hours at a time", *hours, most_hours),
                  what.value);
    return std::chrono::seconds(*hours * 3600);
  }

  Result<std::vector<KillRow>> kills(store::Reader& r) {
    return r.all<KillRow>("SELECT municipality, by_person, why, at_us FROM block_kill ORDER BY municipality");
  }
  Result<void> not_killed(store::Reader& r) {
    BAVN_TRY(const auto rows, kills(r));
    if (!rows.empty() && rows.front().municipality == 0)
      return fail(Code::forbidden, fmt::format("all blocking is stopped by {}: {}; `bavn blocks revive` ends it",
                                               rows.front().by_person, rows.front().why));
    return {};
  }
  struct There {
    std::vector<Connected> members;  // not stopped
    std::set<std::int64_t> stopped;  // of all members
  };
  Result<There> there(store::Reader& r) {
    BAVN_TRY(auto members, who(r));
    BAVN_TRY(const auto rows, kills(r));
    There t;
    for (const auto& row : rows) t.stopped.insert(row.municipality);
    std::erase_if(members, [&](const Connected& c) { return t.stopped.contains(c.municipality.value); });
    t.members = std::move(members);
    return t;
  }

  /// To one municipality, or to all that are not stopped. action "gone" takes it back.
  Result<void> send(store::Tx& tx, EntryRow& e, std::string_view action, std::optional<MunicipalityId> to) {
    event::BlockChange c;
    c.id = e.id;
    c.kind = e.kind;
    c.value = e.value;
    c.action = action;
    // Rises with each change, whatever the clock does: at the node the later one counts.
    e.sent_us = std::max(micros(tx.now()), e.sent_us + 1);
    c.from_us = e.sent_us;
    c.until_us = e.until_us;
    c.reason = e.reason;
    c.campaign = e.campaign;
    c.by = {e.proposed_by};
    if (!e.approved_by.empty()) c.by.push_back(e.approved_by);
    BAVN_CHECK(tx.exec("UPDATE block_entry SET sent_us = :s WHERE id = :id", {{"s", e.sent_us}, {"id", e.id}}));
    const std::string json = net::to_json(c);
    if (to) return down(tx, to, "block", json);
    BAVN_TRY(const There t, there(tx));
    if (t.stopped.empty()) return down(tx, std::nullopt, "block", json);
    for (const Connected& m : t.members) BAVN_CHECK(down(tx, m.municipality, "block", json));
    return {};
  }

  Result<void> insert(store::Tx& tx, const EntryRow& e, bool is_exact, std::chrono::seconds length) {
    BAVN_CHECK(tx.exec(
        "INSERT INTO block_entry (id, kind, value, action, reason, campaign, state, exact, needs_two, needs_two_why, "
        "proposed_by, approved_by, created_us, seconds, from_us, until_us, ended_us, ended_by, ended_why, "
        "stage_from_us, "
        "sent_us, renewals, renew_by, renew_seconds) VALUES (:id, :k, :v, :a, :r, :c, :st, :x, 0, '', :who, '', :now, "
        ":s, 0, :u, :e, '', :w, 0, 0, 0, '', 0)",
        {{"id", e.id},
         {"k", e.kind},
         {"v", e.value},
         {"a", e.action},
         {"r", e.reason},
         {"c", e.campaign},
         {"st", e.state},
         {"x", is_exact},
         {"who", e.proposed_by},
         {"now", tx.now()},
         {"s", length.count()},
         {"u", tx.now() + length},
         {"e", e.ended_us},
         {"w", e.ended_why}}));
    return {};
  }

  /// How many were asked what it would have hit.
  Result<std::size_t> ask_all(store::Tx& tx, const EntryRow& e) {
    BAVN_TRY(const There t, there(tx));
    const std::string question = net::to_json(event::PreviewAsk{e.id, e.kind, e.value, preview_days});
    std::size_t asked = 0;
    for (const Connected& m : t.members) {
      if (!m.now) continue;
      BAVN_CHECK(tx.exec(
          "INSERT INTO block_part (entry, municipality, asked_us, hits, people, days, can, stage, sent, state, why, "
          "looked, hits_since, people_since) VALUES (:e, :m, :now, 0, 0, 0, '', 0, 0, '', '', 0, 0, 0)",
          {{"e", e.id}, {"m", m.municipality}, {"now", tx.now()}}));
      BAVN_CHECK(down(tx, m.municipality, "block_ask", question));
      ++asked;
    }
    return asked;
  }

  std::string new_id() {
    std::array<std::byte, 9> random{};
    runtime.random(random);
    return "b" + to_hex({reinterpret_cast<const char*>(random.data()), random.size()});
  }

  Result<void> mark_sent(store::Tx& tx, const EntryRow& e, std::int64_t municipality, std::int64_t stage) {
    BAVN_CHECK(
        tx.exec("INSERT INTO block_part (entry, municipality, asked_us, hits, people, days, can, stage, sent, state, "
                "why, looked, "
                "hits_since, people_since) VALUES (:e, :m, 0, 0, 0, 0, '', :s, 1, '', '', 0, 0, 0) ON CONFLICT (entry, "
                "municipality) DO UPDATE SET sent = 1, stage = CASE WHEN stage = 0 THEN :s ELSE stage END",
                {{"e", e.id}, {"m", municipality}, {"s", stage}}));
    return {};
  }

  Result<void> set_state(store::Tx& tx, EntryRow& e, std::string_view now_is) {
    e.state = now_is;
    BAVN_CHECK(tx.exec("UPDATE block_entry SET state = :s WHERE id = :id", {{"s", now_is}, {"id", e.id}}));
    return {};
  }

  Result<void> audit(store::Tx& tx, std::string_view by, std::string_view action, const EntryRow& e,
                     std::string_view why = {}) {
    return tx.audit({std::string(by), std::string(action), e.id, about(e, why)});
  }

  /// Withdraws it everywhere it is, for good.
  Result<void> end(store::Tx& tx, EntryRow e, std::string_view state_now, std::string_view by, std::string_view why) {
    if (out(e.state)) {
      if (e.state == "in_force") {
        BAVN_CHECK(send(tx, e, "gone", std::nullopt));
      } else {
        BAVN_TRY(const auto parts, parts_of(tx, e.id));
        for (const PartRow& p : parts)
          if (p.sent) BAVN_CHECK(send(tx, e, "gone", MunicipalityId{static_cast<std::uint16_t>(p.municipality)}));
      }
    }
    BAVN_CHECK(tx.exec("UPDATE block_part SET sent = 0 WHERE entry = :id", {{"id", e.id}}));
    BAVN_CHECK(
        tx.exec("UPDATE block_entry SET state = :s, ended_us = :now, ended_by = :by, ended_why = :why WHERE id = :id",
                {{"s", state_now}, {"now", tx.now()}, {"by", by}, {"why", why}, {"id", e.id}}));
    for (const char* kind : {"blocks.preview", "blocks.stage", "blocks.expire"}) BAVN_CHECK(tx.clear_timer(kind, e.id));
    BAVN_CHECK(audit(tx, by, fmt::format("block.{}", state_now), e, why));
    return tx.emit(state_now == "rolled_back" ? "block.rolled_back" : "block.ended", e.id, about(e, why));
  }

  /// The preview is over: out with it, or it waits for the second person.
  Result<void> previewed(store::Tx& tx, EntryRow e) {
    BAVN_CHECK(tx.clear_timer("blocks.preview", e.id));
    BAVN_TRY(const auto parts, parts_of(tx, e.id));
    const Entry v = shown(e, parts);
    std::string why;
    const auto kind = event::parse_kind(e.kind);
    // A Message-ID is one mail: that it hit people is why it is here.
    if (kind != Kind::message_id) {
      if (v.answered == 0) why = "no node could say what it would have hit";
      else if (v.answered * 2 < v.asked) why = fmt::format("only {} of {} nodes answered", v.answered, v.asked);
      else if (v.people > two_people)
        why = fmt::format("it would have hit {} people in {} days", v.people, preview_days);
      else if (v.municipalities > two_municipalities)
        why = fmt::format("it would have hit something in {} municipalities", v.municipalities);
    }
    e.needs_two = !why.empty();
    e.needs_two_why = why;
    BAVN_CHECK(tx.exec("UPDATE block_entry SET needs_two = :n, needs_two_why = :w WHERE id = :id",
                       {{"n", e.needs_two}, {"w", why}, {"id", e.id}}));
    BAVN_CHECK(tx.emit("block.previewed", e.id,
                       fmt::format("{{\"hits\":{},\"people\":{},\"municipalities\":{},\"answered\":{},\"asked\":{}}}",
                                   v.hits, v.people, v.municipalities, v.answered, v.asked)));
    if (e.needs_two) {
      BAVN_CHECK(set_state(tx, e, "waits"));
      return tx.emit("block.waits", e.id, about(e, why));
    }
    return go(tx, std::move(e));
  }

  Result<void> go(store::Tx& tx, EntryRow e) {
    e.from_us = micros(tx.now());
    e.until_us = e.from_us + e.seconds * 1'000'000;
    BAVN_CHECK(tx.exec("UPDATE block_entry SET from_us = :f, until_us = :u WHERE id = :id",
                       {{"f", e.from_us}, {"u", e.until_us}, {"id", e.id}}));
    BAVN_CHECK(tx.set_timer(from_micros(e.until_us), "blocks.expire", e.id));
    return e.exact ? to_all(tx, std::move(e)) : to_some(tx, std::move(e), 1);
  }

  Result<void> to_all(store::Tx& tx, EntryRow e) {
    BAVN_TRY(const There t, there(tx));
    BAVN_CHECK(send(tx, e, e.action, std::nullopt));
    for (const Connected& m : t.members) BAVN_CHECK(mark_sent(tx, e, m.municipality.value, 100));
    BAVN_CHECK(set_state(tx, e, "in_force"));
    BAVN_CHECK(tx.clear_timer("blocks.stage", e.id));
    BAVN_CHECK(audit(tx, e.proposed_by, "block.in_force", e));
    return tx.emit("block.in_force", e.id, about(e));
  }

  /// To so many in all; first those who can block, and of them who would have been hit least.
  Result<void> to_some(store::Tx& tx, EntryRow e, std::size_t many) {
    BAVN_TRY(const There t, there(tx));
    BAVN_TRY(const auto parts, parts_of(tx, e.id));
    std::map<std::int64_t, const PartRow*> said;
    std::size_t have = 0;
    for (const PartRow& p : parts) {
      said[p.municipality] = &p;
      have += p.sent ? 1 : 0;
    }
    struct Candidate {
      bool cannot;
      std::int64_t people;
      std::int64_t municipality;
      auto operator<=>(const Candidate&) const = default;
    };
    std::vector<Candidate> candidates;
    for (const Connected& m : t.members) {
      const auto at = said.find(m.municipality.value);
      if (!m.now || (at != said.end() && at->second->sent)) continue;
      const bool answered = at != said.end() && at->second->answered_us;
      candidates.push_back({!answered || at->second->can == "nothing" || at->second->can.empty(),
                            answered ? at->second->people : 0, m.municipality.value});
    }
    std::ranges::sort(candidates);
    for (const Candidate& c : candidates) {
      if (have >= many) break;
      BAVN_CHECK(send(tx, e, e.action, MunicipalityId{static_cast<std::uint16_t>(c.municipality)}));
      BAVN_CHECK(mark_sent(tx, e, c.municipality, static_cast<std::int64_t>(many)));
      ++have;
    }
    BAVN_CHECK(set_state(tx, e, many == 1 ? "stage_1" : "stage_5"));
    BAVN_CHECK(
        tx.exec("UPDATE block_entry SET stage_from_us = :now WHERE id = :id", {{"now", tx.now()}, {"id", e.id}}));
    BAVN_CHECK(tx.exec("UPDATE block_part SET looked = 0 WHERE entry = :id", {{"id", e.id}}));
    BAVN_CHECK(tx.set_timer(tx.now() + stage_wait, "blocks.stage", e.id));
    BAVN_CHECK(audit(tx, e.proposed_by, "block.staged", e, fmt::format("to {}", have)));
    return tx.emit("block.staged", e.id, fmt::format("{{\"municipalities\":{}}}", have));
  }

  Result<void> next_stage(store::Tx& tx, EntryRow e) {
    return e.state == "stage_1" ? to_some(tx, std::move(e), 5) : to_all(tx, std::move(e));
  }

  Result<void> on_stage(store::Tx& tx, std::string_view id) {
    BAVN_TRY(const EntryRow e, row_of(tx, id));
    if (e.state != "stage_1" && e.state != "stage_5") return {};
    BAVN_TRY(const auto parts, parts_of(tx, id));
    const bool heard = std::ranges::any_of(parts, [](const PartRow& p) { return p.sent && p.looked; });
    if (heard) return next_stage(tx, e);
    // Nobody says what it does: it goes no further by itself.
    BAVN_CHECK(tx.emit("block.silent", e.id, about(e)));
    return tx.set_timer(tx.now() + stage_wait, "blocks.stage", e.id);
  }

  Result<void> on_expire(store::Tx& tx, std::string_view id) {
    BAVN_TRY(const EntryRow e, row_of(tx, id));
    if (e.ended_us != 0) return {};
    if (e.until_us > micros(tx.now())) return tx.set_timer(from_micros(e.until_us), "blocks.expire", e.id);
    // Nodes end it by themselves at the same moment.
    BAVN_CHECK(tx.exec("UPDATE block_part SET sent = 0 WHERE entry = :id", {{"id", e.id}}));
    EntryRow quiet = e;
    quiet.state = "waits";
    return end(tx, quiet, "over", "bavn", "its time is over");
  }

  Result<void> take_preview(store::Tx& tx, const Report& report) {
    BAVN_TRY(const auto a, net::from_json<event::PreviewAnswer>(report.body, net::Unknown::ignore));
    if (a.can != "path" && a.can != "host" && a.can != "nothing")
      return fail(Code::bad_input, "can is path, host or nothing", clean(a.can, 50));
    BAVN_TRY(
        const auto changed,
        tx.exec(
            "UPDATE block_part SET answered_us = :now, hits = :h, people = :p, days = :d, can = :c WHERE entry = :e "
            "AND municipality = :m AND asked_us > 0 AND answered_us IS NULL",
            {{"now", tx.now()},
             {"h", bounded(a.hits)},
             {"p", bounded(a.people)},
             {"d", bounded(a.days)},
             {"c", a.can},
             {"e", a.preview},
             {"m", report.municipality}}));
    if (changed == 0) return {};  // said before, or nobody asked
    BAVN_TRY(const EntryRow e, row_of(tx, a.preview));
    if (e.state != "preview") return {};
    BAVN_TRY(const auto missing,
             tx.number("SELECT count(*) FROM block_part WHERE entry = :e AND asked_us > 0 AND answered_us IS NULL",
                       {{"e", e.id}}));
    return missing == 0 ? previewed(tx, e) : Result<void>();
  }

  Result<void> take_state(store::Tx& tx, const Report& report) {
    BAVN_TRY(const auto s, net::from_json<event::BlockState>(report.body, net::Unknown::ignore));
    if (s.state != "in_force" && s.state != "refused" && s.state != "allowed" && s.state != "killed" &&
        s.state != "gone")
      return fail(Code::bad_input, "a state is in_force, refused, allowed, killed or gone", clean(s.state, 50));
    BAVN_TRY(
        const auto changed,
        tx.exec(
            "UPDATE block_part SET state = :s, why = :w, looked = max(looked, :l), hits_since = :h, people_since = :p "
            "WHERE entry = :e AND municipality = :m AND sent = 1",
            {{"s", s.state},
             {"w", clean(s.why, 300)},
             {"l", s.looked},
             {"h", bounded(s.hits)},
             {"p", bounded(s.people)},
             {"e", s.id},
             {"m", report.municipality}}));
    if (changed == 0) return {};  // of an entry that it does not have (any more)
    BAVN_TRY(const EntryRow e, row_of(tx, s.id));
    const bool many = s.looked && (s.people >= rollback_people || s.hits >= rollback_hits);
    if (!many) return {};
    const std::string why = fmt::format("{} people and {} hits in one municipality since it is blocked there",
                                        bounded(s.people), bounded(s.hits));
    if (e.state == "stage_1" || e.state == "stage_5") return end(tx, e, "rolled_back", "bavn", why);
    return tx.emit("block.many_hits", e.id, about(e, why), report.municipality);
  }

  Result<Entry> read_entry(std::string_view id) {
    return state.read([&](store::Reader& r) -> Result<Entry> {
      BAVN_TRY(const EntryRow e, row_of(r, id));
      BAVN_TRY(const auto parts, parts_of(r, id));
      return shown(e, parts);
    });
  }

  /// What the lists hold now may have been proposed before they did.
  Result<void> recheck(store::Tx& tx) {
    const auto n = lists();
    if (!n) return {};
    BAVN_TRY(const auto open,
             tx.all<EntryRow>(fmt::format("SELECT {} FROM block_entry WHERE ended_us = 0", kEntryColumns)));
    for (const EntryRow& e : open) {
      const auto what = canonical_observable(e.kind, e.value);
      if (!what) continue;
      if (const auto refusal = n->check(*what)) BAVN_CHECK(end(tx, e, "refused", "bavn", refusal->reason));
    }
    return {};
  }
};

Result<std::unique_ptr<HubBlocks>> HubBlocks::open(Runtime& runtime, store::State& state, WhoIsThere who_is_there,
                                                   Down down, const Settings* settings) {
  auto inner = std::make_shared<Inner>(runtime, state, std::move(who_is_there), std::move(down));
  inner->read(settings != nullptr ? *settings : Settings::defaults(kSettings));
  const std::weak_ptr<Inner> weak = inner;
  const auto on = [&](const char* kind, auto member) {
    state.on_timer_tx(kind, [weak, member](store::Tx& tx, const store::Timer& t) -> Result<void> {
      const auto self = weak.lock();
      return self ? ((*self).*member)(tx, t.subject) : Result<void>();
    });
  };
  on("blocks.stage", &Inner::on_stage);
  on("blocks.expire", &Inner::on_expire);
  state.on_timer_tx("blocks.preview", [weak](store::Tx& tx, const store::Timer& t) -> Result<void> {
    const auto self = weak.lock();
    if (!self) return {};
    BAVN_TRY(EntryRow e, row_of(tx, t.subject));
    return e.state == "preview" ? self->previewed(tx, std::move(e)) : Result<void>();
  });
  return std::unique_ptr<HubBlocks>(new HubBlocks(std::move(inner)));
}

HubBlocks::~HubBlocks() = default;

void HubBlocks::use_never_block(std::shared_ptr<const NeverBlock> never) {
  inner_->never.with([&](auto& n) { n = std::move(never); });
  inner_->state.write([weak = std::weak_ptr(inner_)](store::Tx& tx) -> Result<void> {
    const auto self = weak.lock();
    return self ? self->recheck(tx) : Result<void>();
  });
}

std::shared_ptr<const NeverBlock> HubBlocks::never_block() const {
  return inner_->lists();
}

Result<Entry> HubBlocks::propose(std::string_view by, const Proposal& p) {
  Inner& in = *inner_;
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const std::string why, reason_of(p.reason));
  if (!known_action(p.action))
    return fail(Code::bad_input, "an action is watch, warn, hold or block", clean(p.action, 50));
  BAVN_TRY(const auto what, observable_of(p.kind, p.value));
  if (const auto ok = in.check(what); !ok) {
    // Who tried what is worth knowing, too.
    BAVN_CHECK(in.state.write_now([&](store::Tx& tx) {
      std::string detail;
      JsonWriter(detail).object().member("value", what.value).member("why", ok.error().what).end();
      return tx.audit({who, "block.refused", std::string(event::to_string(what.kind)), detail});
    }));
    return std::unexpected(ok.error());
  }
  BAVN_TRY(const auto length, in.length(what, p.hours));
  const std::string id = in.new_id();
  BAVN_CHECK(in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(in.not_killed(tx));
    BAVN_TRY(const auto open, tx.number("SELECT count(*) FROM block_entry WHERE ended_us = 0"));
    if (open >= in.most_entries)
      return fail(Code::conflict, fmt::format("{} entries are on the list, which is the most there may be", open));
    BAVN_TRY(const auto same,
             tx.one<std::string>("SELECT id FROM block_entry WHERE kind = :k AND value = :v AND ended_us = 0",
                                 {{"k", event::to_string(what.kind)}, {"v", what.value}}));
    if (same)
      return fail(Code::conflict, fmt::format("it is on the list as {}; renew or stop that", *same), what.value);
    EntryRow e;
    e.id = id;
    e.kind = event::to_string(what.kind);
    e.value = what.value;
    e.action = p.action;
    e.reason = why;
    e.campaign = clean(p.campaign.value_or(""), 100);
    e.proposed_by = who;
    e.state = "preview";
    BAVN_CHECK(in.insert(tx, e, exact(what.kind), length));
    BAVN_CHECK(in.audit(tx, who, "block.proposed", e, why));
    BAVN_CHECK(tx.emit("block.proposed", id, about(e)));
    BAVN_TRY(const auto asked, in.ask_all(tx, e));
    if (asked == 0) {
      BAVN_TRY(EntryRow row, row_of(tx, id));
      return in.previewed(tx, std::move(row));
    }
    return tx.set_timer(tx.now() + in.preview_wait, "blocks.preview", id);
  }));
  return in.read_entry(id);
}

Result<Entry> HubBlocks::ask(std::string_view by, std::string_view kind, std::string_view value) {
  Inner& in = *inner_;
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const auto what, observable_of(kind, value));
  if (!can_be_listed(what.kind))
    return fail(Code::bad_input, fmt::format("no list can carry a {}", event::to_string(what.kind)), what.value);
  EntryRow e;
  e.id = in.new_id();
  e.kind = event::to_string(what.kind);
  e.value = what.value;
  e.action = "watch";
  e.reason = "only asked";
  e.state = "asked";
  e.proposed_by = who;
  if (const auto ok = in.check(what); !ok) e.ended_why = ok.error().what;
  BAVN_CHECK(in.state.write_now([&](store::Tx& tx) -> Result<void> {
    e.ended_us = micros(tx.now());  // never on the list, not even for a moment
    BAVN_CHECK(in.insert(tx, e, exact(what.kind), std::chrono::seconds(0)));
    BAVN_CHECK(in.audit(tx, who, "block.asked", e));
    BAVN_CHECK(in.ask_all(tx, e));
    return {};
  }));
  return in.read_entry(e.id);
}

Result<Entry> HubBlocks::approve(std::string_view by, std::string_view id) {
  Inner& in = *inner_;
  BAVN_TRY(const std::string who, person(by));
  BAVN_CHECK(in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(in.not_killed(tx));
    BAVN_TRY(EntryRow e, row_of(tx, id));
    if (e.ended_us != 0) return fail(Code::conflict, fmt::format("it has ended ({})", e.state), e.id);
    BAVN_TRY(const auto what, canonical_observable(e.kind, e.value));
    BAVN_CHECK(in.check(what));
    if (!e.renew_by.empty()) {
      if (same_person(who, e.renew_by))
        return fail(Code::forbidden, "the second person must be another one than who renewed it", who);
      e.until_us = micros(tx.now()) + e.renew_seconds * 1'000'000;
      BAVN_CHECK(
          tx.exec("UPDATE block_entry SET until_us = :u, renewals = renewals + 1, renew_by = '', renew_seconds = 0 "
                  "WHERE id = :id",
                  {{"u", e.until_us}, {"id", e.id}}));
      BAVN_CHECK(tx.set_timer(from_micros(e.until_us), "blocks.expire", e.id));
      BAVN_CHECK(in.audit(tx, who, "block.renewed", e));
      return in.send(tx, e, e.action, std::nullopt);
    }
    if (e.state == "waits") {
      if (same_person(who, e.proposed_by))
        return fail(Code::forbidden, "the second person must be another one than who proposed it", who);
      e.approved_by = who;
      BAVN_CHECK(tx.exec("UPDATE block_entry SET approved_by = :w WHERE id = :id", {{"w", who}, {"id", e.id}}));
      BAVN_CHECK(in.audit(tx, who, "block.approved", e, e.needs_two_why));
      return in.go(tx, std::move(e));
    }
    if (e.state == "stage_1" || e.state == "stage_5") {
      BAVN_CHECK(in.audit(tx, who, "block.next_stage", e));
      return in.next_stage(tx, std::move(e));
    }
    return fail(Code::conflict, fmt::format("nothing waits for a yes: it is {}", e.state), e.id);
  }));
  return in.read_entry(id);
}

Result<Entry> HubBlocks::stop(std::string_view by, std::string_view id, std::string_view why) {
  Inner& in = *inner_;
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const std::string reason, reason_of(why));
  BAVN_CHECK(in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const EntryRow e, row_of(tx, id));
    if (e.ended_us != 0) return fail(Code::conflict, fmt::format("it has ended already ({})", e.state), e.id);
    return in.end(tx, e, e.state == "stage_1" || e.state == "stage_5" ? "rolled_back" : "stopped", who, reason);
  }));
  return in.read_entry(id);
}

Result<Entry> HubBlocks::renew(std::string_view by, std::string_view id, std::int64_t hours) {
  Inner& in = *inner_;
  BAVN_TRY(const std::string who, person(by));
  BAVN_CHECK(in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(in.not_killed(tx));
    BAVN_TRY(EntryRow e, row_of(tx, id));
    if (e.state != "in_force")
      return fail(Code::conflict, fmt::format("only what is in force can be renewed; it is {}", e.state), e.id);
    BAVN_TRY(const auto what, canonical_observable(e.kind, e.value));
    BAVN_CHECK(in.check(what));
    if (e.renewals >= in.most_renewals)
      return fail(Code::conflict, fmt::format("it was renewed {} times; propose it again", e.renewals), e.id);
    BAVN_TRY(const auto length, in.length(what, hours));
    if (e.needs_two) {
      BAVN_CHECK(tx.exec("UPDATE block_entry SET renew_by = :w, renew_seconds = :s WHERE id = :id",
                         {{"w", who}, {"s", length.count()}, {"id", e.id}}));
      BAVN_CHECK(in.audit(tx, who, "block.renewal_asked", e));
      return tx.emit("block.waits", e.id, about(e, "a renewal"));
    }
    e.until_us = micros(tx.now() + length);
    BAVN_CHECK(tx.exec("UPDATE block_entry SET until_us = :u, renewals = renewals + 1 WHERE id = :id",
                       {{"u", e.until_us}, {"id", e.id}}));
    BAVN_CHECK(tx.set_timer(from_micros(e.until_us), "blocks.expire", e.id));
    BAVN_CHECK(in.audit(tx, who, "block.renewed", e));
    return in.send(tx, e, e.action, std::nullopt);
  }));
  return in.read_entry(id);
}

Result<void> HubBlocks::kill(std::string_view by, std::optional<MunicipalityId> municipality, std::string_view why) {
  Inner& in = *inner_;
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const std::string reason, reason_of(why));
  const std::int64_t m = municipality ? municipality->value : 0;
  if (municipality && m == 0) return fail(Code::bad_input, "this is no municipality");
  return in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(
        tx.exec("INSERT INTO block_kill (municipality, by_person, why, at_us) VALUES (:m, :w, :r, :now) ON CONFLICT "
                "(municipality) DO UPDATE SET by_person = :w, why = :r, at_us = :now",
                {{"m", m}, {"w", who}, {"r", reason}, {"now", tx.now()}}));
    event::BlockChange all;
    all.id = "*";
    all.action = "gone";
    all.reason = reason;
    all.by = {who};
    // Later than anything that was sent, also when this clock was set back.
    BAVN_TRY(const auto last, tx.number("SELECT coalesce(max(sent_us), 0) FROM block_entry"));
    all.from_us = std::max(micros(tx.now()), last + 1);
    BAVN_CHECK(in.down(tx, municipality, "block", net::to_json(all)));
    if (municipality) {
      BAVN_CHECK(
          tx.exec("UPDATE block_part SET sent = 0, state = 'killed', why = :r WHERE municipality = :m AND sent = 1",
                  {{"r", reason}, {"m", m}}));
      BAVN_CHECK(
          tx.exec("UPDATE block_entry SET sent_us = :s WHERE ended_us = 0 AND sent_us < :s", {{"s", all.from_us}}));
    } else {
      BAVN_TRY(const auto open, tx.all<std::string>("SELECT id FROM block_entry WHERE ended_us = 0"));
      for (const std::string& id : open)
        for (const char* kind : {"blocks.preview", "blocks.stage", "blocks.expire"})
          BAVN_CHECK(tx.clear_timer(kind, id));
      BAVN_CHECK(tx.exec("UPDATE block_part SET sent = 0, state = 'killed', why = :r WHERE sent = 1", {{"r", reason}}));
      BAVN_CHECK(
          tx.exec("UPDATE block_entry SET state = 'stopped', ended_us = :now, ended_by = :w, ended_why = :r, sent_us = "
                  "max(sent_us, :s) WHERE ended_us = 0",
                  {{"now", tx.now()}, {"w", who}, {"r", reason}, {"s", all.from_us}}));
    }
    std::string detail;
    JsonWriter(detail).object().member("municipality", m).member("why", reason).end();
    BAVN_CHECK(tx.audit({who, "block.killed", municipality ? std::to_string(m) : "everything", detail}));
    return tx.emit("block.killed", municipality ? std::to_string(m) : "everything", detail);
  });
}

Result<void> HubBlocks::revive(std::string_view by, std::optional<MunicipalityId> municipality, std::string_view why) {
  Inner& in = *inner_;
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const std::string reason, reason_of(why));
  const std::int64_t m = municipality ? municipality->value : 0;
  return in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto gone, tx.exec("DELETE FROM block_kill WHERE municipality = :m", {{"m", m}}));
    if (gone == 0) return fail(Code::not_found, "nothing is stopped there");
    std::string detail;
    JsonWriter(detail).object().member("why", reason).end();
    BAVN_CHECK(tx.audit({who, "block.revived", municipality ? std::to_string(m) : "everything", detail}));
    // What was stopped for everybody has ended; it is proposed, and previewed, anew.
    return municipality ? welcome(tx, *municipality) : Result<void>();
  });
}

Result<void> HubBlocks::take(store::Tx& tx, const Report& report) {
  if (report.kind == "block_preview") return inner_->take_preview(tx, report);
  if (report.kind == "block_state") return inner_->take_state(tx, report);
  return fail(Code::bad_input, "this is no report about blocks", clean(report.kind, 50));
}

Result<void> HubBlocks::welcome(store::Tx& tx, MunicipalityId municipality) {
  Inner& in = *inner_;
  BAVN_TRY(const auto rows, in.kills(tx));
  for (const KillRow& k : rows)
    if (k.municipality == 0 || k.municipality == municipality.value) return {};
  BAVN_TRY(auto open, tx.all<EntryRow>(fmt::format(
                          "SELECT {} FROM block_entry WHERE ended_us = 0 AND state = 'in_force' ORDER BY from_us",
                          kEntryColumns)));
  for (EntryRow& e : open) {
    BAVN_CHECK(in.send(tx, e, e.action, municipality));
    BAVN_CHECK(in.mark_sent(tx, e, municipality.value, 100));
  }
  return {};
}

Result<std::vector<Entry>> HubBlocks::list(bool also_ended, std::size_t most) const {
  return page(also_ended, 0, {}, most);
}

Result<std::vector<Entry>> HubBlocks::page(bool also_ended, std::int64_t before_us, std::string_view after_id,
                                           std::size_t most) const {
  return inner_->state.read([&](store::Reader& r) -> Result<std::vector<Entry>> {
    BAVN_TRY(const auto rows,
             r.all<EntryRow>(fmt::format("SELECT {} FROM block_entry WHERE (ended_us = 0 OR :all = 1) AND (:before = 0 "
                                         "OR created_us < :before OR (created_us = :before AND id > :after)) ORDER BY "
                                         "created_us DESC, id LIMIT :n",
                                         kEntryColumns),
                             {{"all", also_ended},
                              {"before", before_us},
                              {"after", after_id},
                              {"n", std::min<std::size_t>(most, 10'000)}}));
    std::vector<Entry> entries;
    for (const EntryRow& row : rows) {
      BAVN_TRY(const auto parts, parts_of(r, row.id));
      entries.push_back(shown(row, parts));
    }
    return entries;
  });
}

Result<Shown> HubBlocks::show(std::string_view id) const {
  return inner_->state.read([&](store::Reader& r) -> Result<Shown> {
    BAVN_TRY(const EntryRow row, row_of(r, id));
    BAVN_TRY(const auto parts, parts_of(r, id));
    Shown s;
    s.entry = shown(row, parts);
    for (const PartRow& p : parts)
      s.parts.push_back({p.municipality, p.asked_us, p.answered_us, p.hits, p.people, p.days, p.can, p.stage, p.state,
                         p.why, p.hits_since, p.people_since});
    return s;
  });
}

Result<std::vector<Kill>> HubBlocks::kills() const {
  return inner_->state.read([&](store::Reader& r) -> Result<std::vector<Kill>> {
    BAVN_TRY(const auto rows, inner_->kills(r));
    std::vector<Kill> out_;
    for (const KillRow& k : rows) out_.push_back({k.municipality, k.by_person, k.why, k.at_us});
    return out_;
  });
}

}  // namespace bavn::warn::blocks
